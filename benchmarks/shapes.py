"""Filled shapes: what drawing them costs beside the same outlines as strokes, how good a picture N of them make beside N strokes, and what a tracer and a rasteriser do.

python benchmarks/shapes.py [PHOTO ...] [--shapes 500 1000] [--width 384] [--iters 500]

Without photographs the times alone. Random closed outlines of four cubics, ten chords each, about a tenth of the canvas across, softness .7 pixels, in colour: one drawing forward
and backward, the median of a second's runs, and peak memory of a process of its own above that of one which has drawn something tiny. Growth in shapes, pixels and softness.
Then forward alone, on one thread, beside resvg, which shows the same opaque outlines from their SVG: its time for the file, less its time for the same file with all of it moved off the
page, since reading paths and packing an empty PNG is no drawing. What packing a full PNG takes more is left in. resvg's edges are sharp, ours .7 pixels soft.
With photographs: the preset `shapes` and the preset `paint` with as many segments, as many iterations, at the same size: PSNR, SSIM and LPIPS (SqueezeNet, where its weights are on this
machine or can be fetched) of the raster, and of the plain SVG as resvg shows it; thousands of characters of the SVG, and seconds for each picture, one after the other in one process.
vtracer (`pip install vtracer`) traces the same pixels to closed shapes: the best PSNR of a search through its options, among those whose number of paths is within a tenth of N, or else
nearest to it; the seconds are those of that one trace. Such paths may have any number of points; ours have twelve.
"""
import argparse, importlib.util, io, json, math, os, resource, statistics, subprocess, sys, time

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

def median_time(f, seconds=1.):
    "Milliseconds of f(): the median of some seconds' runs, three at least."
    f()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        f()
        times.append(time.perf_counter() - begin)
    return 1e3*statistics.median(times)

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
    return median_time(lambda: once(v, size)), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)/1024

def apart(f, *args):
    "A function of this file, in a process of its own."
    code = f'import sys, json; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); import shapes; print(json.dumps(shapes.{f}(*{args!r})))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    if done.returncode: raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])

def times():
    print('| shapes | composition | as strokes (ms) | filled (ms) | ratio | pairs (ms) | memory filled (MiB) |\n|---|---|---|---|---|---|---|')
    for name in CASES:
        for compose in ('ink', 'paint'):
            strokes, filled = apart('measure', name, 'strokes', compose), apart('measure', name, 'filled', compose)
            pairs = f"{apart('measure', name, 'pairs', compose)[0]:,.0f}" if name == '1,000 at 256 x 256' else ''
            print(f'| {name} | {compose} | {strokes[0]:.1f} | {filled[0]:.1f} | {filled[0]/strokes[0]:.1f} | {pairs} | {filled[1]:.0f} |', flush=True)

def forward(name):
    "Milliseconds on one thread: our forward pass; resvg's for the file; for the file with nothing on its page."
    import resvg_py, torch
    from dsketch_nb import compiled
    from dsketch_nb.draw import draw
    from dsketch_nb.scene import Scene
    n, size, sigma = CASES[name]
    compiled.set_threads(1)
    torch.set_num_threads(1)
    v, c = outlines(n, size), torch.rand(n, 3)
    scene = Scene(*size, 'paint').add('polygons', v, c)
    svg = scene.to_svg()
    at = svg.index('<path')
    away = svg[:at] + '<g transform="translate(99999 0)">' + svg[at:].replace('</svg>', '</g></svg>')
    s2 = (sigma*2/(min(size) - 1))**2
    with torch.no_grad(): ours = median_time(lambda: draw(v, size, s2, c, compose='paint', background=torch.ones(3, *size), fill='nonzero', backend='numba'))
    return ours, *(median_time(lambda: resvg_py.svg_to_bytes(svg_string=s)) for s in (svg, away))

def forwards():
    if not importlib.util.find_spec('resvg_py'): return print('\nresvg was not run: pip install resvg-py')
    print('\n| shapes, paint, forward, one thread | ours (ms) | resvg (ms) | resvg, file and all (ms) | ours / resvg |\n|---|---|---|---|---|')
    for name in CASES:
        ours, whole, empty = apart('forward', name)
        print(f'| {name} | {ours:.1f} | {whole - empty:.1f} | {whole:.1f} | {ours/(whole - empty):.1f} |', flush=True)

def as_rgb(svg):
    "What resvg shows of an SVG: [H, W, 3] in [0, 1]."
    import numpy as np, resvg_py
    from PIL import Image
    return np.asarray(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert('RGB'))/255

def likeness(a, b, lpips):
    "PSNR, SSIM and LPIPS of two pictures [H, W, 3], as cells of a table."
    import numpy as np, torch
    from skimage.metrics import structural_similarity
    psnr, ssim = 10*math.log10(1/np.square(a - b).mean()), structural_similarity(a, b, channel_axis=2, data_range=1.)
    far = lpips(*(torch.tensor(x).movedim(-1, 0).float() for x in (a, b))) if lpips else math.nan
    return f'{psnr:.2f} | {ssim:.3f} | {far:.3f}'

def traced(want, n):
    "vtracer's SVG of a picture [H, W, 3] in about n paths, the best of a small search -> (svg, its paths, seconds, options)."
    import numpy as np, vtracer
    from PIL import Image
    png = io.BytesIO()
    Image.fromarray((want*255).round().astype('uint8')).save(png, 'png')
    def trace(speckle, layers, precision):
        begin = time.perf_counter()
        svg = vtracer.convert_raw_image_to_svg(png.getvalue(), img_format='png', mode='spline', filter_speckle=speckle, layer_difference=layers, color_precision=precision)
        return svg, svg.count('<path'), time.perf_counter() - begin
    found = []
    for precision in (6, 7, 8):
        for layers in (4, 8, 16, 32, 64):
            few, many = 1, 40                                    # of the smallest spot's side, in pixels: the larger, the fewer paths
            while few < many:
                middle = (few + many)//2
                if trace(middle, layers, precision)[1] > n: few = middle + 1
                else: many = middle
            for speckle in {max(few - 1, 1), few}: found.append((*trace(speckle, layers, precision), dict(filter_speckle=speckle, layer_difference=layers, color_precision=precision)))
    near = [f for f in found if abs(f[1] - n) <= n/10] or [min(found, key=lambda f: abs(f[1] - n))]
    return min(near, key=lambda f: np.square(as_rgb(f[0]) - want).mean())

def quality(photos, counts, width, iters):
    import numpy as np
    from quality import judge
    from dsketch_nb.imageopt import imageopt
    from dsketch_nb.pictures import load_picture
    lpips = judge()
    tracer = importlib.util.find_spec('vtracer')
    for preset, kind in (('shapes', 'shapes'), ('paint', 'lines')): imageopt('sample:china', preset=preset, width=20, iters=2, **{kind: 3})      # compile
    print('| photograph | what | PSNR | SSIM | LPIPS | PSNR of the SVG | SSIM | LPIPS | SVG (kB) | seconds |\n|---|---|---|---|---|---|---|---|---|---|')
    for photo in photos:
        name, want = os.path.basename(photo), load_picture(photo, width=width).movedim(0, -1).double().numpy()
        for n in counts:
            for what in (dict(preset='shapes', shapes=n), dict(preset='paint', lines=n)):
                begin = time.perf_counter()
                scene = imageopt(photo, **what, width=width, iters=iters)
                took = time.perf_counter() - begin
                seen, svg = np.asarray(scene.image().convert('RGB'))/255, scene.to_svg()
                kind = f"{n:,} {'shapes' if 'shapes' in what else 'segments'}"
                print(f'| {name} | {kind} | {likeness(seen, want, lpips)} | {likeness(as_rgb(svg), want, lpips)} | {len(svg)/1e3:.0f} | {took:.1f} |', flush=True)
            if not tracer: print(f'| {name} | vtracer: not installed | | | | | | | | |', flush=True)
            else:
                svg, paths, took, options = traced(want, n)
                said = ', '.join(f'{k} {v}' for k, v in options.items())
                print(f'| {name} | vtracer, {paths:,} paths ({said}) | | | | {likeness(as_rgb(svg), want, lpips)} | {len(svg)/1e3:.0f} | {took:.1f} |', flush=True)

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('photos', nargs='*')
    p.add_argument('--shapes', type=int, nargs='+', default=[500, 1000])
    p.add_argument('--width', type=int, default=384)
    p.add_argument('--iters', type=int, default=500)
    a = p.parse_args()
    if a.photos: quality(a.photos, a.shapes, a.width, a.iters)
    else:
        times()
        forwards()

if __name__ == '__main__': main()
