"The losses that need no network: closed forms, independent implementations, properties, odd sizes, errors."
import gc, importlib.util, math, weakref
from pathlib import Path
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from hypothesis import given, settings, strategies as st
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.filters import gaussian
from torch.autograd import gradcheck, gradgradcheck
from dsketch_nb import losses as L, perceptual
from dsketch_nb.command import build, options
from dsketch_nb.curves import curve_edt2_polyline
from dsketch_nb.raster import line_edt2, nearest_neighbour, pixel_grid, pixel_pitch, point_edt2, softor

@pytest.fixture(scope='module', autouse=True)
def one_thread():
    "Small images: sharing them out costs more than it saves."
    n = torch.get_num_threads(); torch.set_num_threads(1); torch.manual_seed(0); yield; torch.set_num_threads(n)

PIXEL = dict(MSELoss=lambda c, d: L.MSELoss(), BCELoss=lambda c, d: L.BCELoss(),
             BlurredMSELoss=lambda c, d: L.BlurredMSELoss(c, 1.3, dim=d), BlurredOneSided=lambda c, d: L.BlurredMSELoss(c, 1.3, symmetric=False, dim=d),
             PyrMSELoss=lambda c, d: L.PyrMSELoss(c, dim=d), PyrWeighted=lambda c, d: L.PyrMSELoss(c, 2, 3, weight=True, dim=d),
             PyrOneSided=lambda c, d: L.PyrMSELoss(c, 2, symmetric=False, weight=True, dim=d), PyrSmall=lambda c, d: L.PyrMSELoss(c, 2, downsample=True, weight=True, dim=d),
             PyrSmallOneSided=lambda c, d: L.PyrMSELoss(c, 2, downsample=True, symmetric=False, dim=d),
             DoGPyrMSELoss=lambda c, d: L.DoGPyrMSELoss(c, dim=d), DoGSmall=lambda c, d: L.DoGPyrMSELoss(c, 2, downsample=True, weight=True, dim=d))
LINEAR = [n for n in PIXEL if 'OneSided' not in n and n != 'BCELoss']
rand = lambda *s, **k: torch.rand(*s, dtype=torch.float64, **k)

# ---- the base class

def test_registry():
    assert {'MSELoss', 'BCELoss', 'BlurredMSELoss', 'PyrMSELoss', 'DoGPyrMSELoss'} <= set(L.Loss.known) and 'Chamfer' not in L.Loss.known and 'Loss' not in L.Loss.known
    first = type('Fresh', (L.Loss,), {}); second = type('Fresh', (L.Loss,), {}); type('_Hidden', (L.Loss,), {})
    try: assert L.Loss.find('Fresh') is second is not first and '_Hidden' not in L.Loss.known
    finally: del L.Loss.known['Fresh']
    with pytest.raises(ValueError, match=r"loss 'mse' is not known: expected one of .*BCELoss, BlurredMSELoss, .*PyrMSELoss"): L.Loss.find('mse')
    with pytest.raises(NotImplementedError, match='has no `compare'): type('_Empty', (L.Loss,), {})()(rand(1, 1, 2), rand(1, 1, 2))

def test_two_images_of_one_shape():
    for name, make in PIXEL.items():
        with pytest.raises(ValueError, match=r'has shape \[2, 1, 8, 8\], the target \[1, 1, 8, 8\]: give both the same'): make(1, 2)(rand(2, 1, 8, 8), rand(1, 1, 8, 8))
        with pytest.raises(ValueError, match='no pixels'): make(1, 2)(rand(1, 1, 8, 0), rand(1, 1, 8, 0))

# ---- every pixel loss

@pytest.mark.parametrize('name', PIXEL)
@pytest.mark.parametrize('dim', (1, 2, 3))
def test_gradcheck(name, dim):
    shape = {1: (2, 2, 7), 2: (2, 1, 4, 5), 3: (1, 1, 3, 2, 4)}[dim]
    loss, t = PIXEL[name](shape[1], dim), rand(*shape)
    assert gradcheck(lambda x: loss(x, t), (.1 + .8*rand(*shape)).requires_grad_())

@pytest.mark.parametrize('f', (L.mse_loss, L.bce_loss, L.blurred_mse_loss, L.pyr_mse_loss, L.dog_pyr_mse_loss))
def test_batchmean_is_the_mean_times_the_values_of_an_image(f):
    x, t = rand(4, 3, 8, 9), rand(4, 3, 8, 9)
    torch.testing.assert_close(f(x, t, reduction='batchmean'), f(x, t) * 3*8*9)
    torch.testing.assert_close(f(x, t, reduction='batchmean'), torch.stack([f(x[i:i+1], t[i:i+1], reduction='batchmean') for i in range(4)]).mean())          # batch equals loop
    with pytest.raises(ValueError, match="reduction is 'sum': expected 'mean'"): f(x, t, reduction='sum')

@pytest.mark.parametrize('name', PIXEL)
@pytest.mark.parametrize('shape', ((1, 1), (17, 300), (300, 2), (5, 1)))
def test_odd_sizes(name, shape):
    if 'Small' in name and min(shape) < 2:
        with pytest.raises(ValueError, match=r'2 octaves with downsampling needs sides of at least 2 pixels and got .*: 1 octave fits'): PIXEL[name](3, 2)(rand(1, 3, *shape), rand(1, 3, *shape))
        return
    x, t = rand(1, 3, *shape).requires_grad_(), rand(1, 3, *shape)
    out = PIXEL[name](3, 2)(x, t); out.backward()
    assert out > 0 and x.grad.isfinite().all() and x.grad.abs().sum() > 0

@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(PIXEL)), st.integers(1, 2), st.integers(1, 3), st.integers(2, 12), st.integers(2, 12), st.integers(0, 2**31), st.booleans())
def test_properties(name, b, c, h, w, seed, hard):
    g = torch.Generator().manual_seed(seed)
    x, t = torch.rand(2, b, c, h, w, generator=g)
    if hard: x, t = x.round(), t.round()
    loss = PIXEL[name](c, 2); x.requires_grad_()
    out = loss(x, t); out.backward()
    assert out.isfinite() and out >= 0 and x.grad.isfinite().all()
    if name in LINEAR or (name == 'BCELoss' and hard): assert loss(t, t) < 2e-6
    if name in LINEAR: torch.testing.assert_close(loss(x, t), loss(t, x), rtol=1e-5, atol=1e-8)

@pytest.mark.parametrize('name', PIXEL)
def test_float32_follows_float64(name):
    x, t = rand(1, 3, 20, 30), rand(1, 3, 20, 30)
    assert abs(PIXEL[name](3, 2)(x.float(), t.float()) / PIXEL[name](3, 2)(x, t) - 1) < 1e-5

# ---- MSE and BCE

def test_mse_and_bce_against_torch():
    x, t = .01 + .98*rand(3, 2, 5, 6), rand(3, 2, 5, 6)
    torch.testing.assert_close(L.mse_loss(x, t), F.mse_loss(x, t)); assert L.MSELoss()(x, t) == L.mse_loss(x, t)
    torch.testing.assert_close(L.bce_loss(x, t), F.binary_cross_entropy(x, t), rtol=1e-4, atol=0); assert L.BCELoss()(x, t) == L.bce_loss(x, t)
    torch.testing.assert_close(L.bce_loss(x, t, eps=0.), F.binary_cross_entropy(x, t))
    torch.testing.assert_close(L.bce_loss(x, t, 'batchmean', 0.), F.binary_cross_entropy(x, t, reduction='sum')/3)

@pytest.mark.parametrize('dtype', (torch.float32, torch.float64))
def test_bce_at_the_ends(dtype):
    x = torch.tensor([[[0., 0., 1., 1.]]], dtype=dtype, requires_grad=True); t = torch.tensor([[[0., 1., 0., 1.]]], dtype=dtype)
    out = L.bce_loss(x, t); out.backward()
    assert abs(out - 13.8155/2) < .1 and x.grad.isfinite().all()
    assert x.grad[0, 0, 1] < -1e5 and x.grad[0, 0, 2] > 1e5                       # a certain mistake still knows the way out
    near = torch.tensor([[[-5e-7, 1 + 5e-7]]], dtype=dtype, requires_grad=True)      # rounding of a rasteriser is forgiven
    L.bce_loss(near, torch.tensor([[[1., 0.]]], dtype=dtype)).backward(); assert near.grad.isfinite().all()

@pytest.mark.parametrize('bad', (-.1, 1.1, math.nan, math.inf))
def test_bce_outside(bad):
    x = torch.full((1, 1, 2), .5); y = x.clone(); y[0, 0, 1] = bad
    with pytest.raises(ValueError, match='the drawing has values from .* expected .0, 1.: clamp'): L.bce_loss(y, x)
    with pytest.raises(ValueError, match='the target has values from'): L.bce_loss(x, y)

# ---- blur

@pytest.mark.parametrize('sigma', (.1, .3, .5, 1, 1.37, 4, 20))
def test_blur_against_scipy_and_skimage(sigma):
    for dim, shape in ((1, (2, 50)), (2, (2, 17, 30)), (3, (2, 5, 6, 7)), (2, (1, 1, 1)), (2, (1, 300, 2)), (1, (2, 400))):
        x = rand(*shape); n = len(L.gaussian_taps(float(sigma)))
        assert n % 2 == 1 and n - 2 < math.floor(8*sigma + 1) <= n
        want = ndimage.gaussian_filter(x.numpy(), sigma, mode='constant', axes=tuple(range(-dim, 0)), radius=n//2)
        np.testing.assert_allclose(L.blur(x, sigma, dim), want, atol=1e-13)
    x = rand(30, 40)
    if int(4*sigma + .5) == n//2: np.testing.assert_allclose(L.blur(x, sigma), gaussian(x.numpy(), sigma, mode='constant', truncate=4), atol=1e-13)

@pytest.mark.parametrize('dim', (1, 2, 3))
def test_blur_is_linear_self_adjoint_and_twice_differentiable(dim):
    shape = (5, 4, 6)[:dim]; x, y = rand(2, *shape, requires_grad=True), rand(2, *shape)
    torch.testing.assert_close((L.blur(x, .9, dim)*y).sum(), (x*L.blur(y, .9, dim)).sum())
    torch.testing.assert_close(L.blur(2*x + y, .9, dim), 2*L.blur(x, .9, dim) + L.blur(y, .9, dim))
    assert gradcheck(lambda x: L.blur(x, .6, dim), x) and gradgradcheck(lambda x: L.blur(x, .6, dim).square(), x)

def test_blur_ways_agree_and_layouts_do_not_matter():
    x = rand(2, 3, 8, 9)
    for axis in (-1, -2, -3, -4):
        for sigma in (.5, 1.2, 7.): torch.testing.assert_close(L._pass_shifts(x, L.gaussian_taps(sigma), axis), L._pass_matrix(x, L.gaussian_taps(sigma), axis))
    with torch.inference_mode(): L.blur(rand(1, 13, 13), 3.)
    assert gradcheck(lambda x: L.blur(x, 3.), rand(1, 13, 13, requires_grad=True))                # a matrix made without gradients serves with them
    for y in (x.transpose(-1, -2), x[..., ::2], x.expand(2, 3, 8, 9), x.to(memory_format=torch.channels_last)):
        torch.testing.assert_close(L.blur(y, 1.), L.blur(y.contiguous(), 1.))
    before = x.clone(); L.blur(x, 1.); assert torch.equal(before, x)
    assert L.blur(x, 0) is x

@pytest.mark.parametrize('bad', (-1, math.nan, math.inf))
def test_bad_sigma(bad):
    with pytest.raises(ValueError, match='expected a standard deviation of 0 or more'): L.blur(rand(3, 3), bad)
    with pytest.raises(ValueError, match='expected a standard deviation of 0 or more'): L.BlurredMSELoss(1, blur_sigma=bad)

def test_wrong_images():
    for loss in (L.BlurredMSELoss(3), L.PyrMSELoss(3), L.DoGPyrMSELoss(3)):
        with pytest.raises(ValueError, match=r'shape \[1, 1, 8, 8\], expected \[B, 3, n, n\] for channels=3, dim=2'): loss(rand(1, 1, 8, 8), rand(1, 1, 8, 8))
        with pytest.raises(ValueError, match='expected'): loss(rand(3, 8, 8), rand(3, 8, 8))
    with pytest.raises(ValueError, match='dim is 4: expected 1, 2 or 3'): L.blur(rand(3, 3), 1, 4)
    with pytest.raises(ValueError, match='fewer than dim=3 axes'): L.blur(rand(3, 3), 1, 3)

def test_blurred_by_hand():
    x, t = rand(2, 3, 9, 8), rand(2, 3, 9, 8)
    G = lambda x: torch.tensor(ndimage.gaussian_filter(x.numpy(), 1., mode='constant', axes=(-2, -1)))
    torch.testing.assert_close(L.BlurredMSELoss(3)(x, t), (G(x) - G(t)).square().mean())
    torch.testing.assert_close(L.BlurredMSELoss(3, symmetric=False)(x, t), (G(x) - t).square().mean())
    torch.testing.assert_close(L.BlurredMSELoss(3, 0.)(x, t), F.mse_loss(x, t))

# ---- pyramids

def _levels(x, octaves, intervals, down, init=.5):
    "An independent scale space: scipy's filter, one step after the other."
    k, out, sigma, x = 2**(1/intervals), [x], init, x
    for o in range(octaves):
        if down and o: x, sigma = x[..., ::2, ::2], init
        for _ in range(intervals):
            s = sigma * math.sqrt(k*k - 1)
            x = ndimage.gaussian_filter(x, s, mode='constant', axes=(-2, -1), radius=math.floor(8*s + 1)//2); sigma *= k; out.append(x)
    return out

@pytest.mark.parametrize('octaves,intervals,down', ((1, 1, False), (3, 2, False), (3, 2, True), (2, 3, True), (4, 1, True)))
def test_pyramid_against_scipy(octaves, intervals, down):
    x, t = rand(1, 2, 19, 33), rand(1, 2, 19, 33)
    X, T = (_levels(o.numpy(), octaves, intervals, down) for o in (x, t))
    for a, b in zip(L.gaussian_pyramid(x, octaves, intervals, down), X, strict=True): np.testing.assert_allclose(a, b, atol=1e-12)
    loss = L.PyrMSELoss(2, octaves, intervals, down)
    assert abs(loss(x, t) - sum(((a - b)**2).mean() for a, b in zip(X, T))) < 1e-12
    sigmas = .5 * 2**(np.arange(1 + octaves*intervals)/intervals)
    weighted = sum((s/.5)**2 * ((a - b)**2).mean() for a, b, s in zip(X, T, sigmas))
    assert abs(L.PyrMSELoss(2, octaves, intervals, down, weight=True)(x, t) - weighted) < 1e-10
    plain, y = [], t.numpy()
    for i in range(1 + octaves*intervals):
        if down and i > 1 and (i - 1) % intervals == 0: y = y[..., ::2, ::2]
        plain.append(y)
    one_sided = sum(((a - b)**2).mean() for a, b in zip(X, plain, strict=True))
    assert abs(L.PyrMSELoss(2, octaves, intervals, down, symmetric=False)(x, t) - one_sided) < 1e-12
    if not down:
        dog = sum((((b - a) - (d - c))**2).mean() for a, b, c, d in zip(X, X[1:], T, T[1:]))
        assert abs(L.DoGPyrMSELoss(2, octaves, intervals)(x, t) - dog) < 1e-12
    assert len(L.dog_pyramid(x, octaves, intervals, down)) == octaves*intervals

def test_dog_with_downsampling_compares_one_size():
    x = rand(1, 1, 16, 20); levels, dogs = L.gaussian_pyramid(x, 3, 2, True), L.dog_pyramid(x, 3, 2, True)
    for i, d in enumerate(dogs):
        a = levels[i][..., ::2, ::2] if i in (2, 4) else levels[i]
        torch.testing.assert_close(d, levels[i+1] - a)

def test_scale_space_is_a_scale_space():
    x = torch.zeros(1, 1, 81, 81, dtype=torch.float64); x[..., 40, 40] = 1; r = torch.arange(81.) - 40
    for level, s in list(zip(L.gaussian_pyramid(x, 3, 2, init_sigma=1.), L.pyramid_sigmas(3, 2, 1.)))[1:]:
        torch.testing.assert_close((level.sum((0, 1, 2)) * r**2).sum().item(), s**2 - 1, rtol=.01, atol=0)           # variances add

def test_pyramid_arguments():
    for k, bad in (('octaves', 0), ('octaves', 1.5), ('intervals', -1)):
        for cls in (L.PyrMSELoss, L.DoGPyrMSELoss):
            with pytest.raises(ValueError, match=f'{k} is {bad}: expected a whole number, 1 or more'): cls(1, **{k: bad})
    with pytest.raises(ValueError, match='init_sigma is 0'): L.PyrMSELoss(1, init_sigma=0)
    with pytest.raises(ValueError, match='weight has 2 numbers for 7 levels'): L.PyrMSELoss(1, weight=[1, 2])
    with pytest.raises(ValueError, match='weight has 7 numbers for 6 levels'): L.DoGPyrMSELoss(1, weight=[1]*7)
    x, t = rand(1, 1, 6, 6), rand(1, 1, 6, 6)
    torch.testing.assert_close(L.PyrMSELoss(1, weight=[1] + [0]*6)(x, t), F.mse_loss(x, t))
    for side, fit in ((1, '1 octave fits'), (3, '2 octaves fit'), (17, '5 octaves fit')):
        with pytest.raises(ValueError, match=f'6 octaves with downsampling needs sides of at least 32 pixels and got .*: {fit}, or turn downsample off'):
            L.PyrMSELoss(1, 6, downsample=True)(rand(1, 1, 40, side), rand(1, 1, 40, side))
    assert L.PyrMSELoss(1, 5, downsample=True)(rand(1, 1, 40, 17), rand(1, 1, 40, 17)) > 0

def test_options_are_annotated():
    from fastcore.docments import docments
    for cls in (L.MSELoss, L.BCELoss, L.BlurredMSELoss, L.PyrMSELoss, L.DoGPyrMSELoss):
        for n, o in docments(cls, full=True).items():
            if n not in ('self', 'return'): assert o.docment and o.anno in (int, float, bool), (cls, n)
    assert [n for n in docments(L.PyrMSELoss) if n not in ('self', 'return')] == ['channels', 'octaves', 'intervals', 'downsample', 'symmetric', 'init_sigma', 'weight', 'dim']
    assert [n for n in options(L.PyrMSELoss)] == ['octaves', 'intervals', 'downsample', 'symmetric', 'init_sigma', 'weight'] and not options(L.MSELoss)
    assert build(L.PyrMSELoss, {'octaves': 2}, channels=3, size=(4, 4)).pyramid['octaves'] == 2

# ---- chamfer and Hausdorff

def _hard(lines, grid): return softor(nearest_neighbour(line_edt2(lines, grid), 1/(grid.shape[0] - 1)), dim=0)

def test_chamfer_against_a_distance_transform():
    g = pixel_grid(24, 24, dtype=torch.float64); unit = pixel_pitch(24, 24)
    target = torch.tensor([[[-.5, -.7], [.6, .3]], [[.1, .8], [.7, -.2]]], dtype=torch.float64); mine = torch.tensor([[[-8.5, 2.5], [9.5, 2.5]]], dtype=torch.float64)*unit
    ink, far = _hard(target, g), ndimage.distance_transform_edt(1 - _hard(mine, g).numpy()) * unit
    want = torch.tensor(far) * ink
    torch.testing.assert_close(L.chamfer_line(mine, target, g, reduction='none'), want, atol=1e-6, rtol=0)
    torch.testing.assert_close(L.chamfer_line(mine, target, g), want.mean(), atol=1e-8, rtol=0)
    torch.testing.assert_close(L.chamfer(torch.tensor(far)**2, ink), want.mean())

def test_chamfer_symmetric_modules_points_and_curves():
    g = pixel_grid(15, 20, dtype=torch.float64); a, b = (2*rand(2, n, 2, 2) - 1 for n in (3, 2))
    both = L.chamfer_line(a, b, g, symmetric=True)
    torch.testing.assert_close(both, L.chamfer_line(a, b, g) + L.chamfer_line(b, a, g)); torch.testing.assert_close(both, L.chamfer_line(b, a, g, symmetric=True))
    torch.testing.assert_close(L.chamfer_line(a, b, g, reduction='none').shape, torch.Size([2, 15, 20]))
    torch.testing.assert_close(L.chamfer_line(a, b, g, reduction='sum'), both.new_tensor(300*2) * L.chamfer_line(a, b, g))
    m = L.Chamfer(lambda p: L.least_edt2(p, g), lambda p: L.hard_raster(p, g), symmetric=True); assert m(a, b) == both
    assert L.chamfer_line(a[:, :, 0], b[:, :, 0], g, edt2=point_edt2) > 0
    c = (2*rand(2, 2, 4, 2) - 1).requires_grad_(); edt2 = lambda p, g: curve_edt2_polyline(p, g, 8)
    L.chamfer_line(c, c.detach().flip(0), g, symmetric=True, edt2=edt2).backward(); assert c.grad.isfinite().all() and c.grad.abs().max() > 0
    assert gradcheck(lambda a: L.chamfer_line(a, b, g), a.requires_grad_())

@pytest.mark.parametrize('shape', ((9,), (6, 7), (4, 5, 3), (1, 1), (1, 8)))
def test_chamfer_in_any_dimension_with_finite_gradients(shape):
    g = pixel_grid(*shape, dtype=torch.float64); D = len(shape)
    lines = torch.zeros(1, 2, 2, D, dtype=torch.float64); lines[0, 0, 1] = .5; lines.requires_grad_()          # one segment, one of no length, through pixels
    L.chamfer_line(lines, lines.detach(), g, symmetric=True).backward(); assert lines.grad.isfinite().all()

def test_chamfer_errors():
    g = pixel_grid(5, 5)
    with pytest.raises(ValueError, match='at least one stroke'): L.chamfer_line(torch.zeros(1, 0, 2, 2), torch.zeros(1, 1, 2, 2), g)
    with pytest.raises(ValueError, match="reduction is 'batchmean'"): L.chamfer_line(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), g, reduction='batchmean')
    with pytest.raises(ValueError, match='symmetric chamfer needs both'): L.chamfer(torch.zeros(1, 5, 5), torch.zeros(1, 5, 5), symmetric=True)
    with pytest.raises(ValueError, match='give both the same'): L.chamfer(torch.zeros(1, 5, 5), torch.zeros(2, 5, 5))

@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**31))
def test_hausdorff_against_scipy(n, m, seed):
    r = np.random.default_rng(seed); a, b = r.integers(0, 20, (n, 2)).astype(float), r.integers(0, 20, (m, 2)).astype(float)
    d = cdist(a, b); want = max(d.min(0).mean(), d.min(1).mean())
    got = L.mod_hausdorff_distance(torch.tensor(a), torch.tensor(b))
    assert abs(got - want) < 1e-12 and abs(got - L.mod_hausdorff_distance(torch.tensor(b), torch.tensor(a))) < 1e-12
    assert L.mod_hausdorff_distance(torch.tensor(a), torch.tensor(a)) == 0

def test_ink_coordinates():
    im = (rand(1, 20, 30) > .7).double(); at = L.ink_coordinates(im)
    assert at.shape == (int(im.sum()), 2) and at.mean(0).abs().max() < 1e-9
    torch.testing.assert_close(L.ink_coordinates(im, centred=False), im[0].nonzero().double())
    assert L.ink_coordinates(im > .5).dtype == torch.get_default_dtype() and L.ink_coordinates(0*im).shape == (0, 2)
    assert L.mod_hausdorff_distance(at, at[:0]) == math.inf and L.mod_hausdorff_distance(at[:0], at[:0]) == 0
    with pytest.raises(ValueError, match='expected one image'): L.ink_coordinates(rand(2, 1, 5, 5))

# ---- the benchmark

@pytest.fixture
def bench(tmp_path, monkeypatch):
    "benchmarks/losses.py as a module, on a machine without weights."
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path/'hub'))
    def unreachable(url, timeout=None): raise OSError('no network')
    monkeypatch.setattr(perceptual.urllib.request, 'urlopen', unreachable)
    spec = importlib.util.spec_from_file_location('bench_losses', Path(__file__).parent.parent/'benchmarks'/'losses.py')
    module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
    return module

def test_benchmark(bench, tmp_path, capsys):
    bench.main(['--width', '24', '--lines', '9', '--iters', '3', '--only', 'MSELoss', 'BlurredMSELoss', 'LPIPSLoss', '--sheet', str(tmp_path/'a.png')])
    table = [[c.strip() for c in line.strip('|').split('|')] for line in capsys.readouterr().out.splitlines() if line.startswith('|')]
    assert [r[0] for r in table] == ['`--loss`', '---', '`MSELoss`', '`BlurredMSELoss`', '`BlurredMSELoss --no-symmetric`', *(f'`LPIPSLoss --net {n}`' for n in ('squeeze', 'alex', 'vgg'))]
    assert {len(r) for r in table} == {5} and table[-1][1] == 'no weights: vgg16-397923af.pth' and all(r[3] == 'no weights' and float(r[1]) > 0 and -1 < float(r[2]) < 1 and float(r[4]) >= 0 for r in table[2:5])
    assert Image.open(tmp_path/'a.png').size == (3*(24 + 8) - 8, 2*(26 + 16 + 8) - 8)             # the photograph is 24 x 16; three drawings, one of them in a second row

def test_benchmark_measures(bench):
    photo = rand(3, 20, 30).float(); gray = torch.full_like(photo, .5); lpips = perceptual.LPIPSLoss('squeeze', 'random')
    psnr, ssim, far = (float(o) for o in bench.measures((photo + .1), photo, lpips).split(' | '))
    assert psnr == 20 and .5 < ssim < 1 and far > 0
    assert [float(o) for o in bench.measures(gray, photo, lpips).split(' | ')][1] < .1

@pytest.mark.parametrize('argv,says', ((['--only', 'L2'], "loss 'L2' is not known"), (['none.jpg'], 'none.jpg: no such file'), (['--sheet', 'none/a.png'], 'its folder does not exist'), (['--lines', '0'], 'no strokes')))
def test_benchmark_errors(bench, argv, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as e: bench.main([*argv, '--width', '9'])
    err = capsys.readouterr().err; assert e.value.code == 2 and err.startswith('losses.py: error: ') and says in err and err.count('\n') == 1

# ---- nothing is remembered, and nothing of the caller's is changed

class _Counted(L.Loss):
    factor = 2
    def __init__(self): super().__init__(); self.calls = 0
    def prepare(self, target): self.calls += 1; return self.factor*target
    def compare(self, input, prepared): return (self.factor*input - prepared).square().mean()

def test_a_changed_setting_counts_at_once():
    loss, x, t = _Counted(), rand(1, 1, 4, 4), rand(1, 1, 4, 4)
    for factor in (2, 3, 0):
        loss.factor = factor
        torch.testing.assert_close(loss(x, t), (factor*(x - t)).square().mean())
        assert loss(x, x) == 0

def test_other_weights_count_at_once():
    loss = perceptual.FeatureMapLoss(weights='random')
    x = torch.rand(1, 3, 16, 16)
    assert loss(x, x) == 0
    loss.load_state_dict(perceptual.FeatureMapLoss(weights='random').state_dict())
    assert loss(x, x) == 0

def test_a_target_is_prepared_once_where_the_caller_says_so():
    loss, x, t = _Counted(), rand(1, 1, 4, 4), rand(1, 1, 4, 4)
    wanted = loss.toward(t)
    assert [wanted(x).item() for _ in range(5)] == [loss(x, t).item()]*5 and loss.calls == 2
    with pytest.raises(ValueError, match='has shape'): wanted(rand(1, 1, 4, 5))
    t.requires_grad_(); loss.toward(t)(x).backward(); torch.testing.assert_close(t.grad, -8*(x - t.detach())/16)

def test_strokes_prepare_their_target_once():
    from dsketch_nb.optimise import ImageOptimiser
    from dsketch_nb.placement import random_scene
    scene, loss, other = random_scene(12, 12, lines=3), _Counted(), _Counted()
    params = list(scene.parameters())
    o = ImageOptimiser(scene, torch.rand(1, 12, 12), loss, torch.optim.Adam([p for p in params if p.requires_grad], .01))
    for _ in range(5): o.step()
    assert loss.calls == 1
    o.loss_fn = other
    for _ in range(5): o.step()
    o.target = torch.rand(1, 12, 12)
    o.step()
    assert (loss.calls, other.calls) == (1, 2)

@pytest.mark.parametrize('name', PIXEL)
def test_torch_func_knows_the_losses(name):
    "Derivatives by functions, forward derivatives, and a batch of losses."
    loss, x, t = PIXEL[name](1, 2), .1 + .8*rand(3, 1, 1, 9, 10), .1 + .8*rand(3, 1, 1, 9, 10)
    y = x[0].clone().requires_grad_()
    torch.testing.assert_close(torch.func.grad(loss)(x[0], t[0]), torch.autograd.grad(loss(y, t[0]), y)[0])
    along = rand(1, 1, 9, 10)
    torch.testing.assert_close(torch.func.jvp(lambda a: loss(a, t[0]), (x[0],), (along,))[1], (torch.func.grad(loss)(x[0], t[0])*along).sum())
    if name != 'BCELoss': torch.testing.assert_close(torch.func.vmap(loss)(x, t), torch.stack([loss(a, b) for a, b in zip(x, t)]))   # BCE looks at its values

def test_low_values():
    with pytest.raises(ValueError, match='hold no values'): L.reduce_error(torch.zeros(0, 3), 'batchmean')
    with pytest.raises(ValueError, match=r"item2 is '': expected coordinates"): L.mod_hausdorff_distance(rand(3, 2), '')
