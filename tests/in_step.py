"""Are the notebooks clean, the package exported from them, README.md the same as nbs/index.ipynb, and has each page its badge, its links and its "Next"?

Nothing is changed: export and cleaning are done in a copy. `--write-readme` writes README.md and the lines that are made from nbs/sidebar.yml and settings.ini."""
import configparser, json, re, secrets, shutil, subprocess, sys, tempfile
from pathlib import Path
from urllib.parse import quote

import yaml

root = Path(__file__).parent.parent
WIDGET = 'application/vnd.jupyter.widget-view+json'

def readme():
    "The index page as Markdown: text as it is, code fenced, links made relative to the top folder."
    cells = json.loads((root/'nbs/index.ipynb').read_text(encoding='utf-8'))['cells']
    parts = []
    for c in cells:
        src = ''.join(c['source'])
        if src.startswith(('#| hide', '#| echo: false', '<!-- site -->')): continue                 # what only the site shows
        src = re.sub(r'^#\|.*\n', '', src, flags=re.M)
        parts.append(src if c['cell_type'] == 'markdown' else f'```python\n{src}\n```')
    text = re.sub(r'^:::.*\n+', '', '\n\n'.join(parts), flags=re.M)              # Quarto's boxes, which GitHub does not know
    return re.sub(r'(\]\(|\b(?:src|srcset)=")(?!https?:|#|mailto:)', r'\1nbs/', text) + '\n'

def pages(): return sorted(p for p in root.glob('nbs/**/*.ipynb') if p.stem != 'index' and not any(o.startswith(('.', '_')) for o in p.relative_to(root).parts))

def settings():
    found = configparser.ConfigParser(delimiters=['='], interpolation=None)
    found.read(root/'settings.ini', encoding='utf-8')
    return found['DEFAULT']

def chapters():
    "(page below nbs/, the section it is in), in the order of the sidebar."
    sidebar = yaml.safe_load((root/'nbs/sidebar.yml').read_text(encoding='utf-8'))['website']['sidebar']['contents']
    return [(page, o['section']) for o in sidebar for page in o['contents']]

def title(page):
    cells = json.loads(page.read_text(encoding='utf-8'))['cells']
    return next(m[1] for c in cells if (m := re.match(r'# (.+)', ''.join(c['source']))) and c['cell_type'] == 'markdown')

def minutes(cells):
    "A guess for a new page: words at 130 a minute, lines of code at 12, to the next five minutes."
    words = sum(len(''.join(c['source']).split()) for c in cells if c['cell_type'] == 'markdown')
    code = sum(len(c['source']) for c in cells if c['cell_type'] == 'code' and not ''.join(c['source']).startswith(('#| hide', '#| export\n')))
    return 5*max(1, round((words/130 + code/12)/5))

BADGE = re.compile(r'\*\*(?P<kind>[^*]+)\*\* · (?P<minutes>\d+) minutes · needs (?P<needs>[^\n]+)\n')

def badge(page, cells):
    "Kind, minutes and needs of a page. The kind is its section; minutes and needs are what its author has written there."
    kind = dict(chapters()).get(page.relative_to(root/'nbs').as_posix(), 'Not in nbs/sidebar.yml')
    old = next((m for c in cells if c['cell_type'] == 'markdown' and (m := BADGE.match(''.join(c['source'])))), None)
    return f"**{kind}** · {old['minutes'] if old else minutes(cells)} minutes · needs {old['needs'] if old else 'no other page'}\n"

def elsewhere(page, cells):
    "What is written below a page's title, and what Colab has to install."
    s, where = settings(), page.relative_to(root).as_posix()
    repo = f"{s['user']}/{s['repo']}"
    colab = f"https://colab.research.google.com/github/{repo}/blob/{s['branch']}/{where}"
    binder = f"https://mybinder.org/v2/gh/{repo}/{s['branch']}?labpath={quote(where, safe='')}"
    install = f'''"install -q '{s['lib_name']}[all] @ git+https://github.com/{repo}@{s['branch']}'"'''
    return (f'{badge(page, cells)}\nRun this page, with nothing to install: [Colab]({colab}), [Binder]({binder}).',
            f"#| hide\n# Colab begins without the package\nif not __import__('importlib.util').util.find_spec('{s['lib_name']}'): get_ipython().run_line_magic('pip', {install})")

def onward(page):
    "The last line of a page: where the sidebar goes on."
    order = [o for o, _ in chapters()]
    here = page.relative_to(root/'nbs').as_posix()
    i = order.index(here) if here in order else -1
    follows = order[(i + 1) % len(order)]
    up = '../'*here.count('/')
    same = Path(here).parent == Path(follows).parent and '/' in here
    return f"Next: [{title(root/'nbs'/follows)}]({Path(follows).name if same else up + follows})"

def with_elsewhere(notebook, page):
    "The notebook's cells with what is made for all pages: the installation first, badge and links behind title and introduction, Next last."
    links, install = elsewhere(page, notebook['cells'])
    def cell(kind, source, known):
        old = next((c for c in notebook['cells'] if c['cell_type'] == kind and re.match(known, ''.join(c['source']))), None)
        more = {'execution_count': None, 'outputs': []} if kind == 'code' else {}
        return dict(cell_type=kind, id=old['id'] if old else secrets.token_hex(4), metadata={}, source=source.splitlines(keepends=True), **more)
    mine = [cell('markdown', links, BADGE.pattern + '|Run this page, with'), cell('code', install, '#\\| hide\n# Colab'), cell('markdown', onward(page), r'Next: \[[^\n]*$')]
    cells = [c for c in notebook['cells'] if c['id'] not in {o['id'] for o in mine}]
    title = next(i for i, c in enumerate(cells) if ''.join(c['source']).startswith('# '))
    behind = title + 1 + (cells[title + 1]['cell_type'] == 'markdown' and cells[title + 1]['source'][0][0] != '#')
    cells.insert(behind, mine[0])
    cells.insert(title, mine[1])
    return cells + [mine[2]]

def same(a, b): return [(c['id'], ''.join(c['source'])) for c in a] == [(c['id'], ''.join(c['source'])) for c in b]

def committed(page):
    "The notebook's cells as git last saw them, or None."
    shown = subprocess.run(['git', 'show', f'HEAD:./{page.relative_to(root).as_posix()}'], cwd=root, capture_output=True)
    return json.loads(shown.stdout)['cells'] if shown.returncode == 0 else None

def only_read(page):
    "Has somebody run and saved this page, and changed no word of it?"
    was = committed(page)
    return was is not None and same(json.loads(page.read_text(encoding='utf-8'))['cells'], was)

def in_a_copy():
    "Paths, relative to the project, that `nbdev_clean` and `nbdev_export` would change."
    def digest(top): return {f.relative_to(top).as_posix(): f.read_bytes() for kind in ('nbs/**/*.ipynb', 'dsketch_nb/*.py') for f in top.glob(kind) if '.ipynb_checkpoints' not in f.parts}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve()/root.name
        skip = shutil.ignore_patterns('.ipynb_checkpoints', '_*proc', '_docs', '__pycache__', 'weights', 'images')
        for o in ('nbs', 'dsketch_nb'): shutil.copytree(root/o, copy/o, ignore=skip)
        for o in ('settings.ini', '_quarto.yml', 'README.md'): shutil.copy(root/o, copy/o)
        before, found = digest(copy), []
        for command in ('nbdev_clean', 'nbdev_export'):
            subprocess.run([Path(sys.executable).parent/command], cwd=copy, check=True)
            after = digest(copy)
            found.append(sorted(f for f in {*before, *after} if before.get(f) != after.get(f)))
            before = after
        return found

SCRIPTS = ('strokes.js', 'engine.js', 'fit.js')    # of the package, and of the site

def main():
    if '--write-readme' in sys.argv:
        (root/'README.md').write_text(readme(), encoding='utf-8')
        for name in SCRIPTS: (root/'nbs'/name).write_bytes((root/'dsketch_nb/static'/name).read_bytes())
        for page in pages():
            notebook = json.loads(page.read_text(encoding='utf-8'))
            cells = with_elsewhere(notebook, page)
            if not same(cells, notebook['cells']): page.write_text(json.dumps(notebook | {'cells': cells}, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf-8')
        subprocess.run([sys.executable, root/'tests/cards.py', '--missing'], check=True)
        return 0
    unclean, unexported = in_a_copy()
    bad = [f'{f} is not what the pages export: run `nbdev_export` and commit the result, or put your page back with `git checkout`' for f in unexported]
    widgets = [p.relative_to(root).as_posix() for p in pages() if any(WIDGET in o.get('data', {}) for c in json.loads(p.read_text(encoding='utf-8'))['cells'] for o in c.get('outputs', []))]
    read = [f for f in sorted({*unclean, *widgets}) if f.endswith('.ipynb') and only_read(root/f)]
    if read: bad.append(f"You have run and saved {len(read)} page{'s' if len(read) > 1 else ''} and changed no word: `git checkout -- {' '.join(read)}` puts back what is committed; `python tests/pages.py --strip {' '.join(read)}` keeps what is shown now.")
    bad += [f'{f} is not clean: run `nbdev_clean` and commit the result' for f in unclean if f not in read]
    for name in SCRIPTS:
        if not (root/'nbs'/name).is_file() or (root/'nbs'/name).read_bytes() != (root/'dsketch_nb/static'/name).read_bytes(): bad.append(f'nbs/{name}, which the site serves, differs from dsketch_nb/static/{name}: run `make readme`')
    if (root/'README.md').read_text(encoding='utf-8') != readme(): bad.append('README.md differs from nbs/index.ipynb: run `make readme`')
    for page in pages():
        notebook = json.loads(page.read_text(encoding='utf-8'))
        if not same(with_elsewhere(notebook, page), notebook['cells']): bad.append(f'{page.relative_to(root)} lacks its badge, its links to Colab and Binder, or its "Next": run `make readme`')
    print('\n'.join(bad) or 'Notebooks are clean, the package is what they export, README.md is the index page.')
    return bool(bad)

if __name__ == '__main__': sys.exit(main())
