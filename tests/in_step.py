"""Are the notebooks clean, the package exported from them, README.md the same as nbs/index.ipynb, and can each page be opened elsewhere? `--write-readme` writes all that."""
import configparser, hashlib, json, re, secrets, subprocess, sys
from pathlib import Path
from urllib.parse import quote

root = Path(__file__).parent.parent

def readme():
    "The index page as Markdown: text as it is, code fenced, links made relative to the top folder."
    cells = json.loads((root/'nbs/index.ipynb').read_text(encoding='utf-8'))['cells']
    parts = []
    for c in cells:
        src = ''.join(c['source'])
        if src.startswith('#| hide'): continue
        parts.append(src if c['cell_type'] == 'markdown' else f'```python\n{src}\n```')
    return re.sub(r'(\]\(|\b(?:src|srcset)=")(?!https?:|#|mailto:)', r'\1nbs/', '\n\n'.join(parts)) + '\n'

def pages(): return sorted(p for p in root.glob('nbs/**/*.ipynb') if p.stem != 'index' and not any(o.startswith(('.', '_')) for o in p.relative_to(root).parts))

def elsewhere(page):
    "Where a page can be run without installing anything: two cells, links for the reader and what Colab has to install."
    settings = configparser.ConfigParser(delimiters=['='], interpolation=None)
    settings.read(root/'settings.ini', encoding='utf-8')
    s, where = settings['DEFAULT'], page.relative_to(root).as_posix()
    repo = f"{s['user']}/{s['repo']}"
    colab = f"https://colab.research.google.com/github/{repo}/blob/{s['branch']}/{where}"
    binder = f"https://mybinder.org/v2/gh/{repo}/{s['branch']}?labpath={quote(where, safe='')}"
    install = f'''"install -q '{s['lib_name']}[all] @ git+https://github.com/{repo}@{s['branch']}'"'''
    return (f'Run this page, with nothing to install: [Colab]({colab}), [Binder]({binder}).',
            f"#| hide\n# Colab begins without the package\nif not __import__('importlib.util').util.find_spec('{s['lib_name']}'): get_ipython().run_line_magic('pip', {install})")

def with_elsewhere(notebook, page):
    "The notebook's cells with those two: the installation first, the links behind title and introduction."
    links, install = elsewhere(page)
    def cell(kind, source, known):
        old = next((c for c in notebook['cells'] if ''.join(c['source']).startswith(known)), None)
        more = {'execution_count': None, 'outputs': []} if kind == 'code' else {}
        return dict(cell_type=kind, id=old['id'] if old else secrets.token_hex(4), metadata={}, source=source.splitlines(keepends=True), **more)
    mine = [cell('markdown', links, links[:13]), cell('code', install, '#| hide\n# Colab')]
    cells = [c for c in notebook['cells'] if c['id'] not in {o['id'] for o in mine}]
    title = next(i for i, c in enumerate(cells) if ''.join(c['source']).startswith('# '))
    behind = title + 1 + (cells[title + 1]['cell_type'] == 'markdown' and cells[title + 1]['source'][0][0] != '#')
    cells.insert(behind, mine[0])
    cells.insert(title, mine[1])
    return cells

def same(a, b): return [(c['id'], ''.join(c['source'])) for c in a] == [(c['id'], ''.join(c['source'])) for c in b]

def files(): return sorted([*root.glob('nbs/**/*.ipynb'), *root.glob('dsketch_nb/*.py')])
def digest(): return {f.relative_to(root): hashlib.sha256(f.read_bytes()).hexdigest() for f in files() if '.ipynb_checkpoints' not in f.parts}

def main():
    if '--write-readme' in sys.argv:
        (root/'README.md').write_text(readme(), encoding='utf-8')
        (root/'nbs/strokes.js').write_bytes((root/'dsketch_nb/static/strokes.js').read_bytes())
        for page in pages():
            notebook = json.loads(page.read_text(encoding='utf-8'))
            cells = with_elsewhere(notebook, page)
            if not same(cells, notebook['cells']): page.write_text(json.dumps(notebook | {'cells': cells}, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf-8')
        return 0
    before, bad = digest(), []
    for command in ('nbdev_export', 'nbdev_clean'):
        subprocess.run([Path(sys.executable).parent/command], cwd=root, check=True)
        after = digest()
        bad += [f'{command} changes {f}: run it and commit the result' for f in sorted({*before, *after}) if before.get(f) != after.get(f)]
        before = after
    if (root/'nbs/strokes.js').read_bytes() != (root/'dsketch_nb/static/strokes.js').read_bytes(): bad.append('nbs/strokes.js, which the site serves, differs from dsketch_nb/static/strokes.js: run `make readme`')
    if (root/'README.md').read_text(encoding='utf-8') != readme(): bad.append('README.md differs from nbs/index.ipynb: run `make readme`')
    for page in pages():
        notebook = json.loads(page.read_text(encoding='utf-8'))
        if not same(with_elsewhere(notebook, page), notebook['cells']): bad.append(f'{page.relative_to(root)} lacks its links to Colab and Binder: run `make readme`')
    print('\n'.join(bad) or 'Notebooks are clean, the package is what they export, README.md is the index page.')
    return bool(bad)

if __name__ == '__main__': sys.exit(main())
