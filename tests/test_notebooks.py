"""Every page runs from top to bottom, and is fit to be shown."""
import json, os, re, subprocess, sys
from importlib.util import find_spec
from pathlib import Path

import fresh
import pytest

pages = sorted(p for p in (Path(__file__).parent.parent/'nbs').rglob('*.ipynb') if not any(o.startswith(('.', '_')) for o in p.parts[-2:]))

@pytest.fixture(scope='module')
def ran(tmp_path_factory):
    "Where the pictures are that the pages have just made: `make test` has run them all by nbdev_test and says where; or each is run when it is asked for."
    there = os.environ.get('NBDEV_TEST_RAN')
    return Path(there) if there else tmp_path_factory.mktemp('pictures')

@pytest.mark.parametrize('page', pages, ids=fresh.name)
def test_page_runs_and_shows_what_is_committed(page, ran):
    if page.stem in ('01g_gpu_areas', '02b_gpu') and not find_spec('triton'): pytest.skip('no Triton: it comes with PyTorch for Linux')
    if 'NBDEV_TEST_RAN' not in os.environ:
        # in a process of its own: a page defines classes, and registers them by name
        run = "import sys; from pathlib import Path; import fresh; fresh.keep(sys.argv[2]); from nbdev import test; sys.exit(not test.test_nb(Path(sys.argv[1]), skip_flags=['notest', 'slow', 'cuda'])[0])"
        done = subprocess.run([sys.executable, '-c', run, page, ran], capture_output=True, text=True, cwd=page.parent, env=os.environ | {'PYTHONPATH': os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get('PYTHONPATH')])])})
        assert done.returncode == 0, f'{page.name} fails:\n{done.stderr[-2000:]}'
    wrong = fresh.stale(page, json.loads((ran/f'{fresh.name(page)}.json').read_text()))
    assert not wrong, '\n'.join([f'{page.name} shows what it no longer makes: `python tests/pages.py {page.relative_to(fresh.root)}` makes it anew', *wrong])

def test_a_stale_picture_is_seen():
    "Planted: another picture, one gone, one too many; of a chart, a curve that has changed, a title, a word. As made by another version of matplotlib, the same chart passes, and another picture does not."
    import base64, io
    from matplotlib.figure import Figure
    def plot(k=1., words='error', by=None, size=10, **more):
        "A line chart as the pages show them."
        fig, f = Figure(figsize=(4, 2.4), dpi=80), io.BytesIO()
        ax = fig.subplots()
        ax.plot(range(40), [k*x**.5 for x in range(40)]); ax.set(ylim=(0, 9), **more)
        ax.set_xlabel('step', size=size); ax.set_ylabel(words, size=size); ax.tick_params(labelsize=size)
        fig.savefig(f, format='png', bbox_inches='tight', **({'metadata': {'Software': by}} if by else {}))
        return base64.b64encode(f.getvalue()).decode()
    page = fresh.root/'nbs'/'00_raster.ipynb'
    true = fresh.pictures(json.loads(page.read_text(encoding='utf-8'))['cells'])
    one, other = list(true)[:2]
    assert len(true) > 5 and not fresh.stale(page, true)
    assert fresh.stale(page, true | {one: true[other]}) and fresh.stale(page, true | {one: []}) and fresh.stale(page, true | {one: true[one]*2})
    assert not fresh.changed(plot(), plot())
    for new in (plot(1.05), plot(title='a title'), plot(words='loss')): assert fresh.changed(plot(), new)
    assert not fresh.changed(plot(), plot(by='matplotlib of another day', size=10.3)) and fresh.changed(true[one][0], true[other][0], same=False)

@pytest.mark.parametrize('page', pages, ids=lambda p: p.stem)
def test_page_is_fit_to_show(page):
    cells = json.loads(page.read_text(encoding='utf-8'))['cells']
    for c in cells:
        printed = [o for o in c.get('outputs', []) if o['output_type'] == 'stream']
        assert len(printed) == len({o['name'] for o in printed}), f'{page.name}: what one cell printed is in several pieces, which the site shows apart: `python tests/pages.py --strip` joins them'
        assert not any('dsketch_nb: compiling' in ''.join(o['text']) for o in printed), f'{page.name}: a word of compiling, which happens once on a machine: `python tests/pages.py --strip` removes it'
        for o in c.get('outputs', []):
            assert o['output_type'] != 'error', f"{page.name}: a committed error: {o.get('ename')}"
            assert o.get('name') != 'stderr', f"{page.name}: something on stderr: {o['text']}"
            data = o.get('data', {})
            assert 'application/vnd.jupyter.widget-view+json' not in data, f'{page.name}: a widget whose kernel is gone: `python tests/pages.py --strip` keeps its still picture'
        src = ''.join(c['source'])
        assert not (src.startswith('#| export') and src.count('\n') > 45), f'{page.name}: an exported cell of over 45 lines: {src[:60]}'
    assert not re.search(r'/(home|root|tmp|Users)/', json.dumps(cells)), f"{page.name}: a path of one person's machine"
    badges = [c for c in cells if c['cell_type'] == 'markdown' and re.match(r'\*\*[^*]+\*\* · \d+ minutes · needs', ''.join(c['source']))]
    assert len(badges) <= 1, f'{page.name} says twice how long it takes and what it needs'

def directive(source): return (re.match(r'#\|\s*([\w-]+)', source) or [None, ''])[1]

def height_before_a_picture(cells):
    "About how many pixels of text and code stand above a page's first picture, at a width of 860; None if it has none. Hidden code has no height, folded code a line."
    y = 0
    for c in cells:
        s = ''.join(c['source'])
        if c['cell_type'] == 'markdown':
            if re.search(r'<img|!\[|<svg', s): return y
            y += sum(12 + 23*-(-len(b)//115) for b in s.split('\n\n') if b.strip())
            continue
        if directive(s) not in ('hide', 'export', 'exporti', 'default_exp'):
            if 'code-fold' in s: y += 40
            elif 'echo: false' not in s: y += 25 + 17*len(s.splitlines())
        data = [o.get('data', {}) for o in c.get('outputs', [])]
        if any(k.startswith('image/') or k == 'text/html' and re.search('<svg|<img|<canvas', ''.join(v)) for d in data for k, v in d.items()): return y

@pytest.mark.parametrize('page', pages, ids=lambda p: p.stem)
def test_page_opens_with_a_picture(page):
    y = height_before_a_picture(json.loads(page.read_text(encoding='utf-8'))['cells'])
    assert y is not None, f'{page.name} has no picture'
    assert y <= 900, f'{page.name}: some {y} pixels of text and code come before its first picture: put one after "Run this page" (`#| echo: false` hides its code), or fold what stands before it (`#| code-fold: true`)'

def announced_and_not_there(cells):
    "What a text announces by a colon at its end, and the code below it, up to the next text, does not show: a function of this page by name, or anything at all."
    source, wrong = [''.join(c['source']) for c in cells], []
    defined = {n for c, s in zip(cells, source) if c['cell_type'] == 'code' for n in re.findall(r'^(?:def|class)\s+(\w+)', s, re.M)}
    for i, c in enumerate(cells):
        if c['cell_type'] != 'markdown' or not source[i].rstrip().endswith(':'): continue
        sentence, below = re.split(r'(?<=[.!?])\s', source[i].strip())[-1], ''
        for d, s in zip(cells[i+1:], source[i+1:]):
            if d['cell_type'] == 'markdown': break
            if directive(s) == 'hide': continue
            # of an export the site shows names and signatures
            below += ' '.join(re.findall(r'^(?:def|class)\s+([a-zA-Z]\w*)', s, re.M)) if directive(s) == 'export' else s
            below += json.dumps(d.get('outputs', [])) if d.get('outputs') else ''
        names = defined & set(re.findall(r'`(\w+)(?:\([^`]*\))?`', sentence))
        wrong += [f'{n}: {sentence}' for n in names if not re.search(rf'\b{n}\b', below)] if below.strip() else [sentence]
    return wrong

# Announcements that a page still owes. These numbers may only fall.
OWED = {}

@pytest.mark.parametrize('page', pages, ids=lambda p: p.stem)
def test_what_is_announced_is_there(page):
    missing = announced_and_not_there(json.loads(page.read_text(encoding='utf-8'))['cells'])
    assert len(missing) <= OWED.get(page.stem, 0), f'{page.name} announces what the site does not show (`#| exports` shows a body, `#| export` does not):\n' + '\n'.join(missing)

def test_late_pictures_and_empty_promises_are_seen():
    "Planted: a page without a picture, one after a long cell, one after a folded cell; a colon with nothing below it, with hidden code, with another function."
    text = lambda s: dict(cell_type='markdown', source=s)
    code = lambda s, *outputs: dict(cell_type='code', source=s, outputs=list(outputs))
    plot, long = dict(data={'image/png': ''}), 'x = 1\n'*60
    assert height_before_a_picture([text('# A page'), code(long)]) is None
    assert height_before_a_picture([text('# A page'), code(long), code('plot()', plot)]) > 900 > height_before_a_picture([code('#| code-fold: true\n' + long), code('plot()', plot)])
    define, hidden, draw = code('#| export\ndef draw(): pass'), code('#| hide\ndraw()'), code('draw()')
    promise = text('A stroke. `draw` makes it:')
    assert announced_and_not_there([promise, draw]) == announced_and_not_there([define, promise, code('# so\ndraw()')]) == announced_and_not_there([promise, define]) == []
    for below in ([], [hidden], [text('More.'), draw], [code('erase()')]): assert announced_and_not_there([define, promise, *below])
