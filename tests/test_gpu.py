"""Triton's kernels against the dense reference in float64: interpreted on the CPU where there is no GPU (see conftest.py), compiled where there is one."""
import math, os, re, subprocess, sys

import pytest, torch

pytest.importorskip('triton', reason='no Triton: it comes with PyTorch for Linux')
from hypothesis import given, settings, strategies as st

from dsketch_nb import gpu, gpu_areas
from dsketch_nb.areas import RULES
from dsketch_nb.draw import BACKENDS, draw
from dsketch_nb.strokes import COMPOSE
from dsketch_nb.strokes import as_strokes
from test_draw import agree, lines, operands, run, scenes

if not gpu.INTERPRETED and not torch.cuda.is_available(): pytest.skip('neither a GPU nor TRITON_INTERPRET=1', allow_module_level=True)
device = 'cpu' if gpu.INTERPRETED else 'cuda'
LONG = bool(os.environ.get('DSKETCH_LONG')) or not gpu.INTERPRETED          # the interpreter takes a second for a scene

@pytest.mark.parametrize('compose', COMPOSE)
@settings(max_examples=200 if LONG else 8, deadline=None)
@given(scenes())
def test_random_scenes(compose, scene): agree(*scene, compose, ['triton'], device)

def scene(parts, sigma2, size, alpha=1., colour=None, image=None, batch=1, background=None):
    "What `agree` takes, of strokes in pixels."
    n, pitch = len(parts), 2/max(size[0] - 1, 1) if size[0] > 1 else 2/max(size[1] - 1, 1)
    g = torch.Generator().manual_seed(n)
    fill = lambda x, *s: torch.rand(*s, generator=g) if x is None else torch.as_tensor(x, dtype=torch.float32).expand(*s).clone()
    vertices = (torch.cat([torch.tensor(p, dtype=torch.float64).reshape(-1, 2) for p in parts]) - (torch.tensor(size) - 1)/2)*pitch
    offsets = torch.tensor([0] + [len(p) for p in parts]).cumsum(0)
    return dict(vertices=vertices.float(), offsets=offsets, sigma2=fill(sigma2, n)*pitch**2, alpha=fill(alpha, n), colour=fill(colour, n, 3),
                image=torch.zeros(n, dtype=torch.long) if image is None else torch.tensor(image), background=fill(background, batch, 3, *size)), size, batch

PLANTED = {
    'no ink shows through where strokes pass through a pixel': scene([[(4, 1), (4, 9)], [(0, 5), (8, 5)], [(4, 5), (2, 2)]], 1., (9, 11), colour=1.),
    'points, and segments without length': scene([[(3, 3)], [(5, 5), (5, 5)], [(2, 7), (2, 7), (6, 7)], [(7, 1), (4, 2), (4, 2), (4, 2)]], 2., (9, 11)),
    'every stroke is everywhere': scene([[(0, 0), (3, 3)], [(20, 9)], [(-60, 5), (5, -60)]], 1e4, (17, 18)),
    'more than full, and less than none': scene([[(1, 1), (8, 9)], [(8, 1), (1, 9)], [(5, 0), (5, 10), (0, 10)]], 3., (9, 11), alpha=[1.7, -.6, 2.5], colour=[[.5, 1.5, -1], [2, 0, 1], [1, 1, .1]]),
    'no opacity has a gradient': scene([[(1, 1), (8, 9)], [(8, 1), (1, 9)]], 2., (9, 11), alpha=0.),
    'opaque paint on opaque paint': scene([[(4, 0), (4, 10)]]*3 + [[(0, 5), (8, 5)]], 4., (9, 11), alpha=1.),
    'ends far away': scene([[(-4e4, -5e4), (5e4, 4e4)], [(8, -9e5), (8, 9e5)], [(-7e3, 7), (8e3, 7), (8e3, 9e3)], [(9e6, 9e6)]], 9., (17, 18)),
    'nothing is touched': scene([[(-50, -50), (-60, 3)], [(99, 99)]], 1., (9, 11)),
    'images in any order, one without strokes': scene([[(1, 1), (8, 9)], [(2, 2)], [(8, 1), (1, 9)], [(4, 0), (4, 9), (9, 9)]], 2., (9, 11), image=[3, 0, 3, 1], batch=4),
    'one pixel': scene([[(0, 0)], [(1, 1), (-1, -2)]], .5, (1, 1)),
    'a row': scene([[(0, 3), (0, 30)], [(-1, 20), (1, 40)], [(0, 17)]], [.1, 1., 5.], (1, 35)),
    'a column': scene([[(3, 0), (30, 0)], [(20, -1), (40, 1)], [(17, 0)]], [.1, 1., 5.], (35, 1)),
    'exactly a tile': scene([[(0, 0), (15, 15)], [(15.5, 0), (15.5, 15)]], 1., (16, 16)),
}

@pytest.mark.parametrize('compose', ['ink', 'paint'])
@pytest.mark.parametrize('name', PLANTED)
def test_planted(name, compose): agree(*PLANTED[name], compose, ['triton'], device)

@pytest.mark.parametrize('compose', ['softor', 'paint'])
def test_another_pitch_and_one_channel(compose):
    s, size, batch = scene([[(1, 1), (8, 9)], [(8, 1), (1, 9), (5, 5)]], 2., (9, 11))
    if compose == 'paint': s |= dict(colour=s['colour'][:, :1], background=s['background'][:, :1])
    agree(s, size, batch, compose, ['triton'], device, pitch=.21)

def test_paint_on_nothing():
    s, size, batch = scene([[(1, 1), (8, 9)], [(8, 1), (1, 9), (5, 5)]], 2., (9, 11))
    s.pop('background')
    results = [run(s | dict(background=torch.zeros(1, 3, *size)), size, batch, 'paint', 'dense', torch.float64)]
    v = {k: x.to(device, torch.float64).requires_grad_() if x.is_floating_point() else x.to(device) for k, x in s.items()}
    out = draw(size=size, batch=1, compose='paint', backend='triton', **v)
    (out*(torch.rand(out.shape, generator=torch.Generator().manual_seed(1)).to(device, torch.float64) - .3)).sum().backward()
    for k, y in results[0].items():
        if k != 'background': torch.testing.assert_close((out.detach() if k == 'image' else v[k].grad).cpu(), y, rtol=0, atol=1e-9*max(y.abs().max().item(), 1))

@pytest.mark.parametrize('compose', ['ink', 'paint'])
def test_float32_on_a_large_canvas(compose):
    "A coordinate of a thousand pixels must not cost the digits of a distance of one."
    s, size, batch = scene([[(800, -1), (1200, 5)], [(1150, 1)], [(5, 2), (1190, 1.7)]], .6, (1200, 4))
    s['sigma2'] = s['sigma2'].double()
    results = []
    for backend, dtype, where in (('triton', torch.float32, device), ('dense', torch.float64, 'cpu')): results.append(run(s, size, batch, compose, backend, dtype, where))
    # float32 vertices are exact in both; float32 cannot say where on a stroke of 1,200 pixels a pixel's nearest point is to better than 1e-4 of one
    for k in ('image', 'vertices', 'colour'):
        a, b = (r[k].double() for r in results)
        assert (a - b).abs().max() <= 1e-5*b.abs().max(), (k, (a - b).abs().max()/b.abs().max())

def test_there_and_back():
    "A stroke that retraces itself: either of two equal segments may take the gradient, their sum is one and the same."
    v = torch.rand(3, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)*1.6 - .8
    folded = []
    for backend, where in (('dense', 'cpu'), ('triton', device)):
        w = torch.cat([v, v.flip(0)]).to(where).requires_grad_()
        draw(w[None], (20, 12), .003, backend=backend).square().sum().backward()
        folded.append((w.grad[:3] + w.grad[3:].flip(0)).cpu())
    assert torch.allclose(*folded, rtol=0, atol=1e-9*folded[0].abs().max().item())

@pytest.mark.parametrize('compose', ['ink', 'paint'])
def test_same_bits_every_time_and_in_groups(compose, monkeypatch):
    "Twice the same; and where the notes of paint do not fit at once, again the same."
    s, size, batch = scene([[(1, 1), (30, 40)], [(8, 1), (31, 9), (5, 35)], [(20, 20)], [(0, 30), (33, 2)]], [4., 20., 200., 1.], (34, 41), alpha=.7)
    once = run(s, size, batch, compose, 'triton', torch.float32, device)
    launched = []
    if compose == 'paint':
        groups = gpu._groups
        monkeypatch.setattr(gpu, '_groups', lambda *a: launched.append(groups(*a)) or launched[-1])
        monkeypatch.setattr(gpu, '_KEEP', 4*256*12)
    again = run(s, size, batch, compose, 'triton', torch.float32, device)
    assert all(torch.equal(once[k], again[k]) for k in once)
    if compose == 'paint':
        (groups, most), = launched
        assert len(groups) > 1 and most <= 12 and groups[0][0] == 0 and groups[-1][1] == 9 and all(a[1] == b[0] for a, b in zip(groups, groups[1:]))

def test_only_what_is_touched_is_listed():
    "Parts grow with the strokes' length, not with the canvas; the same strokes on four times the canvas, in pixels, have as many."
    parts = []
    for side in (256, 512):
        v = lines(200) * (.5 if side == 512 else 1)
        st, _ = as_strokes(v.to(device), (side, side), 1e-5, None, None, 'softor', None, None, None, None, 2/255)
        parts.append(len(gpu._Plan(st).owner))
    assert parts[0] <= 200*6 and parts[1] < 1.2*parts[0]

# filled shapes

def filled(paths, fill, sigma2, size, image=None, batch=1, alpha=None):
    "What `agree` takes, of paths of outlines in pixels."
    n, outlines = len(paths), [o for p in paths for o in p]
    s, size, batch = scene(outlines, 1., size, batch=batch)
    g, pitch = torch.Generator().manual_seed(n), 2/max(size[0] - 1, 1) if size[0] > 1 else 2/max(size[1] - 1, 1)
    s |= dict(sigma2=torch.as_tensor(sigma2, dtype=torch.float32).expand(n)*pitch**2, alpha=torch.rand(n, generator=g) if alpha is None else torch.as_tensor(alpha, dtype=torch.float32).expand(n).clone(),
              colour=torch.rand(n, 3, generator=g), image=torch.zeros(n, dtype=torch.long) if image is None else torch.tensor(image), paths=torch.tensor([0] + [len(p) for p in paths]).cumsum(0))
    return s, size, batch, dict(fill=fill)

SQUARE, STAR = [(2, 2), (2, 11), (9, 11), (9, 2)], [(1, 6), (10.2, 3), (4.1, 11), (4.3, 1), (10, 9)]
FILLED = {
    'a hole, by either rule': filled([[SQUARE, [(4, 4), (7, 4), (7, 8), (4, 8)]], [SQUARE, [(4, 5), (4, 9), (7, 9), (7, 5)]]], ['nonzero', 'evenodd'], 1., (11, 13)),
    'a star that crosses itself': filled([[STAR], [STAR]], ['nonzero', 'evenodd'], .5, (12, 13)),
    'loops that overlap, touch and coincide': filled([[SQUARE, [(5, 6), (5, 14), (13, 14), (13, 6)]], [SQUARE, SQUARE], [SQUARE, [(2, 11), (2, 14), (9, 14), (9, 11)]]], ['nonzero', 'nonzero', 'nonzero'], .3, (15, 16)),
    'slivers': filled([[[(3, 1), (3.01, 11), (3, 11)]], [[(1, 2), (9, 9), (9.001, 9), (1.001, 2)]], [[(8, 1), (8, 12), (8, 12), (8, 1)]]], ['nonzero', 'evenodd', 'nonzero'], 1., (11, 13)),
    'degenerate outlines': filled([[[(3, 3)]], [[(2, 7), (6, 7)]], [[(5, 5)]*4], [[(1, 1), (8, 9), (1, 1), (8, 9)]], [[(4, 4), (4, 4), (4, 9), (8, 9), (8, 9)]]], ['nonzero', 'evenodd', 'nonzero', 'evenodd', 'nonzero'], 1., (9, 11)),
    'beyond the canvas on every side': filled([[[(-9, 3), (5, -9), (25, 9), (4, 30)]], [[(-40, -40), (-40, 60), (60, 60), (60, -40)]], [[(50, 50), (50, 60), (60, 50)]], [[(3, 80), (9, 80), (9, -70), (3, -70)]]], ['nonzero']*4, .5, (14, 19)),
    'vertices far away': filled([[[(-4e4, -5e4), (5e4, 4e4), (8, -9e5)]], [[(-7e3, 7), (8e3, 7), (8e3, 9e3)]]], ['nonzero', 'evenodd'], 4., (14, 18)),
    'strokes and areas in one order, on images, one empty': filled([[SQUARE], [[(0, 0), (10, 12)]], [STAR], [[(4, 1), (4, 11)]]], ['nonzero', None, 'evenodd', None], 1., (11, 13), image=[2, 0, 0, 0], batch=3),
    'nothing is filled that can be seen': filled([[[(-50, -50), (-60, 3), (-50, 9)]], [[(99, 99)]]], ['nonzero', 'evenodd'], 1., (9, 11)),
    'one pixel': filled([[[(-1, -1), (-1, 1), (1, 0)]], [[(0, 0), (0, 1), (1, 0)]]], ['nonzero', 'evenodd'], .5, (1, 1)),
    'a row': filled([[[(-1, 3), (1, 3), (1, 20), (-1, 20)]], [[(0, 18), (0, 30), (2, 25)]]], ['nonzero', 'evenodd'], .3, (1, 35)),
    'a tile inside, and edges between tiles': filled([[[(1, 1), (1, 46), (46, 46), (46, 1)]], [[(15.5, 15.5), (15.5, 31.5), (31.5, 31.5), (31.5, 15.5)]]], ['nonzero', 'nonzero'], [.05, 1e-3], (48, 48), alpha=.5),
    'wider than the canvas': filled([[SQUARE], [STAR]], ['nonzero', 'evenodd'], 1e3, (11, 13)),
}

@pytest.mark.parametrize('name, compose', [(name, c) for i, name in enumerate(FILLED) for j, c in enumerate(COMPOSE) if LONG or (i + j) % 3 == 0])
def test_planted_fills(name, compose):
    s, size, batch, kw = FILLED[name]
    agree(s, size, batch, compose, ['triton'], device, **kw)

@st.composite
def tangles(draw_):
    "A ragged batch of paths of 1 to 3 outlines, that cross themselves and each other, on pixel centres or beyond the canvas, among strokes."
    g = torch.Generator().manual_seed(draw_(st.integers(0, 2**31)))
    size, batch = draw_(st.sampled_from([(1, 9), (9, 1), (2, 2), (7, 12), (17, 9)] + [(33, 20), (60, 50)]*LONG)), draw_(st.integers(1, 2))
    n = draw_(st.integers(1, 5 if LONG else 2))
    paths, fill = [], []
    for i in range(n):
        rule = (*RULES, None)[int(torch.randint(0, 3, (), generator=g))]
        def outline():
            v = (torch.rand(int(torch.randint(1, 6, (), generator=g)), 2, generator=g)*1.5 - .25)*torch.tensor(size)
            kind = int(torch.randint(0, 4, (), generator=g))
            return (v.round() if kind == 0 else torch.cat([v, v[-1:]]) if kind == 1 else v).tolist()
        paths.append([outline() for _ in range(1 if rule is None else int(torch.randint(1, 4, (), generator=g)))])
        fill.append(rule)
    sigma2 = (torch.rand(n, generator=g)*draw_(st.sampled_from([.2, 1., 8.])) + .1)**2
    return filled(paths, fill, sigma2, size, torch.randint(0, batch, (n,), generator=g).tolist(), batch)

@pytest.mark.parametrize('compose', COMPOSE)
@settings(max_examples=200 if LONG else 3, deadline=None)
@given(tangles())
def test_random_fills(compose, found):
    s, size, batch, kw = found
    # strokes that pass through the same pixels twice tie; areas have no ties
    agree(s, size, batch, compose, ['triton'], device, **kw)

def test_cells_on_vertices_and_crossings():
    from test_areas import along_the_step_agrees, on_cells_agrees
    on_cells_agrees(['triton'], device, range(200 if LONG else 6))
    along_the_step_agrees(['triton'], device, range(60 if LONG else 6))

def test_vertices_on_pixel_centres_in_single_precision():
    "Where a row of pixels runs through vertices and along edges, a pixel must not change sides for rounding: outlines on whole pixels, as float32 has them, at many places of a tile."
    for y, x in ((0, 0), (5, 9), (13, 14)) if not LONG else [(y, x) for y in range(0, 18) for x in range(0, 18, 3)]:
        outline = torch.tensor([[2., 2], [2, 5], [4, 5], [4, 9], [7, 5], [10, 5], [10, 2]]) + torch.tensor([y, x])
        got, want = (draw((((outline - torch.tensor([14., 15.5]))/14.5).to(d).to(w))[None], (29, 32), (.25/14.5)**2, fill='nonzero', backend=b).cpu() for b, d, w in (('triton', torch.float32, device), ('dense', torch.float64, 'cpu')))
        assert (got - want).abs().max() < 2e-5

def test_float32_fills_on_a_large_canvas():
    "A coordinate of a thousand pixels must not cost the digits of a distance of one."
    s, size, batch, kw = filled([[[(800.3, -1), (1195, 5), (1100, 1)]]], ['nonzero'], .6, (1200, 4))
    results = [run(s, size, batch, 'ink', b, t, w, **kw) for b, t, w in (('triton', torch.float32, device), ('dense', torch.float64, 'cpu'))]
    for k in ('image', 'vertices', 'colour'):
        a, b = (r[k].double() for r in results)
        assert (a - b).abs().max() <= 2e-5*b.abs().max(), (k, (a - b).abs().max()/b.abs().max())

@pytest.mark.parametrize('compose', COMPOSE)
def test_fills_are_drawn_by_the_kernels(compose, monkeypatch):
    "And not by plain tensors in their place: both kernels run, on the way there and back, with the tiles that they were asked for."
    def refuse(*_): raise AssertionError('plain tensors were asked')
    monkeypatch.setattr('dsketch_nb.draw.draw_pairs', refuse)
    monkeypatch.setattr(BACKENDS['pairs'], 'draw', refuse)
    ran = []
    class Seen:
        def __init__(self, kernel): self.kernel = kernel
        def __getitem__(self, grid): return lambda *a, **kw: ran.append((self.kernel.fn.__name__, grid)) or self.kernel[grid](*a, **kw)
    for k in ('cover_tiles', 'pull_tiles'): monkeypatch.setattr(gpu_areas, k, Seen(getattr(gpu_areas, k)))
    s, size, batch, kw = filled([[[(2, 2), (2, 5), (6, 4)]]], ['nonzero'], .5, (8, 9))
    out = run(s, size, batch, compose, 'triton', torch.float32, device, **kw)
    assert ran == [('cover_tiles', (1,)), ('pull_tiles', (1,))] and out['vertices'].abs().max() > 0 and BACKENDS['triton'].fills

def test_a_fill_that_the_device_cannot_draw_goes_to_pairs(monkeypatch):
    "Strokes keep their kernels; and the reason is given once."
    from dsketch_nb import draw as module
    monkeypatch.setattr(BACKENDS['triton'], 'device', 'cpu' if gpu.INTERPRETED else 'cuda')
    monkeypatch.delitem(BACKENDS, 'numba')
    def broken(*a, **kw): raise RuntimeError('no such instruction')
    monkeypatch.setattr(gpu, 'AreaTiles', broken)
    module._works.cache_clear(), module._failed.clear()
    try:
        with pytest.warns(UserWarning, match="'triton' does not run on .*so 'pairs' fills there.*no such instruction"):
            chosen = module._fastest(torch.device(device), filled=True)
        assert chosen == 'pairs' and module._fastest(torch.device(device)) == 'triton'
    finally: module._works.cache_clear(), module._failed.clear()

def test_fills_have_the_same_bits_every_time_and_in_groups(monkeypatch):
    s, size, batch, kw = filled([[[(1, 1), (1, 25), (20, 25), (20, 1)]], [[(0, 0), (20, 29)]], [STAR]], ['nonzero', None, 'evenodd'], 1., (20, 30))
    once = run(s, size, batch, 'paint', 'triton', torch.float32, device, **kw)
    monkeypatch.setattr(gpu, '_KEEP', 4*256*3)
    again = run(s, size, batch, 'paint', 'triton', torch.float32, device, **kw)
    assert all(torch.equal(once[k], again[k]) for k in once)

def test_tiles_inside_cost_no_numbers(monkeypatch):
    "Tiles near the boundary grow with its length, those inside share a row of ones; a path far away has none."
    class NotRun:
        def __getitem__(self, grid): return lambda *a, **kw: None
    monkeypatch.setattr(gpu_areas, 'cover_tiles', NotRun())
    found = []
    for n in (160, 320):
        s, size, batch, kw = filled([[[(8, 8), (8, n - 8), (n - 8, n - 8), (n - 8, 8)]], [[(-900, 0), (-900, 9), (-800, 0)]]], ['nonzero']*2, .1, (n, n))
        strokes, _ = as_strokes(s['vertices'].to(device), size, s['sigma2'].to(device), None, None, 'softor', None, s['offsets'], None, None, None, 'nonzero', s['paths'])
        tiles = gpu_areas.AreaTiles(strokes, (strokes.vertices.double()/strokes.pitch + (n - 1)/2), gpu.TILE)
        found.append((tiles.rings, len(tiles.row)))
        assert len(tiles.cover) == tiles.rings + 1 and not tiles.path.any()
    assert found == [(36, 100), (76, 400)]

@pytest.mark.filterwarnings('ignore:invalid value')                                  # NumPy's, of NaN times zero
@pytest.mark.parametrize('change, names', [
    (dict(vertices=torch.full((5, 2, 2), math.nan)), 'vertices'), (dict(vertices=torch.full((5, 2, 2), math.inf)), 'vertices'), (dict(sigma2=torch.tensor([.1, .1, 0, .1, .1])), 'sigma2'),
    (dict(sigma2=math.nan), 'sigma2'), (dict(sigma2=-1.), 'sigma2'), (dict(compose='ink', colour=torch.full((5, 3), math.inf)), 'colour'),
    (dict(compose='paint', alpha=torch.full((5,), math.nan)), 'alpha'), (dict(compose='paint', background=math.nan), 'background'),
    (dict(fill='nonzero', vertices=torch.full((5, 3, 2), math.nan)), 'vertices'), (dict(fill='evenodd', vertices=torch.full((5, 3, 2), -math.inf)), 'vertices'), (dict(fill='nonzero', sigma2=torch.tensor([.1, .1, 0, .1, .1])), 'sigma2')])
def test_bad_input_is_named(change, names):
    kw = dict(vertices=lines(5), size=(8, 9), sigma2=.01, backend='triton') | change
    with pytest.raises(ValueError, match=names): draw(**{k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in kw.items()})

def test_an_empty_scene_is_bare_paper():
    out = draw(torch.zeros(0, 2, 2, device=device), (4, 5), .1, compose='paint', colour=torch.zeros(0, 3, device=device), background=torch.tensor([.2, .5, 1.], device=device), backend='triton')
    assert torch.equal(out.cpu(), torch.tensor([.2, .5, 1.])[:, None, None].expand(3, 4, 5))
    v = torch.zeros(2, 0, 3, 2, device=device, requires_grad=True)
    out = draw(v, (4, 5), .1, fill='nonzero', backend='triton')
    assert out.shape == (2, 1, 4, 5) and not out.any() and torch.autograd.grad(out.sum(), v)[0].shape == v.shape

def test_non_contiguous_and_expanded_input():
    v = lines(3).to(device)
    expect = draw(v, (9, 17), 1e-2, backend='triton')
    assert torch.equal(draw(v.transpose(0, 2).contiguous().transpose(0, 2), (9, 17), torch.tensor(1e-2, device=device).expand(3), backend='triton'), expect)
    w = v.clone().requires_grad_()
    draw(w, (9, 17), 1e-2, backend='triton').sum().backward()                        # the gradient of a sum is one number, expanded
    assert torch.isfinite(w.grad).all() and w.grad.abs().max() > 0

@pytest.mark.parametrize('compose', ['ink', 'paint'])
def test_the_operator_is_a_proper_one(compose):
    tests = ('test_schema', 'test_autograd_registration', 'test_faketensor') + ('test_aot_dispatch_dynamic',)*LONG
    torch.library.opcheck(torch.ops.dsketch_nb.draw.default, operands(compose, backend='triton', device=device), test_utils=tests)

def test_inside_compiled_code():
    torch._dynamo.reset()
    v = lines(3).to(device).requires_grad_()
    def f(v): return draw(v.sin(), (12, 13), .01, backend='triton').square().sum()
    assert torch.equal(*(torch.autograd.grad(g(v), v)[0] for g in (f, torch.compile(f, backend='aot_eager', fullgraph=True))))

PTX = """
import sys, torch
from dsketch_nb.gpu import compile_for
for name, kernel in compile_for(int(sys.argv[1]), getattr(torch, sys.argv[2]), int(sys.argv[3])).items():
    assert len(kernel.asm['cubin']) > 1000, name
    print(f'// kernel {name}\\n' + kernel.asm['ptx'])
"""

@pytest.mark.parametrize('capability, dtype, channels', [(75, 'float32', 1), (90, 'float32', 3), (80, 'float64', 3)])
def test_every_kernel_compiles_for_a_gpu(capability, dtype, channels):
    "To machine code, for a GPU that need not be here: without an atomic operation, and in float32 without a double where pixels are visited."
    done = subprocess.run([sys.executable, '-c', PTX, str(capability), dtype, str(channels)], capture_output=True, text=True, env=os.environ | {'TRITON_INTERPRET': '0'})
    assert done.returncode == 0, done.stderr
    kernels = dict(part.split('\n', 1) for part in done.stdout.split('// kernel ')[1:])
    tiles = '_ink_tiles', '_ink_tiles_backward', '_paint_tiles', '_paint_tiles_backward'
    assert sorted(kernels) == sorted([*tiles, *(k + ' with areas' for k in tiles), '_count_tiles', '_list_tiles', '_sum_rows', 'cover_tiles', 'pull_tiles'])
    for name, ptx in kernels.items():
        assert not re.search(r'\b(atom|red)\.', ptx), name
        if dtype == 'float32' and name.startswith(('_ink', '_paint', 'cover', 'pull')): assert '.f64' not in ptx, name
    assert 'bar.sync' in kernels['_paint_tiles_backward']

LAUNCHES = """
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

class NotThere:
    def get_current_target(self): return GPUTarget('cuda', 80, 32)
    def get_current_device(self): return 0
    def get_current_stream(self, device): return 0

names, run, empty = [], JITFunction.run, torch.empty
def bind_and_compile(self, *args, grid, warmup, **kw):
    names.append(self.fn.__name__)
    return run(self, *args, grid=grid, warmup=True, **kw)
driver.set_active(NotThere())
JITFunction.run, torch.empty = bind_and_compile, lambda *a, **kw: empty(*a, **kw).zero_()

from dsketch_nb import draw, gpu
for size in (1, 1), (33, 20):
    for compose, colour, background in ('softor', None, None), ('ink', torch.rand(3, 3), None), ('paint', torch.rand(3, 3), .5):
      for k, fill in (2, None), (3, ['nonzero', None, 'evenodd']):
        if fill and compose == 'softor': continue                    # ink of another number of channels
        st, _ = draw.as_strokes(torch.rand(2, 3, k, 2)*2 - 1, size, .1, colour, None, compose, background, *[None]*4, fill)
        image, kept = gpu.forward(st)
        assert [g is not None for g in gpu.backward(st, kept, torch.ones_like(image))] == [True]*3 + [compose == 'paint']*2
print(*sorted(set(names)))
"""

def test_every_launch_binds_and_compiles():
    "With a driver for a GPU that is not there: what a drawing starts, with the very arguments, is compiled; nothing runs."
    done = subprocess.run([sys.executable, '-c', LAUNCHES], capture_output=True, text=True, env=os.environ | {'TRITON_INTERPRET': '0'})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ['_count_tiles', '_ink_tiles', '_ink_tiles_backward', '_list_tiles', '_paint_tiles', '_paint_tiles_backward', '_sum_rows', 'cover_tiles', 'pull_tiles']

@pytest.mark.skipif(not torch.cuda.is_available() or gpu.INTERPRETED, reason='no GPU')
@pytest.mark.parametrize('compose', COMPOSE)
def test_a_real_scene_on_a_real_gpu(compose):
    "A thousand strokes, the whole chip busy: the CPU's picture and gradients, the same bits every time, and Triton by default."
    g = torch.Generator().manual_seed(0)
    n, size = 1000, (256, 300)
    s = dict(vertices=lines(n).reshape(-1, 2), offsets=torch.arange(0, 2*n + 1, 2), sigma2=torch.full((n,), 1e-4), alpha=torch.rand(n, generator=g), colour=torch.rand(n, 3, generator=g),
             image=torch.arange(n) % 3, background=torch.rand(3, 3, *size, generator=g))
    first = run(s, size, 3, compose, None, torch.float32, 'cuda')
    for k, y in run(s, size, 3, compose, 'numba', torch.float32).items(): assert (first[k] - y).abs().max() <= 2e-5*max(y.abs().max().item(), 1), k
    for _ in range(20):
        again = run(s, size, 3, compose, 'triton', torch.float32, 'cuda')
        assert all(torch.equal(first[k], again[k]) for k in first)
