"""`draw` on a GPU: Triton's kernels beside plain tensors, and what share of the memory's bandwidth the pictures alone take up.

python benchmarks/gpu.py

It needs a GPU, and has never been run on one. Forward and backward, median time by the GPU's own clock, and the most memory that was in use.
a: 1,000 segments (ends within 0.1 of the start), 256 x 256, grey; b: 2,000 at 300 x 123, colour, sigma 1 px; c: 500 Catmull-Rom curves of ten chords, 256 x 256;
d: 128 pictures of 28 x 28, 8 Catmull-Rom curves each, sigma2 0.01.
"""
import statistics, sys

import torch

from dsketch_nb.curves import catmull_rom_to_polyline
from dsketch_nb.draw import draw
from dsketch_nb.raster import pixel_pitch

WORKLOADS = {
    'a': dict(n=1000, size=(256, 256), sigma=.55, compose='softor'),
    'b': dict(n=2000, size=(123, 300), sigma=1., compose='ink'),
    'b, paint': dict(n=2000, size=(123, 300), sigma=1., compose='paint'),
    'c': dict(n=500, size=(256, 256), sigma=.55, compose='softor', curve=True),
    'd': dict(n=8, size=(28, 28), sigma=1.35, compose='softor', curve=True, batch=128, reach=.5),
    'a, a hundred times': dict(n=100_000, size=(2048, 2048), sigma=.55, compose='softor', reach=.0125),
}

def step(n, size, sigma, compose, backend, device, curve=False, batch=1, reach=.1):
    "A function that draws once, forward and backward; and the bytes of the pictures that any way to do so reads and writes."
    g, pitch = torch.Generator().manual_seed(0), pixel_pitch(*size)
    half = (torch.tensor(size) - 1)/2 * pitch
    start = (torch.rand(batch, n, 1, 2, generator=g)*2 - 1) * half
    params = torch.cat([torch.zeros(batch, n, 1, 2), (torch.rand(batch, n, 3 if curve else 1, 2, generator=g)*2 - 1)*reach], 2)
    params = (start + params).to(device).requires_grad_()
    colour = None if compose == 'softor' else torch.rand(n, 3, generator=g).to(device).requires_grad_()
    grad = torch.ones(batch, 1 if colour is None else 3, *size, device=device)
    def run():
        params.grad = None
        draw(catmull_rom_to_polyline(params, 10) if curve else params, size, (sigma*pitch)**2, colour=colour, compose=compose, backend=backend).backward(grad)
    images = 2 if compose == 'paint' else 4                  # out and its gradient; for ink, what shows through, written and read
    return run, images * grad.numel() * grad.element_size()

def seconds(run, times=50):
    "The median of some runs by the GPU's clock, after three that do not count."
    for _ in range(3): run()
    took = []
    for _ in range(times):
        a, b = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        a.record(); run(); b.record()
        torch.cuda.synchronize()
        took.append(a.elapsed_time(b)/1e3)
    return statistics.median(took)

def bandwidth():
    "Bytes a second that this GPU moves when it copies a gigabyte."
    x = torch.empty(2**28, device='cuda')
    y = torch.empty_like(x)
    return 2*x.numel()*4 / seconds(lambda: y.copy_(x), 20)

def main():
    if not torch.cuda.is_available():
        print('benchmarks/gpu.py needs a GPU, and PyTorch finds none here: `python benchmarks/draw.py` measures the CPU', file=sys.stderr)
        return 2
    peak = bandwidth()
    print(f'{torch.cuda.get_device_name()}, PyTorch {torch.__version__}; it copies {peak/1e9:,.0f} GB a second\n')
    print('| workload | pairs (ms) | triton (ms) | memory (MB) | bandwidth |\n|---|---|---|---|---|')
    for name, kw in WORKLOADS.items():
        pairs = seconds(step(**kw, backend='pairs', device='cuda')[0])
        run, size = step(**kw, backend='triton', device='cuda')
        torch.cuda.reset_peak_memory_stats()
        before, took = torch.cuda.memory_allocated(), seconds(run)
        print(f'| {name} | {pairs*1e3:.2f} | {took*1e3:.2f} | {(torch.cuda.max_memory_allocated() - before)/1e6:,.1f} | {size/took/peak:.1%} |')
    return 0

if __name__ == '__main__': sys.exit(main())
