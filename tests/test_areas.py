"""Filled shapes: exact pixel areas against a polygon library, soft ones against the true blur, both rules, gradients, invariances, degenerate outlines, and `draw(fill=...)`.

DSKETCH_LONG=1 asks a thousand outlines instead of fifty, and ten thousand degenerate ones instead of a hundred."""
import math, os

import numpy as np
import pytest, torch
from hypothesis import given, settings, strategies as st

from dsketch_nb import compiled
from dsketch_nb.areas import RULES, area_coverage, edge_coverage, exact_area, filled_boundary, is_inside, signed_distance, winding_number
from dsketch_nb.draw import draw
from dsketch_nb.strokes import COMPOSE
from dsketch_nb.raster import pixel_grid, pixel_pitch

shapely = pytest.importorskip('shapely', reason="no shapely: pip install 'dsketch_nb[dev]'")
LONG = bool(os.environ.get('DSKETCH_LONG'))
f64 = dict(dtype=torch.float64)
H, W = 13, 17
PITCH = pixel_pitch(H, W)

def circle(r, centre=(0., 0.), n=60, turn=0.):
    t = torch.arange(n, **f64)*2*math.pi/n + turn
    return torch.tensor(centre, **f64) + r*torch.stack([torch.sin(t), torch.cos(t)], 1)

def pentagram(r=.9, turn=0.):
    t = torch.arange(5, **f64)*4*math.pi/5 + turn
    return r*torch.stack([-torch.cos(t), torch.sin(t)], 1)

def simple(g, size=.9):
    "A random outline that does not cross itself."
    n = int(torch.randint(3, 12, (), generator=g))
    t = (torch.arange(n, **f64) + .9*torch.rand(n, generator=g, **f64))*2*math.pi/n
    r = size*(.3 + .7*torch.rand(n, generator=g, **f64))
    o = (torch.rand(2, generator=g, **f64) - .5)*.6 + r[:, None]*torch.stack([torch.sin(t), torch.cos(t)], 1)
    return o if torch.rand((), generator=g) < .5 else o.flip(0)

def tangled(g):
    "One to three outlines that cross themselves and each other, some beyond the canvas."
    return [(torch.rand(int(torch.randint(3, 8, (), generator=g)), 2, generator=g, **f64)*2 - 1)*torch.tensor([1.2, 1.5], **f64)
            for _ in range(int(torch.randint(1, 4, (), generator=g)))]

NAMED = {'pentagram': [pentagram()], 'circles': [circle(.5, (0., -.3)), circle(.5, (.1, .3))], 'hole': [circle(.8), circle(.4, (.1, 0.)).flip(0)], 'same way': [circle(.8), circle(.4)],
         'twice': [circle(.7, n=7), circle(.7, n=7)], 'side by side': [torch.tensor([[-.5, -.5], [-.5, 0.], [.5, 0.], [.5, -.5]], **f64), torch.tensor([[-.3, 0.], [-.3, .5], [.4, .5], [.4, 0.]], **f64)]}

def turns(outlines, y, x):
    "The winding number of a point by the sum of angles: another way than the library's."
    total = 0.
    for o in outlines:
        z = (o[:, 1].numpy() - x) + 1j*(o[:, 0].numpy() - y)
        total += np.angle(np.roll(z, -1)/z).sum()
    return round(total/(2*math.pi))

def filled(outlines, rule):
    "What a path fills, as a geometry of shapely, (x, y) = (col, row)."
    lines = [shapely.LineString(o.flip(1).numpy()[[*range(len(o)), 0]]) for o in outlines]
    faces = [f for f in shapely.get_parts(shapely.polygonize([shapely.unary_union(lines)])) if f.area > 1e-14]
    def keep(f):
        p = f.representative_point()
        w = turns(outlines, p.y, p.x)
        return w != 0 if rule == 'nonzero' else w % 2 == 1
    return shapely.unary_union([f for f in faces if keep(f)])

def clipped(geometry, h=H, w=W, pitch=PITCH):
    "The part of each pixel's square that a geometry fills."
    col, row = np.meshgrid((np.arange(w) - w/2)*pitch, (np.arange(h) - h/2)*pitch)
    return torch.tensor(shapely.area(shapely.intersection(geometry, shapely.box(col, row, col + pitch, row + pitch)))/pitch**2)

def blurred(geometry, grid, sigma):
    "The Gaussian integral over a geometry by Green's theorem in x, quadrature along each edge: another formula than the library's."
    z, weight = np.polynomial.legendre.leggauss(60)
    out = np.zeros(grid.shape[:-1])
    row, col = grid[..., 0, None].numpy(), grid[..., 1, None].numpy()
    erf = lambda v: torch.erf(torch.from_numpy(v)).numpy()
    for part in shapely.get_parts(geometry):
        for i, ring in enumerate([part.exterior, *part.interiors]):
            xy = np.asarray(ring.coords)
            if ring.is_ccw != (i == 0): xy = xy[::-1]
            for a, b in zip(xy, xy[1:]):
                pieces = max(int(np.hypot(*(b - a))/sigma/4), 1)
                for k in range(pieces):
                    t = (k + (z + 1)/2)/pieces
                    x, y = a[0] + t*(b[0] - a[0]), a[1] + t*(b[1] - a[1])
                    f = (1 + erf((x - col)/sigma))/2 * np.exp(-((y - row)/sigma)**2)/(sigma*math.pi**.5)
                    out += (f*weight).sum(-1)*(b[1] - a[1])/2/pieces
    return torch.tensor(out)

def shoelace(outline): return (outline[:, 1]*outline.roll(-1, 0)[:, 0] - outline.roll(-1, 0)[:, 1]*outline[:, 0]).sum()/2

def test_exact_area_of_simple_outlines():
    g = torch.Generator().manual_seed(1)
    for _ in range(1000 if LONG else 50):
        o = simple(g)
        got = exact_area(o, H, W)
        assert (got - clipped(shapely.Polygon(o.flip(1).numpy()))).abs().max() < 1e-9
        assert abs(got.sum()*PITCH**2 - shoelace(o).abs()) < 1e-9 or o.abs().max() > 1            # all of it is on the canvas
        assert (exact_area(o.flip(0), H, W) - got).abs().max() < 1e-12

@pytest.mark.parametrize('rule', RULES)
def test_exact_area_of_tangles(rule):
    g = torch.Generator().manual_seed(2)
    paths = [*NAMED.values(), *(tangled(g) for _ in range(1000 if LONG else 25)), *([simple(g), simple(g, .4)] for _ in range(1000 if LONG else 25))]
    for path in paths: assert (exact_area(path, H, W, rule) - clipped(filled(path, rule))).abs().max() < 1e-6

@pytest.mark.parametrize('rule', RULES)
def test_soft_form_is_the_blur(rule):
    "Everywhere: along straight edges, at corners, in thin parts, where outlines cross; for softness below and above a pixel."
    g = torch.Generator().manual_seed(3)
    grid = pixel_grid(9, 11, **f64)
    for i, path in enumerate([*NAMED.values(), *(tangled(g) for _ in range(200 if LONG else 6)), [simple(g)]]):
        sigma = (.1, .3)[i % 2]
        assert (area_coverage(path, grid, sigma**2, rule) - blurred(filled(path, rule), grid, sigma)).abs().max() < 1e-6

def raster(shape, n, fine, sigma):
    "A hard raster of `fine` samples a pixel, blurred by the Gaussian's integral over each of them, at pixel centres."
    at = (torch.arange(n*fine, **f64) + .5)/fine - .5 - (n - 1)/2
    pixel = torch.arange(n, **f64) - (n - 1)/2
    cdf = lambda x: torch.erf(x/sigma)/2
    blur = cdf(at + .5/fine - pixel[:, None]) - cdf(at - .5/fine - pixel[:, None])
    return blur @ shape(at[:, None], at[None]).double() @ blur.T

@pytest.mark.parametrize('sigma', [.45, 1., 2.])
def test_soft_form_of_a_straight_edge_and_a_disc(sigma):
    "In pixels, against a blurred raster within 3 sigma of the boundary; the nearest-edge form of the disc is off by about .14 sigma/R, the library's by what the raster is."
    n, edge = 41, 1.25
    grid = pixel_grid(n, n, pitch=1., **f64)
    want = raster(lambda y, x: (x < edge) & (y > -99), n, 8, sigma)
    square = torch.tensor([[-60., -60.], [-60., edge], [60., edge], [60., -60.]], **f64)
    near = signed_distance(square, grid).abs() < 3*sigma
    near[:12], near[-12:] = False, False                                                       # the raster ends there
    assert near.any() and (area_coverage(square, grid, sigma**2) - want)[near].abs().max() < 1e-6
    R = 12.
    disc = circle(R, n=1500)
    want, got = raster(lambda y, x: x*x + y*y < R*R, n, 24, sigma), area_coverage(disc, grid, sigma**2)
    assert (got - want).abs().max() < 6e-3                                                     # of the raster, 24 samples a pixel
    off = (edge_coverage(R*0 + (grid.norm(dim=-1) - R), sigma**2) - got).abs().max()
    assert .09*sigma/R < off < .17*sigma/R

def test_no_seam():
    "An edge with fill on both sides leaves no trace; by evenodd it is an edge like others."
    for path, where in ((NAMED['pentagram'], (.9*math.cos(2*math.pi/5)*-1, 0.)), (NAMED['twice'], (0., 0.)), (NAMED['side by side'], (0., 0.))):
        assert area_coverage(path, torch.tensor(where, **f64), .01**2) > 1 - 1e-9
    for rule in RULES: assert area_coverage(NAMED['side by side'], torch.tensor([.1, 0.], **f64), .01**2, rule) > 1 - 1e-9
    row, col = NAMED['circles'][0][(NAMED['circles'][0] - torch.tensor([.1, .3], **f64)).norm(dim=1) < .4][0]
    on = torch.stack([row, col])
    assert area_coverage(NAMED['circles'], on, .01**2) > 1 - 1e-9 and .4 < area_coverage(NAMED['circles'], on, .01**2, 'evenodd') < .6
    assert len(filled_boundary(NAMED['pentagram'])[1]) == 10 and len(filled_boundary(NAMED['pentagram'], 'evenodd')[1]) == 15

def test_slivers_fade():
    "Coverage goes to 0 as the area does, in every direction."
    grid = pixel_grid(21, 21, **f64)
    for turn in (0., .3, math.pi/4):
        c, s = math.cos(turn), math.sin(turn)
        most = []
        for w in (.1, .01, .001, 0.):
            thin = torch.tensor([[-.6, -w/2], [-.6, w/2], [.6, w/2], [.6, -w/2]], **f64) @ torch.tensor([[c, s], [-s, c]], **f64)
            most.append(area_coverage(thin, grid, .1**2).max().item())
            assert most[-1] <= math.erf(w/2/.1) + 1e-9
        assert most == sorted(most, reverse=True) and abs(most[-1]) < 1e-9

def test_area_is_kept():
    "The sum over pixels is the area, sharp or soft."
    g = torch.Generator().manual_seed(4)
    for _ in range(10):
        o = simple(g)*.5
        for s in (1.5, 3.): assert abs(area_coverage(o, pixel_grid(61, 61, pitch=.05, **f64), (.05*s)**2).sum()*.05**2 - shoelace(o).abs()) < 1e-6

@pytest.mark.parametrize('rule', RULES)
def test_finite_differences(rule):
    g, grid = torch.Generator().manual_seed(5), pixel_grid(5, 6, **f64)
    for path in [NAMED['pentagram'], NAMED['hole'][:1], [tangled(g)[0], simple(g)], tangled(g)]:
        path = [o[:8].clone().requires_grad_() for o in path]
        s2 = torch.tensor(.06, requires_grad=True, **f64)
        assert torch.autograd.gradcheck(lambda s, *o: area_coverage(list(o), grid, s, rule), (s2, *path))
        weight = torch.rand(H, W, generator=g, **f64)
        f = lambda *o: (exact_area(list(o), H, W, rule)*weight).sum()
        by = torch.autograd.grad(f(*path), path)
        for i, o in enumerate(path):
            step, h = torch.randn(o.shape, generator=g, **f64), 1e-6
            moved = lambda k: [p.detach() + k*step if i == j else p.detach() for j, p in enumerate(path)]
            assert abs((f(*moved(h)) - f(*moved(-h)))/(2*h) - (by[i]*step).sum()) < 1e-4

def test_second_derivatives():
    grid = pixel_grid(4, 5, **f64)
    o, s2 = simple(torch.Generator().manual_seed(6)).requires_grad_(), torch.tensor(.1, requires_grad=True, **f64)
    assert torch.autograd.gradgradcheck(lambda o, s: area_coverage(o, grid, s), (o, s2))

points = st.lists(st.tuples(*[st.floats(-1.5, 1.5, width=32)]*2), min_size=3, max_size=9)
@settings(max_examples=60, deadline=None)
@given(points, st.integers(0, 8), st.floats(.1, .9), st.integers(-3, 3), st.integers(-3, 3), st.sampled_from(RULES))
def test_invariances(points, k, t, down, right, rule):
    "Start vertex, direction, a vertex added on an edge, translation by whole pixels."
    o, pitch = torch.tensor(points, **f64).round(decimals=6), .25             # what is nearer than 1e-11 of the outline's size is taken to touch
    grid = pixel_grid(9, 9, pitch=pitch, **f64)
    k %= len(o)
    added = torch.cat([o[:k+1], (1 - t)*o[k:k+1] + t*o[(k+1) % len(o)][None], o[k+1:]])
    want, hard = area_coverage(o, grid, .2**2, rule), exact_area(o, 9, 9, rule, pitch)
    assert want.min() > -1e-6 and want.max() < 1 + 1e-6
    for other in (o.roll(k, 0), o.flip(0), added):
        assert (area_coverage(other, grid, .2**2, rule) - want).abs().max() < 1e-6
        assert (exact_area(other, 9, 9, rule, pitch) - hard).abs().max() < 1e-6
    step = torch.tensor([down*pitch, right*pitch], **f64)
    inner = lambda x, dy, dx: x[3+dy:6+dy, 3+dx:6+dx]
    assert (inner(area_coverage(o + step, grid, .2**2, rule), down, right) - inner(want, 0, 0)).abs().max() < 1e-6
    assert (inner(exact_area(o + step, 9, 9, rule, pitch), down, right) - inner(hard, 0, 0)).abs().max() < 1e-6

def degenerate(g):
    "An outline of few different vertices: repeated, on a line, on pixel centres, tiny, far away."
    n = int(torch.randint(1, 7, (), generator=g))
    o = torch.randint(-2, 3, (n, 2), generator=g).double()*[.5, 1e-20, 1e-3, 1e4][int(torch.randint(4, (), generator=g))]
    if torch.rand((), generator=g) < .3: o[:, 0] = 0
    return o + (torch.rand(2, generator=g, **f64) if torch.rand((), generator=g) < .3 else 0)

def test_degenerate_outlines(dtype):
    g, grid = torch.Generator().manual_seed(7), pixel_grid(5, 5, dtype=dtype)
    for i in range(10000 if LONG else 100):
        o, s2, rule = degenerate(g).to(dtype).requires_grad_(), torch.tensor([.01, 1e-6, 4.][i % 3], dtype=dtype, requires_grad=True), RULES[i % 2]
        soft, hard = area_coverage(o, grid, s2, rule), exact_area(o, 5, 5, rule)
        by = torch.autograd.grad(soft.square().sum() + hard.square().sum(), (o, s2))
        assert all(x.isfinite().all() for x in (soft, hard, *by))
        assert -1e-4 < soft.min() and soft.max() < 1 + 1e-4 and -1e-6 < hard.min() and hard.max() < 1 + 1e-6
        if len(o) < 3: assert soft.abs().max() < 1e-4
        picture = draw(o[None], (5, 5), s2, fill=rule)
        assert (picture[0] - soft).abs().max() < 1e-4 and torch.autograd.grad(picture.sum(), o)[0].isfinite().all()

# draw

def drawing(compose, backend, dtype=torch.float64, seed=0, fill=('nonzero', None, 'evenodd', 'nonzero', None), size=(17, 23), sigma2=(.001, .02)):
    "A picture of areas and strokes, and its gradients."
    g = torch.Generator().manual_seed(seed)
    def rand(*shape, low=0., high=1.): return (torch.rand(*shape, generator=g, **f64)*(high - low) + low).to(dtype).requires_grad_()
    v, s2, a, c, bg = rand(2, 5, 6, 2, low=-1.3, high=1.3), rand(2, 5, low=sigma2[0], high=sigma2[1]), rand(2, 5), rand(2, 5, 3), rand(2, 3, *size)
    more = {'softor': {}, 'ink': dict(colour=c), 'paint': dict(colour=c, background=bg)}[compose]
    out = draw(v, size, s2, alpha=a, compose=compose, backend=backend, fill=list(fill), **more)
    weight = torch.rand(out.shape, generator=g, **f64).to(dtype)
    return [out.detach(), *torch.autograd.grad((out*weight).sum(), [v, s2, a, *more.values()])]

@pytest.mark.parametrize('compose', COMPOSE)
def test_backends_agree(compose):
    for seed in range(100 if LONG else 6):
        for more in (dict(), dict(fill=['nonzero']*5), dict(fill=['evenodd']*5, sigma2=(1e-5, 2e-5)), dict(sigma2=(.2, .5), size=(1, 9))):
            want = drawing(compose, 'dense', seed=seed, **more)
            for dtype, tol in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
                for backend in ('pairs', 'numba'):
                    got = drawing(compose, backend, dtype, seed, **more)
                    assert max(((x - y).abs().max()/y.abs().max().clamp(min=1e-3)).item() for x, y in zip(got, want)) < tol

def test_loops_find_what_the_definition_finds():
    "Several outlines that cross themselves and each other, and those with names, with the gradients."
    g = torch.Generator().manual_seed(12)
    for path in [*NAMED.values(), *(tangled(g) for _ in range(1000 if LONG else 30))]:
        for rule in RULES:
            path = [o.clone().requires_grad_() for o in path]
            offsets = torch.tensor([0] + [len(o) for o in path]).cumsum(0)
            def picture(backend): return draw(torch.cat(path), (H, W), .01, offsets=offsets, paths=torch.tensor([0, len(path)]), fill=rule, backend=backend)
            ours, want = picture('numba'), picture('dense')
            weight = torch.rand(want.shape, generator=g, **f64)
            assert (ours - want).abs().max() < 1e-9
            by = [torch.autograd.grad((x*weight).sum(), path) for x in (ours, want)]
            assert max((a - b).abs().max().item() for a, b in zip(*by)) < 1e-7

def on_cells(seed):
    "One or two outlines whose vertices and edges go through pixel centres: exactly (17 rows have a pitch of 1/8), or to seven digits (12 rows); and their size."
    g = torch.Generator().manual_seed(seed)
    side = (12, 17)[seed % 2]
    n = int(torch.randint(3, 7, (), generator=g))
    path = [(torch.rand(n, 2, generator=g)*(side - 3) + 1).round() for _ in range(1 + (seed//2 % 3 > 0))]
    return [((o - (side - 1)/2)*2/(side - 1)).double() for o in path], side

def on_cells_agrees(backends, device='cpu', seeds=range(60)):
    "A cell on a vertex or where edges cross: its coverage is the mean of its neighbours', a hundred-thousandth of a pixel away on two sides."
    for seed in seeds:
        path, side = on_cells(seed)
        offsets, sigma2 = torch.tensor([0] + [len(o) for o in path]).cumsum(0), .3*(2/(side - 1))**2
        def picture(backend, away=0., device='cpu'):
            v = torch.cat(path) + away*torch.tensor([.61, .37])*2/(side - 1)
            return draw(v.to(device), (side, side), sigma2, offsets=offsets, paths=torch.tensor([0, len(path)]), fill=RULES[seed % 3 > 1], backend=backend).cpu()
        want = (picture('dense', 1e-5) + picture('dense', -1e-5))/2
        for backend in backends: assert (picture(backend, device=device) - want).abs().max() < 2e-9, (backend, seed)

def test_cells_on_vertices_and_crossings():
    on_cells_agrees(['dense', 'pairs', 'numba'], seeds=range(2000 if LONG else 80))

def along_the_step_agrees(backends, device='cpu', seeds=range(60)):
    "An edge through pixel centres in the very direction in which cells are moved: inside and flux give one answer to which side they are on."
    for seed in seeds:
        g = torch.Generator().manual_seed(seed)
        c, d = torch.randint(0, 9, (2,), generator=g)/4. - 1, torch.tensor([.61, .37], **f64)*torch.rand((), generator=g, **f64)
        o = torch.stack([c - d, c + d, c + d + torch.tensor([-.3, .5]), c - d + torch.tensor([-.3, .5])])
        def picture(backend, away=0., device='cpu'): return draw((o + away).to(device)[None], (9, 9), (.02, .005)[seed % 2], fill='nonzero', backend=backend).cpu()
        want = (picture('dense', 1e-6) + picture('dense', -1e-6))/2
        for backend in backends: assert (picture(backend, device=device) - want).abs().max() < 2e-9, (backend, seed)

def test_edges_along_the_step(): along_the_step_agrees(['dense', 'pairs', 'numba'])

def test_a_boundary_has_no_gaps():
    "Wherever a piece ends, as many end as begin, by their weights: points are compared to the bit. Among them spikes a hundred-millionth wide, and edges that nearly coincide."
    g = torch.Generator().manual_seed(21)
    thin = lambda: torch.cat([v := torch.rand(2, 2, generator=g, **f64), v.flip(0) + 10.**-torch.randint(4, 9, (), generator=g)*torch.rand(2, 2, generator=g, **f64)])
    paths = [on_cells(s)[0] for s in range(600 if LONG else 60)] + [[thin(), thin()] for _ in range(600 if LONG else 60)] + [tangled(g) for _ in range(60)] + list(NAMED.values())
    for path in paths:
        for rule in RULES:
            open_at = {}
            for (a, b), w in zip(*(x.tolist() for x in filled_boundary(path, rule))):
                for end, way in ((a, -w), (b, w)): open_at[tuple(end)] = open_at.get(tuple(end), 0.) + way
            assert all(abs(x) < 1e-12 for x in open_at.values()), (path, rule)

def test_any_number_of_threads_gives_the_same_bits():
    v = (torch.rand(40, 7, 2, generator=torch.Generator().manual_seed(13)) - .5)*2
    c, answers = torch.linspace(0, 1, 120).reshape(40, 3), []
    for n in (1, 2, 5):
        before = compiled.set_threads(n)
        try:
            x = v.clone().requires_grad_()
            out = draw(x, (130, 140), .001, c, compose='paint', fill=['nonzero', None]*20)
            answers.append((out.detach(), *torch.autograd.grad(out.square().sum(), x)))
        finally: compiled.set_threads(before)
    for other in answers[1:]: assert all(torch.equal(a, b) for a, b in zip(answers[0], other))

def test_strokes_alone_are_untouched():
    v = torch.rand(2, 5, 3, 2)*2 - 1
    for backend in ('dense', 'pairs', 'numba'): assert torch.equal(draw(v, (20, 30), .01, backend=backend, fill=[None]*5), draw(v, (20, 30), .01, backend=backend))

def test_paths_with_holes():
    "Ragged outlines of several paths on two images, against the lesson's function."
    paths = [NAMED['hole'], NAMED['pentagram'], NAMED['circles']]
    outlines = [o for p in paths for o in p]
    offsets = torch.tensor([0] + [len(o) for o in outlines]).cumsum(0)
    ends = torch.tensor([0] + [len(p) for p in paths]).cumsum(0)
    for rule in RULES:
        got = draw(torch.cat(outlines), (21, 25), torch.tensor([.01, .02, .03], **f64), offsets=offsets, paths=ends, image=torch.tensor([0, 1, 0]), batch=2, fill=rule)
        soft = [area_coverage(p, pixel_grid(21, 25, **f64), s, rule) for p, s in zip(paths, (.01, .02, .03))]
        assert (got[1, 0] - soft[1]).abs().max() < 1e-6 and (got[0, 0] - (1 - (1 - soft[0])*(1 - soft[2]))).abs().max() < 1e-6

def test_order_of_paint():
    "A stroke between two areas lies over the one and under the other."
    square = torch.tensor([[-.6, -.6], [-.6, .6], [.6, .6], [.6, -.6]])
    line = torch.tensor([[0., -.9], [0., .9], [0., .9], [0., .9]])
    kw = dict(size=(21, 21), sigma2=.01, colour=torch.eye(3), compose='paint')
    top = draw(torch.stack([square, line, square]), **kw, fill=['nonzero', None, 'nonzero'])
    assert top[:, 10, 10].tolist() == pytest.approx([0, 0, 1], abs=1e-3)
    under = draw(torch.stack([square, square, line]), **kw, fill=['nonzero', 'nonzero', None])
    assert under[:, 10, 10].tolist() == pytest.approx([0, 0, 1], abs=1e-3) and under[1, 7, 10] > .9

def test_draw_in_other_contexts():
    "Half precision, torch.func, inference, no paths on the canvas, an empty drawing."
    v = torch.rand(3, 5, 2)*1.6 - .8
    f = lambda v: draw(v, (9, 11), .02, fill='nonzero').square().sum()
    grad, = torch.autograd.grad(f(x := v.clone().requires_grad_()), x)
    assert torch.allclose(torch.func.grad(f)(v), grad, atol=1e-5)
    many = torch.stack([v, v*.5])
    assert torch.allclose(torch.func.vmap(torch.func.grad(f))(many)[0], grad, atol=1e-5)
    assert draw(v.half(), (9, 11), .02, fill='nonzero').dtype == torch.float32
    with torch.inference_mode(): assert torch.allclose(draw(v, (9, 11), .02, fill='nonzero'), draw(v, (9, 11), .02, fill='nonzero', backend='dense'), atol=1e-5)
    assert draw(v + 50, (9, 11), .02, fill='evenodd').abs().max() == 0 and draw(v[:0], (9, 11), .02, fill='evenodd').shape == (1, 9, 11)
    assert torch.allclose(draw(v, (9, 11), 25., fill='nonzero'), draw(v, (9, 11), 25., fill='nonzero', backend='dense'), atol=1e-5)

def test_second_derivatives_of_draw():
    v = (torch.rand(2, 4, 2, generator=torch.Generator().manual_seed(8), **f64)*1.6 - .8)
    v = torch.stack([o[(o - o.mean(0))[:, 0].atan2((o - o.mean(0))[:, 1]).argsort()] for o in v])      # no crossings
    for backend in ('dense', 'pairs'):
        assert torch.autograd.gradgradcheck(lambda v: draw(v, (4, 5), .1, fill='nonzero', backend=backend), v.clone().requires_grad_())

@pytest.mark.parametrize('more, said', [(dict(fill='full'), "fill 'full'"), (dict(fill=['nonzero']), 'fill'), (dict(fill=3), 'fill 3'), (dict(paths=[0, 3]), 'paths goes with offsets')])
def test_what_cannot_be_filled(more, said):
    with pytest.raises(ValueError, match=said): draw(torch.rand(3, 4, 2), (8, 9), .01, **more)
    for paths, fill, word in (([0, 2], 'nonzero', 'paths must rise'), ([0, 1, 3], [None, None], 'a stroke has 1'), ([0, 1, 3], None, 'no fill')):
        if word == 'a stroke has 1': paths = [0, 2, 3]
        with pytest.raises(ValueError, match=word): draw(torch.rand(9, 2), (8, 9), .01, offsets=torch.tensor([0, 3, 5, 9]), paths=torch.tensor(paths), fill=fill)

def test_winding_of_points():
    "Against the sum of angles."
    g = torch.Generator().manual_seed(10)
    for _ in range(20):
        path, p = tangled(g), torch.rand(20, 2, generator=g, **f64)*2 - 1
        assert winding_number(path, p).tolist() == [turns(path, y, x) for y, x in p.tolist()]
        assert is_inside(path, p, 'evenodd').tolist() == [turns(path, y, x) % 2 == 1 for y, x in p.tolist()]
