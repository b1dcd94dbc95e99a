"""Plain strokes fitted to a soft drawing: nearer to the raster, in every mode and format, and nothing else changed."""
import io, shutil, subprocess, sys
import numpy as np
import pytest
import torch
from PIL import Image
from dsketch_nb.scene import KINDS, Scene

STROKES = tuple(k for k in KINDS if not KINDS[k].filled)
from dsketch_nb.vectors import plain_profile
from dsketch_nb.sharp import closest_profile, sharpened
from dsketch_nb import animation, sharp

resvg_py = pytest.importorskip('resvg_py')
def resvg(svg): return np.asarray(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert('RGB')) / 255
def raster(s): return s.draw().detach().clamp(0, 1).expand(3, -1, -1).permute(1, 2, 0).numpy()
def psnr(a, b): return -10*np.log10(max(((a - b)**2).mean(), 1e-12))

def crowd(compose, kinds=('segments',), n=150, sigma=(1., 4.), seed=0):
    g, s = torch.Generator().manual_seed(seed), Scene(70, 100, compose, '#e8d8c0')
    for kind in kinds:
        k = {'points': 1, 'segments': 2, 'polylines': 4, 'beziers': 7, 'catmull_roms': 5}[kind]
        at = (torch.rand(n, 1, 2, generator=g)*2 - 1) * torch.tensor([1., 99/69])
        sigma2 = (s.pitch*torch.empty(n).uniform_(*sigma, generator=g))**2
        s.add(kind, at + (torch.rand(n, k, 2, generator=g) - .5)*.4, None if compose == 'softor' else torch.rand(n, 3, generator=g), sigma2, torch.empty(n).uniform_(.3, 1, generator=g))
    return s

@pytest.mark.parametrize('compose', ['paint', 'ink', 'softor'])
@pytest.mark.parametrize('kinds', [('segments',), STROKES], ids=['segments', 'all kinds'])
def test_nearer(compose, kinds):
    s = crowd(compose, kinds, n=150 if len(kinds) == 1 else 30)
    got = {p: psnr(resvg(s.to_svg(p)), raster(s)) for p in ('plain', 'closest', 'fitted')}
    assert got['plain'] < got['closest'] < got['fitted'] and got['fitted'] > got['plain'] + (4 if compose == 'paint' else 2.8), got
    assert abs(len(s.to_svg('fitted')) / len(s.to_svg()) - 1) < .3                      # as many strokes

def test_thin_strokes_lose_nothing():
    s = crowd('paint', sigma=(.4, .6), n=100)
    plain, closest, fitted = (psnr(resvg(s.to_svg(p)), raster(s)) for p in ('plain', 'closest', 'fitted'))
    assert closest > plain - .2 and fitted > plain

@pytest.mark.skipif(not shutil.which('pdftoppm'), reason='poppler-utils is not installed')
def test_pdf(tmp_path):
    s, got = crowd('paint'), {}
    for p in ('plain', 'fitted'):
        s.save_pdf(tmp_path/'a.pdf', p)
        subprocess.run(['pdftoppm', '-r', '288', '-png', '-singlefile', tmp_path/'a.pdf', tmp_path/'a'], check=True)
        got[p] = psnr((np.asarray(Image.open(tmp_path/'a.png').convert('RGB'))/255).reshape(70, 4, 100, 4, 3).mean((1, 3)), raster(s))
    assert got['fitted'] > got['plain'] + 3, got

def test_leaves_the_scene_and_its_places():
    s = crowd('paint', STROKES, n=10)
    before = {k: v.clone() for k, v in s.state_dict().items()}
    t = sharpened(s, iters=5)
    assert all(torch.equal(v, before[k]) for k, v in s.state_dict().items()) and t is not s
    for a, b in zip(s.groups, t.groups):
        assert a.kind == b.kind and torch.equal(a.params, b.params) and not torch.equal(a.sigma2, b.sigma2)
        assert b.sigma2.dtype == a.sigma2.dtype and 0 <= b.alpha.min() and b.alpha.max() <= 1 and 0 <= b.colour.min() and b.colour.max() <= 1
    same = sharpened(s, iters=5, colour=False)
    assert all(torch.allclose(a.colour, b.colour, atol=1e-6) for a, b in zip(s.groups, same.groups))
    assert sharpened(s, iters=5).to_svg() == t.to_svg()                                 # the same every time

def test_closest_keeps_the_ink():
    for sigma in (.3, .55, 1., 3.):
        for point in (False, True):
            (w, e), (w0, e0) = closest_profile(sigma, point)[0], plain_profile(sigma, point)[0]
            assert abs(e*w**(2 if point else 1) - e0*w0**(2 if point else 1)) < 1e-9 and e <= 1

@pytest.mark.parametrize('compose', ['paint', 'ink', 'softor'])
def test_little_to_fit(compose):
    for s in (Scene(5, 6, compose), Scene(5, 6, compose).add('segments', torch.zeros(0, 2, 2)), Scene(5, 6, compose).add('points', [[9., 9.]]),
              Scene(1, 1, compose).add('points', [[0., 0.]]), Scene(9, 9, compose).add('segments', [[[0., 0.], [0., 0.]]]).add('points', torch.zeros(0, 2))):
        assert np.isfinite(resvg(s.to_svg('fitted'))).all()

def test_unknown_profile():
    with pytest.raises(ValueError, match='plain, soft, closest, fitted'): Scene(5, 6).to_svg('fuzzy')

def test_animated():
    s = crowd('paint', n=20)
    assert psnr(resvg(s.to_animated_svg(profile='fitted')), resvg(s.to_svg('fitted'))) > 40

def test_numpy_does_the_same(monkeypatch):
    "The way without numba: same lists, same gradients, same file."
    for compose in ('ink', 'paint'):
        s = crowd(compose, STROKES, n=6)
        compiled = sharpened(s, 12)
        with monkeypatch.context() as m:
            m.setattr(sharp, '_kernel', lambda: sharp._sharp_numpy)
            plain = sharpened(s, 12)
        for a, b in zip(compiled.parameters(), plain.parameters()): torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)

WITHOUT = {'no numba': "import sys; sys.modules['numba'] = None\n", 'cannot compile': '''
import numba
def njit(*a, **k):
    def wrap(f):
        def broken(*a): raise RuntimeError('no compiler')
        broken.py_func = f
        return broken
    return wrap
numba.njit = njit
''', 'cannot keep': '''
import numba
real = numba.njit
def njit(*a, cache=False, **k):
    if cache: raise RuntimeError('cannot cache function: no locator available')
    return real(*a, **k)
numba.njit = njit
''', 'not compiled': "import os; os.environ['NUMBA_DISABLE_JIT'] = '1'\n"}

@pytest.mark.parametrize('how', WITHOUT)
def test_where_numba_does_not_run(how):
    "The module is imported and fits strokes all the same."
    code = WITHOUT[how] + '''
import torch
from dsketch_nb import draw, sharp
draw.BACKENDS['numba'].__dict__.update(device='nowhere')
s = sharp.Scene(9, 12, 'paint').add('segments', [[[-.5, -.5], [.5, .4]], [[.5, -.5], [-.2, .4]]], ['red', 'navy'], .02)
print(len(sharp.sharpened(s, 3)), s.to_svg('fitted') != s.to_svg())
'''
    run = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True)
    assert run.stdout.split() == ['2', 'True'], run.stderr[-600:]
