"""`draw` against the dense reference in float64: random scenes with degenerate strokes, in value and in every gradient; as an operator, in compiled code, in half precision."""
import math, os, shutil, subprocess, sys

import pytest, torch
from hypothesis import given, settings, strategies as st

from dsketch_nb import compiled, draw as module
from dsketch_nb.draw import BACKENDS, draw
from dsketch_nb.strokes import COMPOSE

here = [k for k, b in BACKENDS.items() if b.device in ('any', 'cpu')]   # Triton's kernels have a file of their own, test_gpu.py
fast = [k for k in here if k != 'dense']

@st.composite
def scenes(draw_):
    "A ragged batch: strokes of 1 to 6 vertices, some without length, doubled back, on pixel centres or off the canvas."
    seed = draw_(st.integers(0, 2**31))
    h, w = draw_(st.sampled_from([(1, 1), (1, 9), (9, 1), (2, 2), (12, 17), (5, 120), (33, 20)]))
    n, batch = draw_(st.integers(1, 9)), draw_(st.integers(1, 3))
    width = draw_(st.sampled_from([1e-3, 1e-2, .1, 1., 30.]))
    g = torch.Generator().manual_seed(seed)
    pitch = 2/(h-1) if h > 1 else 2/(w-1) if w > 1 else 2.
    parts = []
    for i in range(n):
        k = int(torch.randint(1, 7, (), generator=g))
        v = (torch.rand(k, 2, generator=g)*2 - 1) * torch.tensor([1., max(w-1, 1)/max(h-1, 1)])
        kind = int(torch.randint(0, 6, (), generator=g))
        if kind == 0: v = v[:1].expand(k, 2)                                   # no length
        if kind == 1: v = (v[:2]/pitch + .5).round()*pitch                     # on pixel centres (one segment: no pixel ties between two)
        if kind == 2: v = v + torch.tensor([4., -5.])                          # off the canvas
        if kind == 3: v = torch.cat([v, v[-1:], v[-1:]])                       # padded, as batches are
        parts.append(v)
    offsets = torch.tensor([0] + [len(p) for p in parts]).cumsum(0)
    sigma2 = ((torch.rand(n, generator=g) + .5)*width*pitch*8)**2
    return dict(vertices=torch.cat(parts) if parts else torch.zeros(0, 2), offsets=offsets, sigma2=sigma2, alpha=torch.rand(n, generator=g).round(decimals=1),
                colour=torch.rand(n, 3, generator=g), image=torch.randint(0, batch, (n,), generator=g), background=torch.rand(batch, 3, h, w, generator=g)), (h, w), batch

def run(scene, size, batch, compose, backend, dtype, device='cpu', **kw):
    "The image and the gradients by name."
    s = {k: v.detach().clone().to(device, dtype).requires_grad_() if v.is_floating_point() else v.to(device) for k, v in scene.items()}
    if compose == 'softor': s.pop('colour')
    if compose != 'paint': s.pop('background')
    out = draw(size=size, batch=batch, compose=compose, backend=backend, **s, **kw)
    weights = torch.rand(out.shape, generator=torch.Generator().manual_seed(1)).to(device, dtype) - .3
    (out*weights).sum().backward()
    return {k: v.cpu() for k, v in (dict(image=out.detach()) | {k: v.grad if v.grad is not None else torch.zeros_like(v) for k, v in s.items() if v.is_floating_point()}).items()}

def agree(scene, size, batch, compose, backends, device='cpu', **kw):
    "Do backends give the reference's image and gradients, in both precisions?"
    reference = run(scene, size, batch, compose, 'dense', torch.float64, **kw)
    # a float32 coordinate is itself known to one part in 2^24: strokes thinner than that against their length cannot do better
    rounding = 2**-21 * (2 + scene['vertices'].abs().max().item()) / scene['sigma2'].min().item()**.5
    for dtype, tol in ((torch.float64, 1e-9), (torch.float32, max(1e-5, rounding))):
        for backend in backends:
            for k, x in run(scene, size, batch, compose, backend, dtype, device, **kw).items():
                y = reference[k]
                assert x.shape == y.shape and torch.isfinite(x).all(), (backend, k)
                if not y.numel(): continue
                # relative to the largest gradient, or to what one pixel can exert where all cancel
                unit = 1. if k == 'image' else dict(vertices=scene['sigma2'].min().item()**-.5, sigma2=1/scene['sigma2'].min().item()).get(k, 1.)
                assert (x - y).abs().max() <= tol*max(y.abs().max().item(), unit), (backend, dtype, k, (x - y).abs().max().item(), y.abs().max().item())

@pytest.mark.parametrize('compose', COMPOSE)
@settings(max_examples=60, deadline=None)
@given(scenes())
def test_backends_agree_with_the_reference(compose, scene): agree(*scene, compose, fast)

@pytest.mark.parametrize('backend', fast)
def test_there_and_back(backend):
    "A stroke that retraces itself: either of two equal segments may take the gradient, their sum is one and the same."
    v = torch.rand(4, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)*1.6 - .8
    folded = []
    for b in ('dense', backend):
        w = torch.cat([v, v.flip(0)]).requires_grad_()
        draw(w[None], (20, 23), .003, backend=b).square().sum().backward()
        folded.append(w.grad[:4] + w.grad[4:].flip(0))
    assert torch.allclose(*folded, rtol=0, atol=1e-9*folded[0].abs().max().item())

def lines(n=50, seed=0):
    g = torch.Generator().manual_seed(seed)
    a = torch.rand(n, 1, 2, generator=g)*2 - 1
    return torch.cat([a, a + (torch.rand(n, 1, 2, generator=g) - .5)*.4], 1)

@pytest.mark.parametrize('backend', here)
def test_an_empty_scene_is_bare_paper(backend):
    v = torch.zeros(0, 2, 2, requires_grad=True)
    out = draw(v, (4, 5), .1, compose='paint', colour=torch.zeros(0, 3), background=torch.tensor([.2, .5, 1.]), backend=backend)
    assert torch.equal(out, torch.tensor([.2, .5, 1.])[:, None, None].expand(3, 4, 5))
    out.sum().backward()
    assert v.grad.shape == (0, 2, 2)

def test_same_bits_for_any_number_of_threads():
    results = []
    for n in (1, 2, 3):
        before = compiled.set_threads(n)
        try:
            v = lines(3000).requires_grad_()
            out = draw(v, (200, 210), 1e-4, backend='numba')
            out.square().sum().backward()
            results.append((out.detach(), v.grad))
        finally: compiled.set_threads(before)
    for out, grad in results[1:]:
        assert torch.equal(out, results[0][0]) and torch.equal(grad, results[0][1])

def test_many_callers_at_once():
    from concurrent.futures import ThreadPoolExecutor
    alone = [draw(lines(2000, s), (128, 128), 1e-4) for s in range(8)]
    with ThreadPoolExecutor(4) as pool: together = list(pool.map(lambda s: draw(lines(2000, s), (128, 128), 1e-4), range(8)))
    assert all(torch.equal(a, b) for a, b in zip(alone, together))

def test_non_contiguous_and_expanded_input():
    v = lines(20)
    expect = draw(v, (30, 31), 1e-3)
    assert torch.equal(draw(v.transpose(0, 2).contiguous().transpose(0, 2), (30, 31), torch.tensor(1e-3).expand(20)), expect)
    rows = draw(v[:1].expand(4, 1, 2, 2), (30, 31), 1e-3)
    assert all(torch.equal(r, rows[0]) for r in rows)

def test_closed_form_of_a_point():
    "A point at the centre of a 3 x 3 canvas: exp(-d2/sigma2) with d2 of 0, 1 and 2."
    for backend in here:
        got = draw(torch.zeros(1, 1, 2, dtype=torch.float64), (3, 3), .5, backend=backend)[0]
        d2 = torch.tensor([[2., 1, 2], [1, 0, 1], [2, 1, 2]], dtype=torch.float64)
        assert torch.allclose(got, torch.exp(-d2/.5), atol=1e-12)

def test_what_numbers_cannot_hold_is_refused():
    v = torch.rand(400, 5, 2, dtype=torch.float64)*2 - 1
    for far in (1e155, 1e200, -1e308):
        v[7, 2, 1] = far
        with pytest.raises(ValueError, match='beyond what torch.float64 can hold'): draw(v, (64, 64), .01)

@pytest.mark.parametrize('change, names', [
    (dict(sigma2=0.), 'sigma2'), (dict(sigma2=-1.), 'sigma2'), (dict(sigma2=math.nan), 'sigma2'), (dict(sigma2=torch.ones(7)), 'sigma2'),
    (dict(vertices=torch.zeros(5, 2, 3)), 'vertices'), (dict(vertices=torch.zeros(5, 0, 2)), 'vertices'), (dict(vertices=torch.full((5, 2, 2), math.nan)), 'vertices'),
    (dict(vertices=torch.full((5, 2, 2), math.inf)), 'vertices'), (dict(size=(0, 5)), 'size'), (dict(size=(5,)), 'size'), (dict(size=(5, 2.5)), 'size'), (dict(compose='mix'), 'compose'),
    (dict(colour=torch.rand(5, 3)), 'colour'), (dict(background=1.), 'background'), (dict(compose='ink', colour=torch.rand(4, 3)), 'colour'),
    (dict(compose='ink', colour=torch.full((5, 3), math.nan)), 'colour'), (dict(alpha=torch.full((5,), math.inf)), 'alpha'), (dict(pitch=-1.), 'pitch'), (dict(backend='gpu'), 'backend'), (dict(batch=2), 'batch'),
    (dict(vertices=torch.zeros(5, 2), offsets=[0, 3]), 'offsets'), (dict(vertices=torch.zeros(5, 2), offsets=[0, 3, 3, 5]), 'offsets'), (dict(vertices=torch.zeros(5, 2), offsets=[0, 5], image=[1]), 'image')])
@pytest.mark.parametrize('backend', [None, 'pairs', 'dense'])
def test_bad_input_is_named(change, names, backend):
    kw = dict(vertices=lines(5), size=(8, 9), sigma2=.01, backend=backend) | change
    with pytest.raises((ValueError, TypeError), match=names): draw(**kw)

@pytest.mark.parametrize('compose', ['ink', 'paint'])
def test_a_row_that_crosses_a_stroke_twice(compose):
    "Between the arms of a U no segment reaches; an earlier stroke of many segments must leave no trace there."
    zigzag = torch.stack([torch.linspace(-.9, .9, 400), .8*torch.sin(torch.arange(400.))], 1)
    u = torch.tensor([[-.9, -.8], [.9, -.8], [.9, .8], [-.9, .8]])
    vertices, offsets = torch.cat([zigzag, u, u*.9]).requires_grad_(), torch.tensor([0, 400, 404, 408])
    grads = []
    for backend in ('numba', 'dense'):
        out = draw(vertices, (48, 64), .02**2, colour=torch.tensor([[.2, .5, .7], [.9, .1, .3], [.4, .4, .4]]), alpha=torch.tensor([.9, .8, .7]), compose=compose, offsets=offsets, backend=backend)
        g, = torch.autograd.grad((out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum(), vertices)
        grads.append((out.detach(), g))
    for a, b in zip(*grads): torch.testing.assert_close(a, b, atol=1e-5*b.abs().max().item(), rtol=0)

def operands(compose, dtype=torch.float32, seed=0, backend='numba', device='cpu'):
    "What the operator takes: three ragged strokes on two images, drawn with `compose`."
    g = torch.Generator().manual_seed(seed)
    rand = lambda *n: torch.rand(*n, generator=g, dtype=dtype)
    more = (rand(3), rand(2, 3, 11, 14)) if compose == 'paint' else (None, None)
    tensors = rand(8, 2)*2 - 1, torch.tensor([0, 1, 3, 8]), torch.tensor([0, 1, 1]), rand(3)*.05 + .01, rand(3, 3), *more
    tensors = [None if t is None else t.to(device) for t in tensors]
    return *(t.requires_grad_() if t is not None and t.is_floating_point() else t for t in tensors), 11, 14, 2, 2/10, backend

@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('compose', ['ink', 'paint'])
def test_the_operator_is_a_proper_one(compose, dtype):
    torch.library.opcheck(torch.ops.dsketch_nb.draw.default, operands(compose, dtype))

@pytest.mark.parametrize('compose', ['ink', 'paint'])
def test_the_operator_draws_what_draw_draws(compose):
    *tensors, h, w, batch, pitch, backend = operands(compose)
    vertices, offsets, image, sigma2, colour, alpha, background = tensors
    floats = [x for x in (vertices, sigma2, colour, alpha, background) if x is not None]
    weights = torch.linspace(-1, 1, batch*3*h*w).reshape(batch, 3, h, w)
    results = []
    for out in (torch.ops.dsketch_nb.draw(*tensors, h, w, batch, pitch, backend)[0],
                draw(vertices, (h, w), sigma2, colour, alpha, compose, background, offsets, image, batch, pitch, backend)):
        results.append([out.detach(), *torch.autograd.grad((out*weights).sum(), floats)])
    assert all(torch.equal(a, b) for a, b in zip(*results))

def test_the_operator_refuses_what_draw_refuses():
    good = operands('ink')
    for i, bad, names in ((0, torch.full((8, 2), math.nan), 'vertices'), (1, torch.tensor([0, 1, 3, 7]), 'offsets'), (2, torch.tensor([0, 1, 2]), 'image'),
                          (3, torch.tensor([.1, 0, .1]), 'sigma2'), (4, torch.full((3, 3), math.inf), 'colour')):
        with pytest.raises(ValueError, match=names): torch.ops.dsketch_nb.draw(*good[:i], bad, *good[i+1:])

class Decoder(torch.nn.Module):
    "A small network that draws."
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(6, 4*3*2 + 4)
    def forward(self, z, **kw):
        points, alpha = self.net(z).split([24, 4], -1)
        return draw(points.tanh().unflatten(-1, (4, 3, 2)), (15, 18), .02, alpha=alpha.sigmoid(), **kw)

compilers = ['aot_eager'] + ['inductor']*bool(shutil.which('g++'))   # the last stage wants a C++ compiler on the CPU

@pytest.mark.parametrize('compiler', compilers)
def test_inside_a_compiled_training_step(compiler):
    "One graph without a break, also for a batch of another size; the same steps as without the compiler."
    def loss(model, z): return (model(z) - .3).square().mean()
    torch._dynamo.reset()
    histories = []
    for step in (loss, torch.compile(loss, backend=compiler, fullgraph=True)):
        model = Decoder()
        optimiser, history = torch.optim.SGD(model.parameters(), lr=2.), []
        for n in (5, 5, 3, 7):
            value = step(model, torch.linspace(-1, 1, 6*n).reshape(n, 6))
            optimiser.zero_grad(); value.backward(); optimiser.step()
            history.append(value.item())
        histories.append(history)
    assert histories[0] == pytest.approx(histories[1], rel=1e-5) and histories[0][0] != histories[0][1]

@pytest.mark.parametrize('compose', COMPOSE)
def test_every_way_to_compose_compiles(compose):
    torch._dynamo.reset()
    v = lines(6).requires_grad_()
    more = {} if compose == 'softor' else dict(colour=torch.rand(6, 3), compose=compose) | (dict(background=.5) if compose == 'paint' else {})
    def f(v): return draw(v, (12, 13), .01, **more)
    compiled = torch.compile(f, backend='aot_eager', fullgraph=True)
    assert torch.equal(compiled(v), f(v))
    assert torch.equal(*(torch.autograd.grad(g(v).square().sum(), v)[0] for g in (f, compiled)))

@pytest.mark.parametrize('backend', ['pairs', 'dense'])
def test_other_backends_work_beside_compiled_code(backend):
    torch._dynamo.reset()
    v = lines(6).requires_grad_()
    def f(v): return draw(v.sin(), (12, 13), .01, backend=backend).square().sum()
    g, = torch.autograd.grad(torch.compile(f, backend='aot_eager')(v), v)
    assert torch.equal(g, torch.autograd.grad(f(v), v)[0])

@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_drawn_in_single(dtype):
    v = lines(6).to(dtype).requires_grad_()
    alpha = torch.rand(6, dtype=dtype).requires_grad_()
    out = draw(v, (20, 21), .01, alpha=alpha)
    assert out.dtype == torch.float32 and torch.equal(out, draw(v.float(), (20, 21), .01, alpha=alpha.float()))
    out.sum().backward()
    assert v.grad.dtype == alpha.grad.dtype == dtype and torch.isfinite(v.grad).all()

@pytest.mark.parametrize('backend', here)
def test_under_autocast(backend):
    model, z = Decoder(), torch.linspace(-1, 1, 12).reshape(2, 6)
    with torch.autocast('cpu', torch.bfloat16):
        assert model.net(z).dtype == torch.bfloat16
        out = model(z, backend=backend)
    assert out.dtype == torch.float32
    out.sum().backward()
    assert model.net.weight.grad.dtype == torch.float32 and torch.isfinite(model.net.weight.grad).all()
    assert (out - model(z, backend=backend)).abs().max() < .1                   # the network's own rounding, no more

@pytest.mark.parametrize('compose', COMPOSE)
def test_float32_on_a_large_canvas(compose):
    "Long thin strokes: a coordinate of hundreds of pixels must not cost the digits of a distance of one."
    g = torch.Generator().manual_seed(5)
    v, colour = torch.rand(6, 3, 2, generator=g)*2 - 1, torch.rand(6, 3, generator=g)
    weights = torch.rand(1, 400, 500, generator=g)
    results = []
    for backend, dtype in (('numba', torch.float32), ('dense', torch.float64)):
        w = v.to(dtype).requires_grad_()
        out = draw(w, (400, 500), (.8*2/399)**2, colour=None if compose == 'softor' else colour, alpha=.7, compose=compose, backend=backend)
        results.append((out.detach().double(), torch.autograd.grad((out*weights.to(dtype)).sum(), w)[0].double()))
    for a, b in zip(*results): assert (a - b).abs().max() <= 1e-5*b.abs().max()

def test_paint_in_narrower_bands(monkeypatch):
    "Where a band of paint would keep too much for its way back, bands are cut again, with the same result."
    v = lines(30).requires_grad_()
    def results():
        out = draw(v, (40, 50), .05, colour=torch.linspace(0, 1, 90).reshape(30, 3), alpha=.5, compose='paint')
        return out.detach(), torch.autograd.grad(out.square().sum(), v)[0]
    usual = results()
    cuts = []
    plan = compiled._plan
    monkeypatch.setattr(compiled, '_plan', lambda *a: cuts.append(a[9]) or plan(*a))
    monkeypatch.setattr(compiled, '_KEEP', 20_000)
    narrow = results()
    assert cuts[0] == 16 and cuts[-1] < 16
    for a, b in zip(usual, narrow): torch.testing.assert_close(a, b, atol=1e-5*b.abs().max().item(), rtol=0)

def test_no_index_leaves_its_array_and_the_wait_is_explained(tmp_path):
    "With numba's bound checks on, in a fresh cache: the compiler announces itself once, and not where it finds its work done."
    code = """
import torch
from dsketch_nb.draw import draw
torch.manual_seed(0)
for h, w in (1, 1), (1, 40), (40, 1), (35, 41):
    for k in 1, 2, 5:
        v = (torch.rand(2, 7, k, 2)*3 - 1.5).requires_grad_()
        for compose in 'ink', 'paint':
            for sigma2 in 1e-4, .1, 30.:
                for fill in None, 'nonzero', ['evenodd', None, 'nonzero']*2 + [None]:
                    draw(v, (h, w), sigma2, colour=torch.rand(7, 3), compose=compose, fill=fill).sum().backward()
assert torch.isfinite(v.grad).all()
"""
    env = os.environ | dict(NUMBA_CACHE_DIR=str(tmp_path), NUMBA_BOUNDSCHECK='1')
    first, second = (subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stderr.count('compiling the drawing kernels') == 1
    assert second.returncode == 0 and second.stderr == '', second.stderr

def test_threads_are_counted_before_others_are_turned_down():
    "`imageopt` turns PyTorch's threads down before the first drawing; ours must not follow."
    script = "import torch; n = torch.get_num_threads(); import dsketch_nb.draw as d; torch.set_num_threads(1); d.draw(torch.zeros(1, 2, 2), (4, 4), .1); from dsketch_nb import compiled; assert compiled._threads == n, (compiled._threads, n)"
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

@pytest.fixture
def picky(monkeypatch):
    "numba's backend as on the first drawing of a process: before it is chosen, it is tried."
    monkeypatch.setitem(vars(BACKENDS['numba']), 'kernels', compiled)
    module._works.cache_clear(), module._failed.clear()
    yield monkeypatch
    module._works.cache_clear(), module._failed.clear()

def test_what_needs_something_is_tried_once(picky):
    drawn = []
    forward = compiled.forward
    picky.setattr(compiled, 'forward', lambda st: drawn.append(st.size) or forward(st))
    for _ in range(2): draw(lines(3), (9, 8), .01)
    assert drawn == [(3, 3), (9, 8), (9, 8)]

def test_what_does_not_run_here_is_not_chosen(picky):
    def fail(st): raise RuntimeError('Failed to find a C compiler.\nMore of it.')
    picky.setattr(compiled, 'forward', fail)
    with pytest.warns(UserWarning, match="'numba' does not run on cpu, so 'pairs' draws there, more slowly: Failed to find a C compiler.") as seen:
        for _ in range(2): assert torch.equal(draw(lines(3), (9, 8), .01), draw(lines(3), (9, 8), .01, backend='pairs'))
    assert len(seen) == 1
    with pytest.raises(RuntimeError, match='C compiler'): draw(lines(3), (9, 8), .01, backend='numba')          # asked for by name, it says why not

def test_what_is_not_installed_is_not_chosen(picky):
    picky.setattr(BACKENDS['numba'], 'needs', 'no_such_package')
    vars(BACKENDS['numba']).pop('kernels')
    with pytest.warns(UserWarning, match="so 'pairs' draws there, more slowly: backend needs no_such_package, which is not installed"):
        assert torch.equal(draw(lines(3), (9, 8), .01), draw(lines(3), (9, 8), .01, backend='pairs'))
    with pytest.raises(ValueError, match='needs no_such_package, which is not installed'): draw(lines(3), (9, 8), .01, backend='numba')

def test_the_choice_is_made_before_compiled_code_runs(picky):
    torch._dynamo.reset()
    def f(v): return draw(v, (12, 13), .01)
    assert torch.equal(torch.compile(f, backend='aot_eager', fullgraph=True)(lines(6)), f(lines(6)))

def test_cuda_is_for_triton(monkeypatch):
    cuda = torch.device('cuda')
    monkeypatch.setattr(module, '_works', lambda *kind: True)
    assert module._fastest(cuda) == 'triton' and module._fastest(torch.device('cpu')) == 'numba' and module._fastest(torch.device('meta')) == 'pairs'
    monkeypatch.setattr(module, '_works', lambda *kind: False)
    assert module._fastest(cuda) == 'pairs'

def test_triton_stays_out_of_the_way():
    "Nothing imports it but a drawing with it; and that, on the CPU, is refused where the kernels are not interpreted."
    script = """
import sys, torch, dsketch_nb.draw as d
v = torch.zeros(1, 2, 2)
d.draw(v, (4, 4), .1)
assert 'triton' not in sys.modules
try: d.draw(v, (4, 4), .1, backend='triton')
except ValueError as e: assert 'draws on cuda and vertices is on cpu' in str(e) or 'not installed' in str(e), e
else: raise AssertionError
"""
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, env=os.environ | {'TRITON_INTERPRET': '0'})
    assert done.returncode == 0, done.stderr
