"""`python tests/smoke.py DIST`: does the wheel in that folder work where nothing else of ours is? Its dependencies are those of this interpreter."""
import os, subprocess, sys, tempfile
from pathlib import Path

CODE = '''
import torch, dsketch_nb
from dsketch_nb import Scene, draw, imageopt, load
from importlib.resources import files
line = torch.tensor([[[-.5, -.5], [.5, .5]]], requires_grad=True)
draw(line, (16, 16), .02).sum().backward()
assert torch.isfinite(line.grad).all() and line.grad.abs().sum() > 0
assert files('dsketch_nb').joinpath('static', 'strokes.js').is_file() and files('dsketch_nb').joinpath('py.typed').is_file()
assert len(load('mnist-autoencoder').decoder.shape) == 3
print(dsketch_nb.__version__, dsketch_nb.__file__)
'''

def main(dist):
    wheel, = Path(dist).resolve().glob('*.whl')
    with tempfile.TemporaryDirectory() as d:
        where, empty = Path(d)/'installed', Path(d)/'empty'
        empty.mkdir()
        subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--target', where, wheel], check=True)
        env = {**os.environ, 'PYTHONPATH': str(where)}
        said = subprocess.run([sys.executable, '-c', CODE], cwd=empty, env=env, check=True, capture_output=True, text=True).stdout
        assert str(where) in said, said
        run = [sys.executable, '-c', 'from dsketch_nb.imageopt_command import main; main()']
        subprocess.run([*run, 'sample:china', '--loss', 'MSELoss', '--width', '40', '--lines', '20', '--iters', '5'], cwd=empty, env=env, check=True)
        made = sorted(o.suffix for o in empty.iterdir())
        assert made == ['.pdf', '.png', '.svg'], made
        print('the wheel of', said.split()[0], 'imports, draws, and turns a photograph into', *made)

if __name__ == '__main__': main(sys.argv[1])
