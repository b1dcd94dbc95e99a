"""Filled shapes: what drawing them costs beside the same outlines as strokes, and how good a picture N of them make beside N strokes.

python benchmarks/shapes.py [PHOTO ...] [--shapes 500 1000] [--width 384] [--iters 500]

Without photographs the times alone. Random closed outlines of four cubics, ten chords each, about a tenth of the canvas across, softness .7 pixels, in colour: one drawing forward
and backward, the median of a second's runs, and peak memory of a process of its own above that of one which has drawn something tiny. Growth in shapes, pixels and softness.
With photographs: the preset `shapes` and the preset `paint` with as many segments, as many iterations, at the same size: PSNR and SSIM of the raster, and of the plain SVG as resvg
shows it; seconds for each picture, one after the other in one process.
"""
import argparse, io, json, math, os, resource, statistics, subprocess, sys, time

CASES = {'1,000 at 256 x 256': (1000, (256, 256), .7), '1,024 at 512 x 768': (1024, (512, 768), .7), '4,000 at 512 x 768': (4000, (512, 768), .7),
         '1,000 at 1024 x 1024': (1000, (1024, 1024), .7), '1,000 at 256 x 256, softness 2.8': (1000, (256, 256), 2.8)}

def outlines(n, size):
    "Vertices [n, 40, 2] of random outlines of four cubics."
    import torch
    from dsketch_nb.kinds import KINDS
    g, kind = torch.Generator().manual_seed(0), KINDS['shapes']()
    half = torch.tensor([1., size[1]/size[0]])
    middle = (torch.rand(n, 2, generator=g)*2 - 1)*half
    reach = torch.full((n, 2), .07)*(.5 + torch.rand(n, 1, generator=g))
    params = kind.ring(middle, reach, 12) + .02*torch.randn(n, 12, 2, generator=g)
    return kind.vertices(params, 10)

def measure(name, way, compose):
    "Milliseconds, and MiB of memory, of one case."
    import torch
    from dsketch_nb.draw import draw
    n, size, sigma = CASES[name]
    fill = None if way == 'strokes' else 'nonzero'
    backend = 'pairs' if way == 'pairs' else 'numba'
    v, c = outlines(n, size).requires_grad_(), torch.rand(n, 3, requires_grad=True)
    pitch = 2/(min(size) - 1)
    def once(v, size): draw(v, size, (sigma*pitch)**2, c[:len(v)], compose=compose, fill=fill, backend=backend).sum().backward()
    once(v[:2], (8, 8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    once(v, size)
    times, end = [], time.perf_counter() + 1
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        once(v, size)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)*1e3, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)/1024

def apart(*args):
    "measure(*args) in a process of its own."
    code = f'import sys, json; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); import shapes; print(json.dumps(shapes.measure(*{args!r})))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    if done.returncode: raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])

def times():
    print('| shapes | composition | as strokes (ms) | filled (ms) | ratio | pairs (ms) | memory filled (MiB) |\n|---|---|---|---|---|---|---|')
    for name in CASES:
        for compose in ('ink', 'paint'):
            strokes, filled = apart(name, 'strokes', compose), apart(name, 'filled', compose)
            pairs = f"{apart(name, 'pairs', compose)[0]:,.0f}" if name == '1,000 at 256 x 256' else ''
            print(f'| {name} | {compose} | {strokes[0]:.1f} | {filled[0]:.1f} | {filled[0]/strokes[0]:.1f} | {pairs} | {filled[1]:.0f} |', flush=True)

def likeness(a, b):
    import numpy as np
    from skimage.metrics import structural_similarity
    return 10*math.log10(1/np.square(a - b).mean()), structural_similarity(a, b, channel_axis=2, data_range=1.)

def quality(photos, counts, width, iters):
    import numpy as np, resvg_py
    from PIL import Image
    from dsketch_nb.imageopt import imageopt
    from dsketch_nb.pictures import load_picture
    print('| photograph | what | PSNR | SSIM | PSNR of the SVG | SSIM of the SVG | seconds |\n|---|---|---|---|---|---|---|')
    for photo in photos:
        for n in counts:
            for what in (dict(preset='shapes', shapes=n), dict(preset='paint', lines=n)):
                begin = time.perf_counter()
                scene = imageopt(photo, **what, width=width, iters=iters)
                took = time.perf_counter() - begin
                want = load_picture(photo, width=width).movedim(0, -1).double().numpy()
                seen = np.asarray(scene.image().convert('RGB'))/255
                svg = np.asarray(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=scene.to_svg())))).convert('RGB'))/255
                (p, s), (q, t) = likeness(want, seen), likeness(want, svg)
                name = f"{n:,} {'shapes' if 'shapes' in what else 'segments'}"
                print(f'| {os.path.basename(photo)} | {name} | {p:.2f} | {s:.3f} | {q:.2f} | {t:.3f} | {took:.1f} |', flush=True)

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('photos', nargs='*')
    p.add_argument('--shapes', type=int, nargs='+', default=[500, 1000])
    p.add_argument('--width', type=int, default=384)
    p.add_argument('--iters', type=int, default=500)
    a = p.parse_args()
    if a.photos: quality(a.photos, a.shapes, a.width, a.iters)
    else: times()

if __name__ == '__main__': main()
