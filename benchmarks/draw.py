"""`draw` on this machine: every backend on the same workloads, one run, a fresh process each.

python benchmarks/draw.py [--quick]

Forward and backward, median time, and peak memory above that of a process that has drawn nothing. Ratios are to the dense reference.
a: 1,000 segments (ends within 0.1 of the start), 256 x 256, grey; b: 2,000 at 300 x 123, colour, sigma 1 px; c: 500 Catmull-Rom curves of ten chords, 256 x 256.
"""
import argparse, json, os, platform, resource, statistics, subprocess, sys, time

WORKLOADS = {
    'a': dict(n=1000, size=(256, 256), sigma=.55, compose='softor'),
    'b': dict(n=2000, size=(123, 300), sigma=1., compose='ink'),
    'b, paint': dict(n=2000, size=(123, 300), sigma=1., compose='paint'),
    'c': dict(n=500, size=(256, 256), sigma=.55, compose='softor', curve=True),
    'a, twice the strokes': dict(n=2000, size=(256, 256), sigma=.55, compose='softor'),
    'a, twice the side': dict(n=1000, size=(512, 512), sigma=.55, compose='softor'),
}
BACKENDS = {'dense': 1, 'pairs': 9, 'numba': 41}   # and how often each is timed

def step(n, size, sigma, compose, backend, curve=False):
    "A function that draws once, forward and backward."
    import torch
    from dsketch_nb.curves import catmull_rom_to_polyline
    from dsketch_nb.draw import draw
    from dsketch_nb.raster import pixel_pitch
    g, pitch = torch.Generator().manual_seed(0), pixel_pitch(*size)
    half = (torch.tensor(size) - 1)/2 * pitch
    start = (torch.rand(n, 1, 2, generator=g)*2 - 1) * half
    params = (start + torch.cat([torch.zeros(n, 1, 2), torch.rand(n, 3 if curve else 1, 2, generator=g)*.2 - .1], 1)).requires_grad_()
    colour = None if compose == 'softor' else torch.rand(n, 3, generator=g).requires_grad_()
    def run():
        params.grad = None
        vertices = catmull_rom_to_polyline(params, 10) if curve else params
        out = draw(vertices, size, (sigma*pitch)**2, colour=colour, compose=compose, backend=backend)
        out.backward(torch.ones_like(out))
    return run

def one(name, backend):
    "In a process of its own: milliseconds and MB."
    import torch, dsketch_nb.draw, dsketch_nb.curves
    torch.set_num_threads(1 if backend == 'numba' else torch.get_num_threads())
    warm = step(**WORKLOADS[name] | dict(n=5, size=(8, 8)), backend=backend)
    warm(); warm()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run, times = step(**WORKLOADS[name], backend=backend), []
    if backend != 'dense': run(); run()
    for _ in range(BACKENDS[backend]):
        t = time.perf_counter()
        run()
        times.append(time.perf_counter() - t)
    unit = 2**20 if sys.platform == 'darwin' else 1024
    print(json.dumps([statistics.median(times)*1e3, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)/unit]))

def main():
    p = argparse.ArgumentParser(description='Time draw() on this machine.')
    p.add_argument('--one', nargs=2, help=argparse.SUPPRESS)
    p.add_argument('--quick', action='store_true', help='workloads a and b only')
    o = p.parse_args()
    if o.one: return one(*o.one)
    import numba, torch
    print(f'{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, numba {numba.__version__}\n')
    print('| workload | backend | ms | times faster | peak MB |\n|---|---|---|---|---|')
    for name in list(WORKLOADS)[:2] if o.quick else WORKLOADS:
        dense = None
        for backend in BACKENDS:
            ms, mb = json.loads(subprocess.run([sys.executable, __file__, '--one', name, backend], check=True, capture_output=True, text=True).stdout)
            dense = dense or ms
            print(f'| {name} | {backend} | {ms:,.1f} | {dense/ms:,.0f} | {mb:,.0f} |', flush=True)

if __name__ == '__main__': main()
