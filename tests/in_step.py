"""Are the notebooks clean, the package exported from them, and README.md the same as nbs/index.ipynb? `--write-readme` writes it."""
import hashlib, json, re, subprocess, sys
from pathlib import Path

root = Path(__file__).parent.parent

def readme():
    "The index page as Markdown: text as it is, code fenced, links made relative to the top folder."
    cells = json.loads((root/'nbs/index.ipynb').read_text(encoding='utf-8'))['cells']
    parts = []
    for c in cells:
        src = ''.join(c['source'])
        if src.startswith('#| hide'): continue
        parts.append(src if c['cell_type'] == 'markdown' else f'```python\n{src}\n```')
    return re.sub(r'\]\((?!https?:|#|mailto:)', '](nbs/', '\n\n'.join(parts)) + '\n'

def files(): return sorted([*root.glob('nbs/**/*.ipynb'), *root.glob('dsketch_nb/*.py')])
def digest(): return {f.relative_to(root): hashlib.sha256(f.read_bytes()).hexdigest() for f in files() if '.ipynb_checkpoints' not in f.parts}

def main():
    if '--write-readme' in sys.argv:
        (root/'README.md').write_text(readme(), encoding='utf-8')
        (root/'nbs/strokes.js').write_bytes((root/'dsketch_nb/static/strokes.js').read_bytes())
        return 0
    before, bad = digest(), []
    for command in ('nbdev_export', 'nbdev_clean'):
        subprocess.run([Path(sys.executable).parent/command], cwd=root, check=True)
        after = digest()
        bad += [f'{command} changes {f}: run it and commit the result' for f in sorted({*before, *after}) if before.get(f) != after.get(f)]
        before = after
    if (root/'nbs/strokes.js').read_bytes() != (root/'dsketch_nb/static/strokes.js').read_bytes(): bad.append('nbs/strokes.js, which the site serves, differs from dsketch_nb/static/strokes.js: run `make readme`')
    if (root/'README.md').read_text(encoding='utf-8') != readme(): bad.append('README.md differs from nbs/index.ipynb: run `make readme`')
    print('\n'.join(bad) or 'Notebooks are clean, the package is what they export, README.md is the index page.')
    return bool(bad)

if __name__ == '__main__': sys.exit(main())
