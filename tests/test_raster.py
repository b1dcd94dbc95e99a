"""Properties of dsketch_nb.raster and dsketch_nb.curves over random and degenerate inputs."""
from functools import partial

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dsketch_nb.raster import (pixel_pitch, pixel_grid, point_edt2, line_edt2, exp, sigmoid, nearest_neighbour, softor, over,
                               over_recursive, smoothmax, compute_nearest_neighbour_sigma, compute_nearest_neighbour_sigma_bres)
from dsketch_nb.curves import (linear_bezier, quadratic_bezier, cubic_bezier, catmull_rom_spline, uniform_catmull_rom,
                               centripetal_catmull_rom, chordal_catmull_rom, curve_to_polyline, polyline_edt2, curve_edt2_polyline,
                               curve_edt2_bruteforce, bezier_chain_to_polyline, catmull_rom_to_polyline, catmull_rom_to_bezier, chords_needed)

many = settings(max_examples=30, deadline=None, derandomize=True)
GRIDS = {1: (7,), 2: (5, 6), 3: (3, 4, 3)}
ALPHAS = st.sampled_from([0., .25, .5, 1.])
CURVES = {'linear': (linear_bezier, 2), 'quadratic': (quadratic_bezier, 3), 'cubic': (cubic_bezier, 4), 'uniform': (uniform_catmull_rom, 4),
          'centripetal': (centripetal_catmull_rom, 4), 'chordal': (chordal_catmull_rom, 4)}
curves = pytest.mark.parametrize('name', CURVES)
# repeated values on purpose: coincident points, points on pixels, ends one rounding apart, far off
coordinate = st.one_of(st.sampled_from([0., -0., .5, -1., 1., .3, .3 + 1e-7, 1e-20, 8.]), st.floats(-1.5, 1.5, width=32))
roomy = st.integers(-12, 12).map(lambda i: i/8)     # coordinates that are equal or well apart


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    "Tensors this small are slower on many threads."
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@st.composite
def points(draw, P, D=None, N=3, coordinate=coordinate):
    "[N, P, D] in float64, each number also a float32."
    D = D or draw(st.sampled_from([1, 2, 3]))
    flat = draw(st.lists(coordinate, min_size=N*P*D, max_size=N*P*D))
    x = torch.tensor(flat, dtype=torch.float32).double().reshape(N, P, D)
    if draw(st.booleans()): x[0] = x[0, :1]                      # all points of one stroke coincide
    if P > 1 and draw(st.booleans()): x[1, 1] = x[1, 0]          # neighbours do
    if draw(st.booleans()): x[2, -1] = x[2, 0]                   # the first and the last
    return x


def grid_for(x): return pixel_grid(*GRIDS[x.shape[-1]], dtype=x.dtype)
def finite(*xs): return all(x.isfinite().all() for x in xs)
def close(a, b, tol=1e-12): torch.testing.assert_close(a, b, rtol=tol, atol=tol)


@given(shape=st.lists(st.integers(1, 40), min_size=1, max_size=3))
@many
def test_grid(shape):
    g, p = pixel_grid(*shape, dtype=torch.float64), pixel_pitch(*shape)
    assert g.shape == (*shape, len(shape))
    close(g.flip(list(range(len(shape)))), -g)                                  # the middle is the origin
    for i, n in enumerate(shape):
        if n > 1: close(g.diff(dim=i)[..., i], torch.full_like(g.diff(dim=i)[..., i], p))
    first = next((i for i, n in enumerate(shape) if n > 1), None)
    if first is not None: close(g[..., first].max().item(), 1.)
    assert compute_nearest_neighbour_sigma_bres(g) == pytest.approx(p/2)
    assert compute_nearest_neighbour_sigma(g) == pytest.approx(p*len(shape)**.5/2)
    close(pixel_grid(*shape), g.float(), 0)


@given(lines=points(2), move=st.floats(-1, 1))
@many
def test_segments(lines, move):
    g = grid_for(lines)
    d2 = line_edt2(lines, g)
    assert finite(d2) and (d2 >= 0).all()
    close(line_edt2(lines.flip(1), g), d2)                                      # ends may be swapped
    close(line_edt2(lines + move, g + move), d2, 1e-10)
    ends = point_edt2(lines, g)
    assert (d2 <= ends.amin(1) + 1e-12).all()                                   # no end is nearer than the segment
    samples = curve_to_polyline(lines, 20, linear_bezier)
    assert (d2[:, None] <= point_edt2(samples, g) + 1e-12).all()                # nor any other of its points
    length = (lines[:, 1] - lines[:, 0]).norm(dim=-1).reshape(-1, *[1]*(g.dim()-1))
    assert (point_edt2(samples, g).amin(1).sqrt() <= d2.sqrt() + length/40 + 1e-9).all() # and some point is as near
    close(line_edt2(lines[None, :, None], g)[0, :, 0], d2, 0)                   # any leading shape
    close(line_edt2(lines.float(), g.float()).double(), d2, 1e-4)


@given(lines=points(2), sigma2=st.sampled_from([1e-30, 1e-10, 1e-3, .04, 1., 1e5]), dtype=st.sampled_from([torch.float32, torch.float64]),
       relax=st.sampled_from([exp, sigmoid]), compose=st.sampled_from([softor, over, over_recursive, smoothmax]))
@many
def test_finite(lines, sigma2, dtype, relax, compose):
    lines = lines.to(dtype).requires_grad_()
    widths = torch.full((len(lines),), sigma2, dtype=dtype, requires_grad=True)
    r = relax(line_edt2(lines, grid_for(lines)), widths)
    image = compose(r, dim=0)
    assert image.dtype == dtype and finite(image, *torch.autograd.grad(image.sum(), (lines, widths)))
    assert (image >= 0).all() and (image <= 1 + 1e-6).all()


@given(lines=points(2, coordinate=roomy), which=st.integers(0, 10**6), shrink=st.sampled_from([1., 1e-3, 1e-6]))
@many
def test_segment_gradient_is_the_envelope(lines, which, shrink):
    "The gradient of d2 is -2(1-t)r and -2tr at the two ends, r from the foot to the cell: also for segments of no length."
    g = grid_for(lines).flatten(0, -2)
    lines = torch.stack([lines[:, 0], torch.lerp(lines[:, 0], lines[:, 1], shrink)], 1)
    n = g[which % len(g)] + .01
    ends = lines.clone().requires_grad_()
    grad, = torch.autograd.grad(line_edt2(ends, n[None]).sum(), ends)
    a, m = lines[:, 0], lines[:, 1] - lines[:, 0]
    mm = (m*m).sum(-1)
    t = torch.where(mm > 0, ((n - a)*m).sum(-1)/mm.where(mm > 0, torch.ones_like(mm)), 0.).clamp(0, 1)[:, None]
    r = n - (a + t*m)
    close(grad, torch.stack([-2*(1-t)*r, -2*t*r], 1), 1e-6)


@given(d2=st.lists(st.floats(0, 10), min_size=6, max_size=6), s=st.floats(1e-3, 10))
@many
def test_relaxations(d2, s):
    d2 = torch.tensor(d2, dtype=torch.float64).sort().values.reshape(1, 6)
    for r in (exp(d2, s*s), sigmoid(d2, s*s), nearest_neighbour(d2, s)):
        assert (r >= 0).all() and (r <= 1).all() and (r.diff() <= 0).all()      # further is never darker
    up = 1 + 1e-12                                                              # the last digit depends on how a processor groups its work
    assert (exp(d2, s*s) <= up*sigmoid(d2, s*s)).all() and (sigmoid(d2, s*s) <= up*2*exp(d2, s*s)).all()
    one_each = torch.full((1, 6), s*s, dtype=torch.float64)
    close(exp(d2, one_each), exp(d2, s*s)); close(exp(d2, one_each.requires_grad_()), exp(d2, s*s))


@given(r=st.lists(st.one_of(st.sampled_from([0., 1.]), st.floats(0, 1)), min_size=12, max_size=12), order=st.permutations(range(4)))
@many
def test_composition(r, order):
    r = torch.tensor(r, dtype=torch.float64).reshape(1, 4, 3)
    c = torch.linspace(0, 1, 12, dtype=torch.float64).reshape(1, 4, 3)
    s = softor(r)
    assert (s >= 0).all() and (s <= 1).all() and (s >= r.amax(1) - 1e-15).all()  # at least as dark as the darkest
    close(softor(r[:, order]), s)
    close(over(r), s); close(over_recursive(r), s); close(over(r[:, order]), s)   # without a colour the sum telescopes
    close(over(r, c), over_recursive(r, c))
    assert (over(r, c) <= s + 1e-12).all()
    top = r.clone(); top[:, -1] = 1
    close(over(top, c), c[:, -1])                                               # full paint hides what is below
    m = smoothmax(r)
    assert (m <= r.amax(1) + 1e-12).all() and (m >= r.mean(1) - 1e-12).all()
    close(softor(r.float()).double(), s, 1e-6)
    for f in (softor, over, over_recursive, smoothmax, partial(over, colour=c), partial(over_recursive, colour=c)):
        x = r.clone().requires_grad_()
        assert finite(torch.autograd.grad(f(x).sum(), x)[0])
        assert f(r, keepdim=True).shape == (1, 1, 3) and f(r).shape == (1, 3)


@pytest.mark.parametrize('compose', [softor, over, over_recursive, smoothmax])
def test_no_strokes(compose):
    assert torch.equal(compose(torch.zeros(2, 0, 3, 3)), torch.zeros(2, 3, 3))


@curves
@given(data=st.data())
@many
def test_curves(name, data):
    cfcn, P = CURVES[name]
    p = data.draw(points(P))
    g = grid_for(p)
    t = torch.linspace(0, 1, 9, dtype=p.dtype)[:, None]
    c = cfcn(p, t)
    scale = 1 + p.abs().max().item()
    ends = p[:, [1, 2]] if 'catmull' in cfcn.__name__ else p[:, [0, -1]]
    assert finite(c); close(c[:, [0, -1]], ends, 1e-12*scale)                   # from its first point to its last
    close(cfcn(p.flip(1), 1-t), c, 1e-9*scale)                                  # backwards, the same curve
    close(cfcn(p + .5, t), c + .5, 1e-6)                                        # moved with its points
    if (p[0] == p[0, 0]).all(): close(c[0], p[0, :1].expand(9, -1))             # coincident points: a point
    for dtype in (torch.float32, torch.float64):
        q = p.to(dtype).requires_grad_()
        for edt2 in (partial(curve_edt2_polyline, segments=5), partial(curve_edt2_bruteforce, iters=2, slices=6)):
            d2 = edt2(q, g.to(dtype), cfcn=cfcn)
            assert d2.dtype == dtype and (d2 >= 0).all()
            assert finite(d2, *torch.autograd.grad(exp(d2, .05).sum() + d2.sum(), q))


@curves
@given(data=st.data())
@settings(many, max_examples=15)
def test_curves_well_apart(name, data):
    "Where points are equal or well apart, the precisions agree, the two distances agree, and the chords are enough."
    cfcn, P = CURVES[name]
    p = data.draw(points(P, coordinate=roomy))
    g = grid_for(p)
    t = torch.linspace(0, 1, 9, dtype=p.dtype)[:, None]
    close(cfcn(p.float(), t.float()).double(), cfcn(p, t), 1e-4)
    K = chords_needed(p, 1e-2, cfcn)
    chords, brute = curve_edt2_polyline(p, g, K, cfcn).sqrt(), curve_edt2_bruteforce(p, g, 4, 60, cfcn).sqrt()
    assert ((chords - brute).abs() <= 1e-2*(1 + 1e-6) + 2e-3).all()
    stray = torch.stack([polyline_edt2(v, c).amax() for v, c in zip(curve_to_polyline(p, K, cfcn), curve_to_polyline(p, 500, cfcn))])
    assert (stray.sqrt() <= 1e-2*(1 + 1e-6)).all()


@given(p=points(4, D=2), A=st.lists(st.floats(-2, 2), min_size=6, max_size=6))
@many
def test_bezier_is_affine(p, A):
    A = torch.tensor(A, dtype=torch.float64)
    M, b, t = A[:4].reshape(2, 2), A[4:], torch.linspace(0, 1, 7, dtype=torch.float64)[:, None]
    close(cubic_bezier(p @ M + b, t), cubic_bezier(p, t) @ M + b, 1e-11)
    c = cubic_bezier(p, t)
    assert (c <= p.amax(1, keepdim=True) + 1e-12).all() and (c >= p.amin(1, keepdim=True) - 1e-12).all()  # within its controls


@given(p=points(7), alpha=ALPHAS)
@many
def test_chains(p, alpha):
    v, b = catmull_rom_to_polyline(p, 6, alpha), catmull_rom_to_bezier(p, alpha)
    assert v.shape == (3, 25, p.shape[-1]) and b.shape == (3, 13, p.shape[-1]) and finite(v, b)
    close(v[:, ::6], p[:, 1:-1], 1e-12)                                         # passes its points
    close(b[:, ::3], p[:, 1:-1], 0)
    close(bezier_chain_to_polyline(b, 6), v, 1e-12*(1 + v.abs().max().item()))  # the same curve
    for i in range(4): close(v[:, 6*i:6*i+7], curve_to_polyline(p[:, i:i+4], 6, partial(catmull_rom_spline, alpha=alpha)), 1e-12)
    for dtype in (torch.float32, torch.float64):
        for f in (catmull_rom_to_polyline, catmull_rom_to_bezier):
            q = p.to(dtype).requires_grad_()
            assert finite(torch.autograd.grad(f(q, alpha=alpha).square().sum(), q)[0])
    g = grid_for(p)
    close(polyline_edt2(torch.cat([v, v[:, -1:], v[:, -1:]], 1), g), polyline_edt2(v, g), 1e-12)  # padding changes nothing


@given(p=points(3, coordinate=roomy), K=st.integers(1, 3))
@many
def test_polyline_is_the_least_of_its_segments(p, K):
    g, v = grid_for(p), p[:, :K]
    least = point_edt2(v[:, 0], g) if K == 1 else torch.stack([line_edt2(v[:, i:i+2], g) for i in range(K-1)]).amin(0)
    close(polyline_edt2(v, g), least, 0)


@pytest.mark.parametrize('call, words', [
    (lambda: pixel_grid(), 'expected 1, 2 or 3'), (lambda: pixel_grid(4, 0), 'whole numbers of 1 or more'), (lambda: pixel_grid(2.5), 'whole numbers'),
    (lambda: pixel_grid(4, 4, pitch=-1), 'pitch -1 must be above 0'), (lambda: point_edt2(torch.zeros(3), pixel_grid(2, 2)), 'does not fit a grid of 2'),
    (lambda: line_edt2(torch.zeros(3, 2), pixel_grid(2, 2)), r'expected \[\*, 2, 2\]'), (lambda: exp(torch.ones(2, 3, 3), 0), 'sigma2 0 must be above 0'),
    (lambda: exp(torch.ones(2, 3, 3), float('nan')), 'sigma2 nan'), (lambda: sigmoid(torch.ones(2, 3, 3), torch.ones(3)), 'leading axes'),
    (lambda: nearest_neighbour(torch.ones(2), -1), 'sigma -1 must be 0 or more'), (lambda: smoothmax(torch.ones(2, 2), temperature=-1), 'temperature -1'),
    (lambda: cubic_bezier(torch.zeros(3, 2), torch.zeros(1, 1)), r'expected \[\*, 4, D\]'), (lambda: cubic_bezier(torch.zeros(4, 2), torch.zeros(3)), 'add an axis'),
    (lambda: catmull_rom_spline(torch.zeros(4, 2), torch.zeros(1, 1), -1), r'alpha -1 must lie in \[0, 1\]'),
    (lambda: curve_to_polyline(torch.zeros(4, 2), 0), 'segments 0'), (lambda: bezier_chain_to_polyline(torch.zeros(6, 2)), '4, 7, 10'),
    (lambda: catmull_rom_to_bezier(torch.zeros(3, 2)), 'P of 4 or more'), (lambda: chords_needed(torch.zeros(4, 2), 0), 'tol 0 must be above 0'),
    (lambda: curve_edt2_bruteforce(torch.zeros(4, 2), pixel_grid(2, 2), 1, 2), 'slices 2'), (lambda: polyline_edt2(torch.zeros(0, 2), pixel_grid(2, 2)), 'K of 1 or more')])
def test_errors_name_value_and_cure(call, words):
    with pytest.raises(ValueError, match=words) as e: call()
    assert '\n' not in str(e.value)
