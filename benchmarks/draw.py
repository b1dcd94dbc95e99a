"""`draw` on this machine: every way to draw, on the same workloads, in one run.

python benchmarks/draw.py [--quick] [--output FOLDER]

One drawing forward and backward, gradients by vertices and colours; the median time, and peak memory above that of a process which has drawn something tiny. Every number of the
table comes from a process of its own; ratios are to the dense reference of the same run. Then growth in strokes, pixels, width and batch; then what the machine could do at most,
and the first picture, the threads, the whole step. `--output` keeps the tables (draw.md), the numbers (draw.json) and the plots (growth.svg).

a: 1,000 segments (ends within 0.1 of the start) on 256 x 256, grey, sigma .55 px; b: 2,000 on 300 x 123, colour, sigma 1 px; c: 500 Catmull-Rom curves of ten chords on 256 x 256;
d: batches of 128 drawings of 28 x 28, sigma2 0.01: d1 eight Béziers of ten chords, d2 a spline through 14 of 16 points, ten chords a span, d3 a polyline of 16 points.
The paper's package draws each span of a spline, and each segment of a polyline, as a stroke of its own and composes all by soft or, which is darker at the joins: it is timed
on `d2, spans apart` and `d3, spans apart` alone, where every way draws that picture; d2 and d3 are one stroke each, whose distance is the least over its spans.

`tensors` are the paper's formulas as plain PyTorch, all at once; `original` is the paper's own package and `pydiffvg` diffvg (it draws antialiased strokes of two pixels, 2 x 2 samples
a pixel), both only where they can be imported; `triton`, and `pairs` once more, on a CUDA device if there is one. pydiffvg needs a C++ compiler to install. What is absent is said.
Two shares of what the machine could do at most: of its exponentials, two for each stroke and pixel within reach; and of its copying, for the pictures and their gradients alone.
"""
import argparse, json, os, platform, statistics, subprocess, sys, tempfile, time
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

@dataclass(frozen=True)
class Case:
    strokes:int=1000
    size:tuple=(256, 256)
    sigma:float=.55 # pixels
    compose:str='softor'
    kind:str='line' # 'line', 'bezier', 'spline' (through all but the first and last points), 'polyline'
    points:int=2 # control points a stroke
    batch:int=0 # drawings; 0 is one, without that axis
    short:bool=True # every point within 0.1 of the stroke's first, or anywhere
    apart:bool=False # every span of a spline or polyline is a stroke of its own, as in the paper's package

    @property
    def spans(self):
        "How many each stroke has, which the paper's package composes by soft or."
        return {'spline': self.points - 3, 'polyline': self.points - 1}.get(self.kind, 1)

D = dict(size=(28, 28), sigma=.1*27/2, batch=128, short=False)
CASES = {'a': Case(), 'b': Case(2000, (123, 300), 1., 'ink'), 'b as paint': Case(2000, (123, 300), 1., 'paint'), 'c': Case(500, kind='spline', points=4),
         'd1': Case(8, kind='bezier', points=4, **D), 'd2': Case(1, kind='spline', points=16, **D), 'd3': Case(1, kind='polyline', points=16, **D),
         'd2, spans apart': Case(1, kind='spline', points=16, apart=True, **D), 'd3, spans apart': Case(1, kind='polyline', points=16, apart=True, **D),
         'a, sigma 10 px': Case(sigma=10.)}
GROWTH = {'strokes': ('strokes', Case(size=(512, 512)), [100, 300, 1000, 3000, 10_000, 30_000, 100_000]),
          'side of the image (pixels)': ('size', Case(), [64, 128, 256, 512, 1024, 2048, 4096]),
          'sigma (pixels)': ('sigma', Case(), [.5, 1., 2., 4., 8., 16., 32.]),
          'drawings in a batch': ('batch', CASES['d3'], [1, 4, 16, 64, 256, 1024])}
BIG = {'1,000 at 256 x 256': Case(), '10,000 at 1024 x 1024': Case(10_000, (1024, 1024)), '100,000 at 2048 x 2048': Case(100_000, (2048, 2048))}

def ways():
    "Each way to draw that this machine has -> why others are absent."
    import torch
    found, absent = ['tensors', 'dense', 'pairs', 'numba'], {}
    for name, module in (('original', 'dsketch'), ('pydiffvg', 'pydiffvg')):
        if find_spec(module): found.append(name)
        else: absent[name] = f'{module} cannot be imported here' + (' (installing it takes a C++ compiler)' if name == 'pydiffvg' else '')
    if torch.cuda.is_available(): found += ['pairs, cuda', 'triton, cuda']
    else: absent['triton'] = 'no CUDA device'
    return found, absent

def inputs(case, device='cpu'):
    "Parameters [*, N, P, 2] in grid units and colours [N, 3] or None, with gradients; and the pixels' pitch."
    import torch
    from dsketch_nb.raster import pixel_pitch
    g, pitch, lead = torch.Generator().manual_seed(0), pixel_pitch(*case.size), (case.batch,)*(case.batch > 0)
    half = (torch.tensor(case.size) - 1)/2 * pitch
    rand = lambda *shape: torch.rand(*lead, *shape, 2, generator=g)*2 - 1
    start = rand(case.strokes, 1) * half
    params = torch.cat([start, start + rand(case.strokes, case.points-1)*.1], -2) if case.short else rand(case.strokes, case.points) * half
    colour = None if case.compose == 'softor' else torch.rand(case.strokes, 3, generator=g).to(device).requires_grad_()
    return params.to(device).requires_grad_(), colour, pitch

def stacked(case, params, colour, pitch, device):
    "The paper's formulas: a raster for each stroke, then all composed."
    import torch
    from dsketch_nb.curves import polyline_edt2
    from dsketch_nb.raster import exp, over, pixel_grid, softor
    grid = pixel_grid(*case.size, device=device)
    def run():
        r = exp(polyline_edt2(vertices(case, params), grid), (case.sigma*pitch)**2)
        if colour is None: return softor(r, -3)
        if case.compose == 'ink': return softor(colour[:, :, None, None] * r[:, None], 0)
        return torch.stack([over(r, c[:, None, None], 0) for c in colour.unbind(1)])
    return run

def vertices(case, params):
    "Polylines [*, N, K, 2]; N is the number of spans of all strokes where they are apart."
    from dsketch_nb.curves import bezier_chain_to_polyline, catmull_rom_spline, catmull_rom_to_polyline, curve_to_polyline
    if case.apart:
        spans = params.unfold(-2, 4 if case.kind == 'spline' else 2, 1).mT
        return (curve_to_polyline(spans, 10, catmull_rom_spline) if case.kind == 'spline' else spans).flatten(-4, -3)
    return {'bezier': bezier_chain_to_polyline, 'spline': catmull_rom_to_polyline}.get(case.kind, lambda p: p)(params)

def original(case, params, colour, pitch, device):
    "The package of the paper, as its image optimisation and decoders call it."
    import torch
    from dsketch.raster.composite import softor
    from dsketch.raster.disttrans import catmull_rom_spline, cubic_bezier, curve_edt2_polyline, line_edt2
    from dsketch.raster.raster import exp
    if case.compose == 'paint' or (case.spans > 1 and not case.apart): return None
    grid = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, n, device=device) * n/case.size[0] for n in case.size], indexing='ij'), -1)
    def run():
        lead = params.shape[:-3]
        flat = params.reshape(-1, *params.shape[-3:])
        if case.kind == 'bezier': d2 = curve_edt2_polyline(flat, grid, 10, cfcn=cubic_bezier)
        elif case.kind == 'spline': d2 = curve_edt2_polyline(flat.unfold(-2, 4, 1).movedim(-1, -2).flatten(1, 2), grid, 10, cfcn=catmull_rom_spline)
        else: d2 = line_edt2(flat.unfold(-2, 2, 1).movedim(-1, -2).flatten(1, 2), grid)
        r = exp(d2, (case.sigma*pitch)**2)
        out = softor(r) if colour is None else softor(colour[None, :, :, None, None] * r[:, :, None])
        return out.reshape(*lead, *out.shape[1:])
    return run

def diffvg(case, params, colour, pitch, device):
    "The same strokes by diffvg, with its scene built anew for each drawing, as its examples do."
    import torch, pydiffvg
    pydiffvg.set_print_timing(False); pydiffvg.set_use_gpu(device == 'cuda')
    from dsketch_nb.curves import catmull_rom_to_bezier
    H, W = case.size
    middle = torch.tensor([(W - 1)/2 + .5, (H - 1)/2 + .5], device=device)
    def run():
        points = catmull_rom_to_bezier(params) if case.kind == 'spline' else params
        points = (points.flip(-1)/pitch + middle).reshape(-1, case.strokes, *points.shape[-2:])
        images = []
        for strokes in points:
            shapes, groups = [], []
            for i, p in enumerate(strokes):
                between = 2 if case.kind in ('bezier', 'spline') else 0
                shapes.append(pydiffvg.Path(num_control_points=torch.full(((len(p) - 1)//(between + 1),), between, dtype=torch.int32), points=p.contiguous(), stroke_width=torch.tensor(2.), is_closed=False))
                ink = torch.ones(3, device=device) if colour is None else colour[i]
                groups.append(pydiffvg.ShapeGroup(shape_ids=torch.tensor([i]), fill_color=None, stroke_color=torch.cat([ink, ink.new_ones(1)])))
            images.append(pydiffvg.RenderFunction.apply(W, H, 2, 2, 0, None, *pydiffvg.RenderFunction.serialize_scene(W, H, shapes, groups)))
        return torch.stack(images)
    return run

def step(case, way, device='cpu'):
    "A function that draws once, forward and backward; None where `way` has no such drawing."
    import torch
    from dsketch_nb.draw import draw
    params, colour, pitch = inputs(case, device)
    other = {'tensors': stacked, 'original': original, 'pydiffvg': diffvg}.get(way)
    forward = other(case, params, colour, pitch, device) if other else lambda: draw(vertices(case, params), case.size, (case.sigma*pitch)**2, colour=colour, compose=case.compose, backend=way.split(',')[0])
    if forward is None: return None
    grad = None
    def run():
        nonlocal grad
        params.grad = None
        if colour is not None: colour.grad = None
        out = forward()
        if grad is None: grad = torch.randn_like(out)/out.numel()         # as small as that of a mean over the image
        out.backward(grad)
        if device == 'cuda': torch.cuda.synchronize()
    return run

def touched(case):
    "Stroke-pixel pairs within reach: what has to be computed whatever one does."
    import torch
    from dsketch_nb.curves import polyline_edt2
    from dsketch_nb.pairs import squared_reach
    from dsketch_nb.raster import pixel_grid
    params, _, pitch = inputs(case)
    grid = pixel_grid(*case.size)
    with torch.no_grad():
        return sum(int((polyline_edt2(v, grid) < squared_reach(torch.float32)*(case.sigma*pitch)**2).sum()) for v in vertices(case, params).flatten(0, -3).split(64))

def peak(device='cpu'):
    "Peak memory of this process in MB, ever."
    import resource, torch
    if device == 'cuda': return torch.cuda.max_memory_allocated()/2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == 'darwin' else 1024)

def measure(cases, way, seconds):
    "In this process: for each case milliseconds and MB, or what was wrong. The first to take over 5 s is the last."
    import torch, dsketch_nb.draw
    device = 'cuda' if way.endswith('cuda') else 'cpu'
    if way == 'numba': torch.set_num_threads(1)                           # drawing has threads of its own; two pools on the same cores only wait for each other
    tiny = step(replace(cases[0], strokes=3, size=(16, 16), batch=min(cases[0].batch, 2)), way, device)
    if tiny is None: return [None]*len(cases)
    for _ in range(3): tiny()
    before, rows = peak(device), []
    for case in cases:
        run, times = step(case, way, device), []
        try:
            while not times or len(times) < 99 and sum(times) < seconds:
                t = time.perf_counter()
                run()
                times.append(time.perf_counter() - t)
        except (RuntimeError, MemoryError) as e:
            rows.append('out of memory' if 'memory' in str(e).lower() or isinstance(e, MemoryError) else str(e)[:80])
            break
        rows.append([statistics.median(times[len(times) > 2:])*1e3, peak(device) - before])
        if times[0] > 5: break
    return rows + [None]*(len(cases) - len(rows))

def child(what, *args, threads=None, **more):
    "The answer of a function of this file in a fresh process."
    env = dict(os.environ) | ({'OMP_NUM_THREADS': str(threads)} if threads else {}) | more
    done = subprocess.run([sys.executable, __file__, '--child', what, json.dumps(args)], capture_output=True, text=True, env=env)
    if done.returncode: return None if done.returncode < 0 else sys.exit(f'{what} {args} failed:\n{done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])

def answer(what, args):
    "What `child` asks for."
    if what == 'measure':
        cases, way, seconds = args
        if sys.platform == 'linux' and not way.endswith('cuda'):                                       # a friendly error, not a machine that swaps
            import resource
            free = int(next(l.split()[1] for l in open('/proc/meminfo') if l.startswith('MemAvailable')))*1024
            import torch                                                  # which maps much that it never uses
            now = int(open('/proc/self/statm').read().split()[0])*resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + int(.8*free), -1))
        return measure([Case(**c | {'size': tuple(c['size'])}) for c in cases], way, seconds)
    return {'limits': limits, 'first': first_picture, 'iteration': iteration, 'touched': lambda c: touched(Case(**c | {'size': tuple(c['size'])}))}[what](*args)

def limits(device='cpu'):
    "What a device can do at most: copying in GB read and written a second, and exponentials a second, on all threads."
    import torch
    if device == 'cuda':
        a, b, ends = torch.rand(2**28, device=device), torch.empty(2**28, device=device), [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        def best(f, times=[]):
            for _ in range(10):
                ends[0].record(); f(); ends[1].record()
                torch.cuda.synchronize()
                times.append(ends[0].elapsed_time(ends[1])/1e3)
            return min(times[-10:])
        small = a[:2**20]
        return dict(copy=2*2**30/best(lambda: b.copy_(a))/1e9, exp=100*2**20/best(lambda: [torch.exp(small, out=b[:2**20]) for _ in range(100)]))
    from concurrent.futures import ThreadPoolExecutor
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    parts = [(torch.rand(2**24), torch.empty(2**24), torch.rand(2**14), torch.empty(2**14)) for _ in range(n)]
    def copy(p):
        for _ in range(10): p[1].copy_(p[0])
    def exponentials(p):
        for _ in range(2000): torch.exp(p[2], out=p[3])
    def best(f):
        times = []
        with ThreadPoolExecutor(n) as pool:
            for _ in range(5):
                t = time.perf_counter()
                list(pool.map(f, parts))
                times.append(time.perf_counter() - t)
        return min(times)
    return dict(copy=n*10*2*2**26/best(copy)/1e9, exp=n*2000*2**14/best(exponentials))

def first_picture():
    "Seconds from `import dsketch_nb.draw` to the first picture and its gradient, after torch's own import."
    import torch
    t = time.perf_counter()
    import dsketch_nb.draw
    v = torch.rand(10, 2, 2, requires_grad=True)
    out = dsketch_nb.draw.draw(v, (64, 64), .01)
    picture = time.perf_counter() - t
    out.sum().backward()
    return picture, time.perf_counter() - t

def iteration():
    "Milliseconds of an iteration of `imageopt` with 2,000 segments in colour, and of drawing its scene forward and backward."
    import torch
    from dsketch_nb.imageopt import imageopt; from dsketch_nb.pictures import load_picture
    torch.set_num_threads(1)
    def fit(n):
        t = time.perf_counter()
        scene = imageopt('sample:china', 'MSELoss', preset='lines', colour=True, width=300, lines=2000, init_sigma2=1, final_sigma2=1, iters=n)
        return time.perf_counter() - t, scene
    fit(3)
    short, long = min(fit(20)[0] for _ in range(3)), [fit(220) for _ in range(3)]
    scene, target = long[0][1], load_picture('sample:china', 300)
    def once():
        scene.zero_grad()
        out = scene.draw()
        out.backward((out.detach() - target)/out.numel())
    times = []
    for _ in range(50):
        t = time.perf_counter()
        once()
        times.append(time.perf_counter() - t)
    return (min(l for l, _ in long) - short)/200*1e3, min(times)*1e3

def table(head, rows): return '\n'.join(['| ' + ' | '.join(o) + ' |' for o in (head, ['---']*len(head), *rows)]) + '\n'
def ms(x): return f'{x:,.0f}' if x >= 100 else f'{x:.1f}'

def workloads(say, quick, found, most):
    "The table of workloads."
    rows = {}
    say('| workload | way | ms | times as fast as dense | peak MB | million pairs a second | of the exponentials | of the copying |\n|---|---|---|---|---|---|---|---|')
    for name in list(CASES)[:2] if quick else CASES:
        case = CASES[name]
        pairs, base = child('touched', asdict(case)), None
        pixels = max(case.batch, 1)*case.size[0]*case.size[1]*(1 if case.compose == 'softor' else 3)
        got = {w: child('measure', [asdict(case)], w, 3.) for w in ['dense', *[w for w in found if w != 'dense']]}
        got['numba, one thread'] = child('measure', [asdict(case)], 'numba', 3., threads=1)
        for way, answer in got.items():
            m = answer[0] if answer else 'out of memory'
            if m is None: continue
            base, top = base or (m[0] if way == 'dense' else None), most['cuda' if way.endswith('cuda') else 'cpu']
            say(f'| {name} | {way} | {m} | | | | | |' if isinstance(m, str) else f"| {name} | {way} | {ms(m[0])} | {ms(base/m[0]) if base else '-'} | {m[1]:,.0f} | {pairs/m[0]/1e3:,.1f} | "
                f"{2e3*pairs/m[0]/top['exp']:.1%} | {2*4*pixels/m[0]/1e6/top['copy']:.1%} |")
        rows[name] = dict(touched=pairs, ways={w: a and a[0] for w, a in got.items()})
    return rows

def growth(say):
    "Time and memory along each axis -> {axis: {way: [(value, ms, MB), ...]}}"
    out = {}
    for axis, (field, case, values) in GROWTH.items():
        cases = [asdict(replace(case, **{field: (v, v) if field == 'size' else v})) for v in values]
        out[axis] = {w: [(v, *m) for v, m in zip(values, child('measure', cases, w, 1.) or []) if isinstance(m, list)] for w in ('dense', 'pairs', 'numba')}
        say('\n' + table([axis, *[f'{v:,g}' for v in values]], [[f'{w}, {unit}', *[next((ms(m[i]) for m in got if m[0] == v), '') for v in values]]
                          for w, got in out[axis].items() for i, unit in ((1, 'ms'), (2, 'MB'))]))
    return out

def slope(points):
    "The exponent by which time grows over the last three points."
    import numpy as np
    x, y = np.log([p[0] for p in points[-3:]]), np.log([p[1] for p in points[-3:]])
    return float(np.polyfit(x, y, 1)[0])

def plot(out, path):
    import matplotlib
    matplotlib.use('agg')
    import matplotlib.pyplot as plt
    plt.rcParams.update({'font.size': 8, 'axes.spines.top': False, 'axes.spines.right': False, 'svg.hashsalt': 'growth', 'svg.fonttype': 'none', 'font.family': 'sans-serif'})
    fig, axes = plt.subplots(2, 2, figsize=(6.4, 5), sharey=True)
    for ax, (axis, got) in zip(axes.flat, out.items()):
        for way, colour in (('dense', '#999999'), ('pairs', '#7a9fc2'), ('numba', '#2a78b5')):
            if not (p := got[way]): continue
            ax.loglog([o[0] for o in p], [o[1] for o in p], '.-', color=colour)
            ax.annotate(f'{way} {slope(p):.1f}' if len(p) > 2 else way, (p[-1][0], p[-1][1]), (4, 0), textcoords='offset points', va='center', color=colour)
        low, high = ax.get_xlim()
        ax.set_xlim(low, high*(high/low)**.4)                             # room for the names
        ax.set_xlabel(axis); ax.grid(alpha=.2)
    for ax in axes[:, 0]: ax.set_ylabel('ms, forward and backward')
    fig.tight_layout(); fig.savefig(path, metadata={'Date': None})

def main():
    p = argparse.ArgumentParser(description='Time draw() on this machine.')
    p.add_argument('--quick', action='store_true', help='workloads a and b only')
    p.add_argument('--output', metavar='FOLDER', help='keep draw.md, draw.json and growth.svg there')
    p.add_argument('--child', nargs=2, help=argparse.SUPPRESS)
    o = p.parse_args()
    if o.child: return print(json.dumps(answer(o.child[0], json.loads(o.child[1]))))
    import numba, torch
    lines = []
    def say(text):
        print(text, flush=True)
        lines.append(text)
    found, absent = ways()
    if o.output: Path(o.output).mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else float('nan')
    say(f'{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start, Python {platform.python_version()}, torch {torch.__version__}, numba {numba.__version__}')
    for way, why in absent.items(): say(f'{way} was not run: {why}.')
    most = {d: child('limits', d) for d in ('cpu', 'cuda')[:1 + torch.cuda.is_available()]}
    for d, top in most.items(): say(f"At most, on the {d}: {top['copy']:,.1f} GB a second read and written in copying, {top['exp']/1e6:,.0f} million exponentials a second.")
    say('')
    result = dict(machine=lines[0], absent=absent, limits=most, workloads=workloads(say, o.quick, found, most))
    if not o.quick:
        result['growth'] = growth(say)
        result['big'] = big = {k: child('measure', [asdict(c)], 'numba', 3.)[0] for k, c in BIG.items()}
        small, mid, large = big.values()
        floor = 4*1024*1024*4*2/most['cpu']['copy']/1e6                         # image, what is kept and their gradients: a million floats each, written and read
        say('| numba | ms | MB |\n|---|---|---|\n' + '\n'.join(f'| {k} | {ms(m)} | {mb:,.0f} |' for k, (m, mb) in big.items()))
        say(f'\nTen times the strokes on sixteen times the pixels take {(mid[0] - floor)/small[0]:.1f} times as long, besides the {floor:.1f} ms it takes to touch the pixels.')
        with tempfile.TemporaryDirectory() as empty: result['first'] = [min(child('first') for _ in range(3)), child('first', NUMBA_CACHE_DIR=empty)]
        (warm, warm2), (cold, cold2) = result['first']
        say(f'From `import dsketch_nb.draw` to the first picture {warm:.2f} s, to its gradient {warm2:.2f} s; {cold:.1f} and {cold2:.1f} s where nothing has been compiled before.')
        result['iteration'] = child('iteration')
        say('An iteration of imageopt (2,000 segments in colour, 300 x 200) takes {:.1f} ms, its drawing forward and backward {:.1f} ms: a ratio of {:.2f}.'.format(*result['iteration'], result['iteration'][0]/result['iteration'][1]))
    if o.output:
        folder = Path(o.output)
        (folder/'draw.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')
        (folder/'draw.json').write_text(json.dumps(result, indent=1), encoding='utf-8')
        if 'growth' in result: plot(result['growth'], folder/'growth.svg')

if __name__ == '__main__': main()
