"""`python tests/pages.py [--strip] PAGES...`: run notebooks from top to bottom and keep what they show. `--strip` runs nothing. Either way they are clean afterwards, as `nbdev_clean` leaves them.

A widget's output names a model that lives in one kernel and nowhere else; its still picture says more to everybody who reads the page later, so only that is kept."""
import re, subprocess, sys
from pathlib import Path

import nbformat

VIEW = 'application/vnd.jupyter.widget-view+json'

def strip(nb):
    "Widgets' stills without their models, what was printed in one piece, and no word of compiling, which happens once on a machine."
    for cell in nb.cells:
        whole = []
        for o in cell.get('outputs', []):
            if o.output_type == 'stream':
                o.text = re.sub(r'^dsketch_nb: compiling .*\n', '', o.text, flags=re.M)
                if not o.text: continue
                if whole and whole[-1].output_type == 'stream' and whole[-1].name == o.name:
                    whole[-1].text += o.text
                    continue
            whole.append(o)
        if cell.cell_type == 'code': cell.outputs = whole
        for o in cell.get('outputs', []):
            if VIEW in o.get('data', {}) and {'image/png', 'text/html'} & set(o.data): del o.data[VIEW]
    nb.metadata.pop('widgets', None)

def main(*args):
    run = '--strip' not in args
    for path in map(Path, [a for a in args if a != '--strip']):
        nb = nbformat.read(path, 4)
        if run:
            from nbclient import NotebookClient
            NotebookClient(nb, timeout=900, kernel_name='python3', resources={'metadata': {'path': path.parent}}).execute()
        strip(nb)
        nbformat.write(nb, path)
        subprocess.run([Path(sys.executable).parent/'nbdev_clean', '--fname', path], check=True)    # no counts, no names of kernels

if __name__ == '__main__': main(*sys.argv[1:])
