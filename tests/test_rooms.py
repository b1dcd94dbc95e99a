"""The house: each page imports only from pages with lower numbers, private names stay in their room, and lines and cells are short enough to read."""
import ast, json, re
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
pages = sorted(p for p in (root/'nbs').glob('*.ipynb') if not p.name.startswith(('.', '_')))
everywhere = pages + sorted((root/'nbs'/'tutorials').glob('*.ipynb'))

def code_cells(page): return [(c['id'], ''.join(c['source'])) for c in json.loads(page.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == 'code']
def directive(source): return (re.match(r'#\|\s*(\w+)', source) or [None, None])[1]

def module_of(page):
    said = [re.match(r'#\|\s*default_exp\s+(\S+)', s) for _, s in code_cells(page)]
    return next((m[1] for m in said if m), None)

def room_number(page): return page.stem.split('_')[0]

ROOMS = {module_of(p): room_number(p) for p in pages if module_of(p)}

def imports(source):
    "The rooms that a module names: (line, room, names), wherever in it the import stands."
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            if node.module: yield node.lineno, node.module.split('.')[0], [a.name for a in node.names]
            else: yield from ((node.lineno, a.name, []) for a in node.names if not a.name.startswith('__'))     # the version
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, a.name.split('.')[1], []) for a in node.names if a.name.startswith('dsketch_nb.'))
        elif isinstance(node, ast.ImportFrom) and (node.module or '').startswith('dsketch_nb.'):
            yield node.lineno, node.module.split('.')[1], [a.name for a in node.names]

def modules(): return {m: (root/'dsketch_nb'/f'{m}.py').read_text(encoding='utf-8') for m in ROOMS if m not in ('__init__', 'all')}

def upwards(module, source, rooms):
    "Imports of a room that is not lower, or that nobody knows."
    return [(line, room) for line, room, _ in imports(source) if not rooms.get(room, '~') < rooms[module]]

def test_every_room_has_a_page_and_a_number_of_its_own():
    files = {p.stem for p in (root/'dsketch_nb').glob('*.py')} - {'_modidx'}
    assert files == set(ROOMS) and len(set(ROOMS.values())) == len(ROOMS)

def test_rooms_import_only_from_below():
    "So there is no circle, and the order of the numbers is an order of reading."
    assert {m: bad for m, s in modules().items() if (bad := upwards(m, s, ROOMS))} == {}

MOST_LINES = 600
LARGER = {'compiled', 'gpu'}    # loops that numba compiles as one; a GPU's kernels

def test_a_room_is_a_page_that_one_can_read():
    "A module that grows beyond this is two ideas: cut it where a room ends, and give each a page."
    lines = {p.stem: len(p.read_text(encoding='utf-8').splitlines()) for p in (root/'dsketch_nb').glob('*.py')}
    assert {m: n for m, n in lines.items() if n > MOST_LINES and m not in LARGER | {'_modidx'}} == {}

def test_the_check_sees():
    rooms = {'low': '01', 'here': '05', 'high': '07'}
    bad = 'from .low import a\ndef f():\n    from .high import b\n    import dsketch_nb.nowhere\nfrom . import here'
    assert sorted(r for _, r in upwards('here', bad, rooms)) == ['here', 'high', 'nowhere']

def private(source):
    "Names that begin with _ and come from another room."
    found, aliases = [], set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.level == 1 or (node.module or '').startswith('dsketch_nb')):
            found += [a.name for a in node.names if a.name.startswith('_') and not a.name.startswith('__')]
            if not node.module or node.module == 'dsketch_nb': aliases |= {a.asname or a.name for a in node.names}
    return found + [f'{n.value.id}.{n.attr}' for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
                    and n.value.id in aliases and n.attr.startswith('_') and not n.attr.startswith('__')]

def test_private_names_stay_in_their_room():
    assert private('from .x import _y\nfrom . import z\nz._w') == ['_y', 'z._w']
    assert {m: bad for m, s in modules().items() if (bad := private(s))} == {}

def test_no_import_inside_of_a_function_from_our_rooms():
    lazy = {}
    for m, s in modules().items():
        inside = [n for f in ast.walk(ast.parse(s)) if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)) for n in ast.walk(f)]
        lazy[m] = [n.lineno for n in inside if isinstance(n, ast.ImportFrom) and (n.level == 1 or (n.module or '').startswith('dsketch_nb.'))]
    assert {m: l for m, l in lazy.items() if l} == {}

# columns: 88 where a page shows the cell, 100 where it only exports
def too_long(source):
    most = 100 if re.match(r'#\|\s*exporti?\b', source) and directive(source) != 'exports' else 88
    return [l for l in source.splitlines() if len(l) > most and not l.startswith('#|')]

# Lines that are longer still: addresses, style sheets, what is said of a returned value. These numbers may only fall.
LONGER = {'00_raster': 1,
 '03_command': 4,
 '04_runs': 7,
 '05a_css': 1,
 '06_svg': 13,
 '07_widgets': 25,
 '08_sharp': 2,
 '09_pictures': 1,
 '10_losses': 2,
 '11_perceptual': 1,
 '12_placement': 1,
 '13_animation': 2,
 '14_plotter': 3,
 '20_imageopt': 3,
 '34_training': 1,
 '38_drawing_pad': 2,
 '90_commands': 1,
 '91_promises': 1,
 '92_site': 1,
 'index': 1}

@pytest.mark.parametrize('page', everywhere, ids=lambda p: p.stem)
def test_lines_fit_the_page(page):
    long = [l for _, s in code_cells(page) if directive(s) != 'hide' for l in too_long(s)]
    assert len(long) <= LONGER.get(page.stem, 0), '88 columns in what a page shows, 100 in what it only exports; comments go above the line:\n' + '\n'.join(long)

@pytest.mark.parametrize('page', everywhere, ids=lambda p: p.stem)
def test_exported_cells_are_short(page):
    assert [i for i, s in code_cells(page) if (directive(s) or '').startswith('export') and s.count('\n') > 45] == []

@pytest.mark.parametrize('page', everywhere, ids=lambda p: p.stem)
def test_one_statement_a_line(page):
    "`a; b` hides b. (A `;` at the end of a cell keeps its output back.)"
    twice = []
    for i, s in code_cells(page):
        if directive(s) == 'hide' or re.search(r'^\s*[%!]', s, re.M): continue
        for node in ast.walk(ast.parse(s)):
            for field in ('body', 'orelse', 'finalbody'):
                body = getattr(node, field, None)
                if isinstance(body, list): twice += [(i, b.lineno) for a, b in zip(body, body[1:]) if a.end_lineno == b.lineno]
    assert twice == []

def test_no_page_runs_an_export():
    "A reader's experiment must not reach the package: authors run `nbdev_export`."
    assert [(p.stem, i) for p in everywhere for i, s in code_cells(p) if re.search(r'nbdev_export\(|nb_export\(', s)] == []
