"""`draw` wherever it is called: differentiated twice, under torch.func, modes and default settings, with numbers as large as there are, without numba, without a place for its cache."""
import ast, os, re, shutil, signal, subprocess, sys
from pathlib import Path

import pytest, torch
from hypothesis import given, settings, strategies as st
from torch.autograd.functional import hessian, hvp, jacobian, vhp

from dsketch_nb import draw as module, strokes
from dsketch_nb.draw import BACKENDS, draw
from dsketch_nb.strokes import COMPOSE
from test_draw import operands

LONG = bool(os.environ.get('DSKETCH_LONG'))
PACKAGE = Path(module.__file__).parent
here = [k for k, b in BACKENDS.items() if b.device in ('any', 'cpu')]   # Triton's kernels have a file of their own, test_gpu.py

def child(code, check=True, cwd=None, **env):
    "What a fresh process says, begun in the folder `cwd`; None in `env` unsets a variable."
    env = {k: v for k, v in (os.environ | env).items() if v is not None}
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env, cwd=cwd)
    assert not check or done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done

# ---- second derivatives

def scene(compose, seed=0, size=(7, 9)):
    "What has a derivative, by name, of strokes one of which is padded and one passes through the middle of a pixel, in full ink; `backend -> draw`."
    g = torch.Generator().manual_seed(seed)
    rand = lambda *s: torch.rand(*s, generator=g, dtype=torch.float64)
    v = rand(4, 4, 2)*1.6 - .8
    v[0, 2:] = v[0, 1]                                    # padded, as batches are
    v[1, 1] = 2/3*torch.tensor([1, -1]) - v[1, 0]         # through the middle of a pixel
    x = dict(vertices=v, sigma2=rand(4)*.05 + .02, alpha=rand(4)*.8 + .1)
    x['alpha'][1] = 1.                                    # full ink: nothing shows through
    if compose != 'softor': x['colour'] = rand(4, 3).round(decimals=1)
    if compose == 'paint': x['background'] = rand(3, *size)
    return x, lambda backend: lambda *y: draw(size=size, compose=compose, backend=backend, **dict(zip(x, y)))

@pytest.mark.parametrize('backend', here)
@pytest.mark.parametrize('compose', COMPOSE)
def test_second_derivatives_are_finite_differences_of_the_first(compose, backend):
    for seed in range(20 if LONG else 3):
        x, drawn = scene(compose, seed)
        seen = torch.rand(1 if compose == 'softor' else 3, 7, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        to = [torch.rand(v.shape, generator=torch.Generator().manual_seed(i), dtype=torch.float64) - .5 for i, v in enumerate(x.values())]
        to[0][0, 2:] = to[0][0, 1]                        # what is padded moves as one
        def f(*y): return (drawn(backend)(*y).square()*seen).sum()
        def slope(t, **kw):
            y = [(v + t*d).requires_grad_() for v, d in zip(x.values(), to)]
            return y, torch.autograd.grad(f(*y), y, **kw)
        y, first = slope(0., create_graph=True)
        second = torch.autograd.grad(sum((g*d).sum() for g, d in zip(first, to)), y)
        for name, a, up, down in zip(x, second, slope(1e-6)[1], slope(-1e-6)[1]):
            want = (up - down)/2e-6
            torch.testing.assert_close(a, want, rtol=0, atol=2e-5*max(want.abs().max().item(), 1), msg=lambda m: f'{seed} {name}: {m}')

@pytest.mark.parametrize('backend', here)
def test_every_way_to_ask_for_a_second_derivative(backend):
    x, drawn = scene('ink')
    def f(v): return drawn(backend)(v, *list(x.values())[1:]).square().sum()
    def reference(v): return drawn('dense')(v, *list(x.values())[1:]).square().sum()
    v, want = x['vertices'], hessian(reference, x['vertices'])
    to, flat = torch.rand(v.shape, generator=torch.Generator().manual_seed(1), dtype=v.dtype), want.reshape(v.numel(), -1)
    ask = [hessian(f, v), hessian(f, v, vectorize=True), (hvp(f, v, to)[1], (flat @ to.flatten()).view(v.shape)), (vhp(f, v, to)[1], (to.flatten() @ flat).view(v.shape))]
    for got in ask:
        got, expected = got if isinstance(got, tuple) else (got, want)
        assert expected.abs().max() > 1
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-9*expected.abs().max().item())

@pytest.mark.parametrize('backend', here)
def test_a_third_derivative_and_a_gradient_penalty(backend):
    x, drawn = scene('softor')
    v = x['sigma2'].clone().requires_grad_()
    def ask(b):
        g, = torch.autograd.grad(drawn(b)(x['vertices'], v, x['alpha']).square().sum(), v, create_graph=True)
        h, = torch.autograd.grad(g.square().sum(), v, create_graph=True)
        return h, *torch.autograd.grad(h.square().sum(), v)
    for got, want in zip(ask(backend), ask('dense')): torch.testing.assert_close(got, want, rtol=1e-9, atol=0)

@pytest.mark.parametrize('compose', ['ink', 'paint'])
def test_the_operator_has_second_derivatives(compose):
    *tensors, h, w, batch, pitch, backend = operands(compose, torch.float64)
    floats = [x for x in tensors if x is not None and x.is_floating_point()]
    def ask(image):
        first = torch.autograd.grad(image.square().sum(), floats, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), floats)
    v, offsets, image, *more = tensors
    want = ask(draw(v, (h, w), *more[:2], more[2], compose, more[3], offsets, image, batch, pitch, 'dense'))
    for got, expected in zip(ask(torch.ops.dsketch_nb.draw(*tensors, h, w, batch, pitch, backend)[0]), want):
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-9*expected.abs().max().item())

# ---- torch.func

@pytest.mark.parametrize('backend', here)
@pytest.mark.parametrize('compose', COMPOSE)
def test_func(compose, backend):
    "grad, vjp, jacrev and vmap, over leading axes, over all that can be learned, and of each other."
    x, drawn = scene(compose)
    y, f = tuple(x.values()), drawn(backend)
    def loss(*y): return f(*y).square().sum()
    leaves = [v.clone().requires_grad_() for v in y]
    for got, want in zip(torch.func.grad(loss, tuple(range(len(y))))(*y), torch.autograd.grad(loss(*leaves), leaves)): assert torch.equal(got, want)
    for got, want in zip(torch.func.jacrev(f, tuple(range(len(y))))(*y), jacobian(f, y)): torch.testing.assert_close(got, want, rtol=0, atol=1e-12*want.abs().max().item())
    many = [torch.stack([v, v.flip(0), v*.9]) for v in y]
    for dims in [(0,)*len(y), (0, *(None,)*(len(y) - 1)), (None, 0, *(None,)*(len(y) - 2))]:
        mixed = [m if d == 0 else v for m, v, d in zip(many, y, dims)]
        one = [[m[i] if d == 0 else m for m, d in zip(mixed, dims)] for i in range(3)]
        torch.testing.assert_close(torch.func.vmap(f, dims)(*mixed), torch.stack([f(*o) for o in one]), rtol=0, atol=1e-12)
        torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss), dims)(*mixed), torch.stack([torch.func.grad(loss)(*o) for o in one]), rtol=0, atol=1e-10)

def test_vmap_of_ragged_strokes_and_of_batches():
    g = torch.Generator().manual_seed(0)
    v = torch.rand(3, 8, 2, generator=g)*2 - 1
    ragged = lambda v: draw(v, (9, 8), .05, offsets=[0, 1, 3, 8], image=[1, 0, 1], batch=2)
    assert torch.equal(torch.func.vmap(ragged)(v), torch.stack([ragged(x) for x in v]))
    batch = torch.rand(3, 2, 4, 3, 2, generator=g)*2 - 1
    assert torch.equal(torch.func.vmap(lambda v: draw(v, (9, 8), .05), in_dims=1)(batch), draw(batch, (9, 8), .05).transpose(0, 1))
    both = torch.func.vmap(torch.func.vmap(lambda v: draw(v, (9, 8), .05)))(batch)
    assert torch.equal(both, draw(batch, (9, 8), .05))

@pytest.mark.parametrize('backend', here)
@pytest.mark.parametrize('ask', [torch.func.hessian, torch.func.jacfwd, lambda f: torch.func.grad(lambda v: torch.func.grad(f)(v).sum()),
                                 lambda f: torch.func.jacrev(torch.func.jacrev(f)), lambda f: lambda v: torch.func.jvp(f, (v,), (v,))])
def test_func_refuses_what_it_would_answer_wrongly(ask, backend):
    x, drawn = scene('softor')
    with pytest.raises(RuntimeError, match='no forward-mode derivative, and under torch.func no second one'):
        ask(lambda v: drawn(backend)(v, x['sigma2'], x['alpha']).square().sum())(x['vertices'])

# ---- settings and modes that others have made

def everything():
    "What draw says to ordinary and to ragged input, padded and list and number, and the gradients."
    g = torch.Generator(device='cpu').manual_seed(0)
    out = []
    for compose in COMPOSE:
        v = (torch.rand(2, 3, 4, 2, generator=g, device='cpu', dtype=torch.float32)*2 - 1).requires_grad_(torch.is_grad_enabled() and not torch.is_inference_mode_enabled())
        more = {} if compose == 'softor' else dict(colour=[.2, .5, 1.])
        if compose == 'paint': more['background'] = .5
        for backend in here: out.append((v, draw(v, (9, 8), .05, alpha=.5, compose=compose, backend=backend, **more)))
        out.append((v, draw(v.reshape(-1, 2), (9, 8), [.05]*6, offsets=[0, 1, 2, 4, 9, 20, 24], image=[0, 1, 0, 1, 0, 1], batch=2, compose=compose, **more)))
    return [x for v, image in out for x in (image.detach(), *(torch.autograd.grad(image.square().sum(), v) if image.requires_grad else ()))]

@pytest.fixture
def defaults():
    yield
    torch.set_default_device(None), torch.set_default_dtype(torch.float32)

@pytest.mark.parametrize('device', ['meta', 'cpu'])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_default_device_and_type_change_nothing(device, dtype, defaults):
    plain = everything()
    torch.set_default_device(device), torch.set_default_dtype(dtype)
    for a, b in zip(plain, everything(), strict=True): assert a.dtype == b.dtype == torch.float32 and torch.equal(a, b)

def test_without_gradients():
    plain = everything()[::2]
    for mode in torch.no_grad, torch.inference_mode:
        with mode(): got = everything()
        for a, b in zip(plain, got, strict=True): assert torch.equal(a, b)
    for a, b in zip(plain, everything()[::2], strict=True): assert torch.equal(a, b)

def test_index_tensors_made_in_inference_mode_serve_a_training_step():
    with torch.inference_mode(): offsets, image = torch.tensor([0, 2, 5]), torch.tensor([0, 0])
    v = (torch.rand(5, 2)*2 - 1).requires_grad_()
    draw(v, (9, 8), .05, offsets=offsets, image=image).sum().backward()
    assert v.grad.isfinite().all() and v.grad.any()

@pytest.mark.parametrize('what', ['offsets', 'image'])
def test_an_index_changed_in_place_is_noticed(what):
    index = dict(offsets=torch.tensor([0, 2, 5]), image=torch.tensor([0, 1]))
    v = (torch.rand(5, 2)*2 - 1).requires_grad_()
    out = draw(v, (9, 8), .05, batch=2, **index).sum()
    index[what][1] = dict(offsets=3, image=0)[what]
    with pytest.raises(RuntimeError, match='modified by an inplace operation'): out.backward()

def test_tensors_without_numbers_leave_no_trace():
    "A tracer's stand-ins are drawn as what they are, and never kept for a real drawing."
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    def f(v, n): return draw(v, (9, 8), .05, backend=None if n else 'numba')
    for n in 37, 38:                                     # numbers of strokes that no other test draws
        v = torch.rand(2, n, 3, 2)
        with FakeTensorMode() as mode: assert f(mode.from_tensor(v), n).shape == (2, 1, 9, 8)
        with FakeTensorMode(), pytest.raises(Exception): f(v, n)
        make_fx(lambda v: f(v, n), tracing_mode='fake')(v)
        assert draw(v.to('meta'), (9, 8), .05).shape == (2, 1, 9, 8)
        for backend in here: assert type(draw(v, (9, 8), .05, backend=backend)) is torch.Tensor
    assert all(type(x) is torch.Tensor for x in strokes._made.values())

MAKES = {'tensor', 'as_tensor', 'zeros', 'ones', 'empty', 'full', 'arange', 'linspace', 'logspace', 'eye', 'rand', 'randn', 'randint', 'randperm', 'from_numpy'}

@pytest.mark.parametrize('name', ['raster', 'curves', 'areas', 'strokes', 'pairs', 'draw', 'compiled', 'gpu'])
def test_what_is_made_says_where(name):
    "Nothing on the way from vertices to pixels asks torch for a default device."
    for call in ast.walk(ast.parse((PACKAGE/f'{name}.py').read_text())):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and getattr(call.func.value, 'id', '') == 'torch' and call.func.attr in MAKES:
            assert 'device' in {k.arg for k in call.keywords}, f'{name}.py:{call.lineno}'

# ---- numbers as large and as small as there are

def any_number(dtype):
    numbers = torch.finfo(dtype)
    width = 32 if dtype == torch.float32 else 64
    edges = [0., -0., numbers.max, -numbers.max, numbers.tiny, numbers.eps, 2.**63, -2.**63, 2.**31, 1e18, 1e19, 3e16]
    return st.one_of(st.floats(-2, 2, width=width), st.floats(-numbers.max, numbers.max, width=width), st.sampled_from(edges), st.builds(lambda m, e: m*10.**e, st.floats(-9, 9), st.integers(-30, 37)))

def extremes(examples, backends=None):
    "Draw strokes of finite numbers of every size: the answer is finite, or one line that says why not."
    counts = {'drawn': 0, 'refused': 0}
    @settings(max_examples=examples, deadline=None, derandomize=not LONG, database=None)
    @given(st.data())
    def one(data):
        dtype, compose = data.draw(st.sampled_from([torch.float32, torch.float64])), data.draw(st.sampled_from(COMPOSE))
        number, n = any_number(dtype), data.draw(st.integers(1, 3))
        k, size = data.draw(st.integers(1, 5)), data.draw(st.sampled_from([(1, 1), (20, 30), (3, 200), (40, 2)]))
        v = torch.tensor(data.draw(st.lists(number, min_size=2*n*k, max_size=2*n*k)), dtype=dtype).reshape(n, k, 2)
        sigma2 = torch.tensor(data.draw(st.lists(st.one_of(st.sampled_from([1e-40, 1e-39, 1e-3, 1., 1e30]), number.map(abs)), min_size=n, max_size=n)), dtype=dtype)
        pitch = data.draw(st.one_of(st.none(), st.floats(1e-300, 1e300)))
        if not (v.isfinite().all() and sigma2.isfinite().all()): return
        more = {} if compose == 'softor' else dict(colour=torch.rand(n, 3, dtype=dtype))
        for backend in backends or here:
            leaves = [x.clone().requires_grad_() for x in (v, sigma2)]
            try: out = draw(leaves[0], size, leaves[1], compose=compose, pitch=pitch, backend=backend, **more)
            except ValueError as e:
                assert '\n' not in str(e) and ('beyond what torch.float' in str(e) or 'sigma2' in str(e)), e
                counts['refused'] += 1
                continue
            counts['drawn'] += 1
            assert out.isfinite().all() and -1e-5 <= out.min() and out.max() <= 1 + 1e-5, (backend, v, sigma2, pitch)
            (out/out.numel()).sum().backward()
            assert all(x.grad.isfinite().all() for x in leaves), (backend, v, sigma2, pitch, [x.grad for x in leaves])
    one()
    print(counts['drawn'], counts['refused'])

def test_no_finite_number_crashes():
    "In a process of its own, whose death would be told."
    done = child(f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_draw_contexts import extremes; extremes({10_000 if LONG else 250})")
    drawn, refused = map(int, done.stdout.split()[-2:])
    assert drawn > 20 and refused > 20

def test_a_vertex_far_away_on_a_bent_stroke():
    child("""
import torch
from dsketch_nb.draw import draw
for size in (20, 30), (1000, 1000):
    for far in 2.**63, 1e19, 1e20, 3e16, 1e30, -2.**63, -3e16:
        for dtype in torch.float32, torch.float64:
            for backend in ('numba', 'pairs', 'dense')[:3 if size == (20, 30) else 1]:
                v = torch.tensor([[[0., 0.], [.5, far], [.2, .3]]], dtype=dtype, requires_grad=True)
                try: out = draw(v, size, .01, backend=backend)
                except ValueError as e: assert 'beyond what torch.float' in str(e)
                else:
                    out.sum().backward()
                    assert out.isfinite().all() and v.grad.isfinite().all(), (size, far, dtype, backend)
""")

@pytest.mark.parametrize('backend', here)
def test_a_width_next_to_nothing(backend):
    v = torch.zeros(1, 2, 2, requires_grad=True)
    for sigma2 in 1e-45, 1e-40, 1e-39, 1e-33:
        with pytest.raises(ValueError, match='sigma2 from .* is beyond what torch.float32 can hold'): draw(v, (9, 9), torch.tensor(sigma2), backend=backend)
    s = torch.tensor(1e-30, requires_grad=True)
    out = draw(v, (9, 9), s, backend=backend)
    assert out[0, 4, 4] == 1 and out.sum() == 1          # its own centre, and nothing else
    out.mean().backward()
    assert v.grad.isfinite().all() and s.grad.isfinite()

# ---- without numba, or a place for what it compiles

DRAWS = """
import sys, warnings, torch
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter('always')
    from dsketch_nb.draw import draw
    import dsketch_nb.sharp, dsketch_nb.imageopt
    for _ in range(2):
        v = torch.full((1, 2, 2), .3, requires_grad=True)
        out = draw(v, (9, 8), .05)
        out.sum().backward()
    draw(v.double(), (9, 8), .05), draw(v, (9, 8), .05, torch.ones(3), compose='paint')
assert torch.equal(out, draw(v, (9, 8), .05, backend='pairs')) or (out - draw(v, (9, 8), .05, backend='dense')).abs().max() < 1e-6
print([str(w.message) for w in said if 'backend' in str(w.message)])
"""

@pytest.mark.parametrize('env, before, why', [
    ({}, "import sys; sys.modules['numba'] = None", 'numba'),
    ({}, "import sys; sys.modules['llvmlite'] = None", 'llvmlite'),
    ({'NUMBA_DISABLE_JIT': '1'}, '', 'pure-python'),
    ({}, "import numba.core.typing.templates as t; del t.AbstractTemplate", 'AbstractTemplate')])
def test_where_numba_does_not_work_pairs_draws(env, before, why):
    said = ast.literal_eval(child(before + DRAWS, **env).stdout.splitlines()[-1])
    assert len(said) == 1 and "backend 'numba' does not run on cpu, so 'pairs' draws there, more slowly: " in said[0] and why in said[0], said

@pytest.fixture
def nowhere(tmp_path):
    "The package where nothing can be written beside it, and no home."
    shutil.copytree(PACKAGE, tmp_path/'dsketch_nb', ignore=shutil.ignore_patterns('__pycache__'))
    for folder in (tmp_path/'dsketch_nb').rglob('*'):
        if folder.is_dir(): (folder/'__pycache__').touch()             # a file where a folder would have to be
    (tmp_path/'dsketch_nb'/'__pycache__').touch()
    return dict(cwd=tmp_path, PYTHONPATH=str(tmp_path), HOME='/dev/null', XDG_CACHE_HOME=None, NUMBA_CACHE_DIR=None)

ONE = "import torch, dsketch_nb.draw as d; out = d.draw(torch.zeros(1, 1, 2, dtype=torch.float64), (3, 3), .1); assert out.max() == 1; print(d.__file__)"

@pytest.mark.parametrize('change', [{}, {'NUMBA_CACHE_DIR': '/dev/null/cache'}, {'HOME': '/dev/null', 'NUMBA_CACHE_DIR': '/dev/null/cache'}][:3 if LONG else 2])
def test_no_place_for_a_cache(nowhere, change):
    "It draws, and says once why one waits."
    done = child(ONE, **nowhere | change)
    assert done.stdout.startswith(nowhere['PYTHONPATH'])
    lines = [l for l in done.stderr.splitlines() if l.startswith('dsketch_nb:')]
    assert len(lines) == 1 and 'each process does it again' in lines[0] and 'NUMBA_CACHE_DIR' in lines[0], done.stderr

@pytest.fixture
def nobody(tmp_path):
    "How to start a program as someone who may write in one folder and nowhere else: the package and the home are closed. Root's right to write in spite of that is given up."
    start = []
    if os.getuid() == 0:
        if not shutil.which('setpriv'): pytest.skip('root, and no setpriv')
        rights = '-dac_override,-dac_read_search,-fowner'
        start = ['setpriv', '--bounding-set', rights, '--inh-caps', rights]
    shutil.copytree(PACKAGE, tmp_path/'site'/'dsketch_nb', ignore=shutil.ignore_patterns('__pycache__'))
    for o in 'home', 'work': (tmp_path/o).mkdir()
    closed = [tmp_path/'home', tmp_path/'site', *(o for o in (tmp_path/'site').rglob('*') if o.is_dir())]
    for o in closed: o.chmod(0o555)
    env = os.environ | dict(PYTHONPATH=str(tmp_path/'site'), HOME=str(tmp_path/'home'))
    for k in ('XDG_CACHE_HOME', 'NUMBA_CACHE_DIR', 'MPLCONFIGDIR'): env.pop(k, None)
    yield lambda code, *args: subprocess.run([*start, sys.executable, '-c', code, *args], cwd=tmp_path/'work', env=env, capture_output=True, text=True)
    for o in closed: o.chmod(0o755)

def test_someone_who_may_write_in_one_folder_only(nobody, tmp_path):
    "A photograph becomes strokes there, and a page's figure is drawn, with one word about compiling."
    tried = nobody("import dsketch_nb, pathlib; f = pathlib.Path(dsketch_nb.__file__).with_name('x')\ntry: f.touch()\nexcept PermissionError: print('closed')")
    assert tried.stdout.strip() == 'closed', tried
    done = nobody("from dsketch_nb.command import imageopt; imageopt()", *'sample:china --width 40 --lines 20 --iters 4 --output .'.split())
    assert done.returncode == 0 and 'Traceback' not in done.stderr and done.stderr.count('dsketch_nb: compiling') == 1, done.stderr
    assert (tmp_path/'work'/'china.svg').is_file()
    done = nobody("from dsketch_nb.widgets import figure_style; figure_style(); import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.savefig('a.png')")
    assert done.returncode == 0 and (tmp_path/'work'/'a.png').is_file(), done.stderr

def test_a_cache_that_breaks_under_way(nowhere, tmp_path):
    "A place that is gone when something is to be kept; then a file of it that is damaged."
    kept = tmp_path/'kept'
    gone = f"import os, shutil, dsketch_nb.compiled; shutil.rmtree({str(kept)!r}, ignore_errors=True); open({str(kept)!r}, 'w').close(); "
    done = child(gone + ONE, **nowhere | {'NUMBA_CACHE_DIR': str(kept)})
    assert done.stderr.count('compiled kernels cannot be kept') == 1, done.stderr
    kept.unlink()
    child(ONE, **nowhere | {'NUMBA_CACHE_DIR': str(kept)})
    files = [f for f in kept.rglob('*.nb?')]
    assert files
    for f in files: f.write_bytes(f.read_bytes()[:40])
    child(ONE, **nowhere | {'NUMBA_CACHE_DIR': str(kept)})

def test_an_interruption_while_compiling(tmp_path):
    "Ctrl-C is answered, and the next drawing draws."
    code = """
import _thread, signal, threading, torch
from dsketch_nb import compiled
from dsketch_nb.draw import draw
from numba.core import event
signal.signal(signal.SIGINT, signal.default_int_handler)      # whoever runs the tests in the background has it ignored
class Now(event.Listener):
    def on_start(self, e):
        if e.data['dispatcher'].py_func.__name__ == '_measure': _thread.interrupt_main()
    def on_end(self, e): pass
event.register('numba:compile', Now())
v = torch.zeros(1, 1, 2, dtype=torch.float64)
try: draw(v, (3, 3), .1)
except KeyboardInterrupt: print('stopped')
print(draw(v, (3, 3), .1, backend=None).max().item())
"""
    # numba swallows the interruption where it lands in what LLVM calls: seldom, and then the drawing is whole
    for i in range(4):
        answer = child(code, NUMBA_CACHE_DIR=str(tmp_path/str(i))).stdout.split()
        if answer != ['1.0']: break
    assert answer == ['stopped', '1.0']

# ---- on a Mac's GPU there are no doubles

def test_numbers_leave_a_device_before_they_are_doubled():
    for path in PACKAGE.glob('*.py'):
        for i, line in enumerate(path.read_text().splitlines(), 1): assert not re.search(r'\.double\(\)[^#]*\.cpu\(\)|\.to\(torch\.float64\)[^#]*\.cpu\(\)', line), f'{path.name}:{i}: {line.strip()}'

# ---- what one has in hand when one first calls it

@pytest.mark.parametrize('change, names', [
    (dict(vertices=[[[0., 0.], [1., 1.]]]), r'vertices is a list, expected a tensor of floating point: convert it with torch.as_tensor\(vertices, dtype=torch.float32\)'),
    (dict(vertices=torch.zeros(1, 2, 2).numpy()), 'vertices is a ndarray of float32, expected a tensor'),
    (dict(vertices=torch.zeros(1, 2, 2).long()), r'vertices is torch.int64, expected a tensor of floating point: convert it with .float\(\)'),
    (dict(size=28), r'size 28 must be \(height, width\)'), (dict(size=None), 'size None must be'), (dict(size='28'), "size '28' must be"), (dict(size=(math_nan := float('nan'), 3)), 'size'), (dict(size=torch.tensor(3)), 'size'),
    (dict(sigma2=None), 'sigma2 is a NoneType, expected a number or a tensor'), (dict(sigma2='wide'), 'sigma2 is a str'), (dict(alpha=['a']), 'alpha is a list'),
    (dict(colour='red', compose='ink'), 'colour is a str'), (dict(background={}, compose='paint'), 'background is a dict')])
def test_what_is_no_tensor_is_named(change, names):
    with pytest.raises((ValueError, TypeError), match=names): draw(**dict(vertices=torch.zeros(1, 2, 2), size=(8, 9), sigma2=.01) | change)

def test_the_operator_reads_nothing_beyond_its_operands():
    for i in range(7):
        good = list(operands('paint'))
        if i in (1, 2): continue                          # offsets and image: test_draw
        good[i] = good[i][..., :-1] if i == 0 else good[i][:-1]
        with pytest.raises((ValueError, RuntimeError), match='shape|offsets'): torch.ops.dsketch_nb.draw(*good)
    *tensors, h, w, batch, pitch, backend = operands('ink')
    image, kept = torch.ops.dsketch_nb.draw(*tensors, h, w, batch, pitch, backend)
    for grad, kept in ((image[:1], kept), (image, kept[:1])):
        with pytest.raises(ValueError, match='grad has shape'): torch.ops.dsketch_nb.draw_backward(grad, kept, *tensors, h, w, batch, pitch, backend)
