"""How good a picture N strokes make: the paper's scheme, and each improvement on top of the one before.

python benchmarks/quality.py [PHOTO ...] [--strokes 500 1000 2000] [--width 384] [--iters 500] [--last] [--seeds 1] [--sheet FILE.png]

Means over the photographs of PSNR, SSIM (scikit-image) and LPIPS (SqueezeNet, where its weights are on this machine or can be fetched), and seconds for each picture.
`--last` runs the last scheme alone. Where `pydiffvg` can be imported (installing it takes a C++ compiler), diffvg paints the same photographs with as many curves in as many
iterations: the rates, the widths of 1 to 4 pixels, the one to three cubics a curve and the 2 x 2 samples a pixel of its own painterly example.
"""
import argparse, time
from importlib.util import find_spec
from statistics import mean

import numpy as np, torch
from PIL import Image
from skimage.metrics import structural_similarity

from dsketch_nb.imageopt import PRESETS, imageopt
from dsketch_nb.pictures import load_picture
from dsketch_nb.perceptual import LPIPSLoss, MissingWeights

PAPER = dict(preset='paper', colour=True, betas=(.9, .999))
STEPS = [("the paper's scheme", PAPER),
         ("Adam's memory: betas .98", dict(betas=(.98, .98))),
         ('a width for each stroke', dict(opt_sigma2=True, sigma2_lr=.03, init_sigma2=6.25)),
         ('paint, opacity, paper of the mean colour', dict(compose='paint', paper='mean', opacity=.8, opt_opacity=True)),
         ('colours faster, cosine, betas .9 .95', dict(colour_lr=.05, final_lr=.05, betas=(.9, .95))),
         ('start along edges, in the colours there', dict(start='edges')),
         ('re-seed the strokes worth least', dict(reseed=PRESETS['paint']['reseed']))]

def schemes():
    "Names, and options with all of those before."
    options = {}
    for name, more in STEPS:
        options = options | more
        yield name, options

def diffvg(target, strokes, iters, seed):
    "The picture [3, H, W] that diffvg paints of a photograph [3, H, W]."
    import pydiffvg
    pydiffvg.set_print_timing(False); pydiffvg.set_use_gpu(False)
    g, (_, H, W), paths, groups = torch.Generator().manual_seed(seed), target.shape, [], []
    for i in range(strokes):
        cubics = int(torch.randint(1, 4, (), generator=g))
        steps = (torch.rand(3*cubics + 1, 2, generator=g) - .5)*.05       # a walk from a point anywhere
        steps[0] = torch.rand(2, generator=g)
        paths.append(pydiffvg.Path(num_control_points=torch.full((cubics,), 2, dtype=torch.int32), points=(steps.cumsum(0)*torch.tensor([W, H])).requires_grad_(),
                                   stroke_width=torch.tensor(1., requires_grad=True), is_closed=False))
        groups.append(pydiffvg.ShapeGroup(shape_ids=torch.tensor([i]), fill_color=None, stroke_color=torch.rand(4, generator=g).requires_grad_()))
    def picture(seed):
        rgba = pydiffvg.RenderFunction.apply(W, H, 2, 2, seed, None, *pydiffvg.RenderFunction.serialize_scene(W, H, paths, groups))
        return (rgba[..., 3:]*rgba[..., :3] + 1 - rgba[..., 3:]).movedim(-1, 0)
    optimiser = torch.optim.Adam([dict(params=[p.points for p in paths], lr=1.), dict(params=[p.stroke_width for p in paths], lr=.1), dict(params=[o.stroke_color for o in groups], lr=.01)])
    for i in range(iters):
        optimiser.zero_grad()
        (picture(i) - target).square().mean().backward()
        optimiser.step()
        with torch.no_grad():
            for p in paths: p.stroke_width.clamp_(1, 4)
            for o in groups: o.stroke_color.clamp_(0, 1)
    with torch.no_grad(): return picture(0)

def judge():
    "LPIPS between two images [3, H, W], or None without weights."
    try: net = LPIPSLoss(net='squeeze')
    except MissingWeights as e:
        print(f'LPIPS is left out: {e}\n')
        return None
    return lambda a, b: net(a[None], b[None]).item()

def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('photos', nargs='*', default=['sample:china', 'sample:flower'])
    p.add_argument('--strokes', type=int, nargs='+', default=[500, 1000, 2000])
    p.add_argument('--width', type=int, default=384)
    p.add_argument('--iters', type=int, default=500)
    p.add_argument('--seeds', type=int, default=1, help='how many seeds; the spread of their means is printed')
    p.add_argument('--last', action='store_true', help='the last scheme alone')
    p.add_argument('--sheet', help='PNG with the first photograph under each scheme, for the last number of strokes')
    o = p.parse_args()
    lpips, targets = judge(), [load_picture(f, o.width) for f in o.photos]
    if not find_spec('pydiffvg'): print('diffvg was not run: pydiffvg cannot be imported here.\n')
    imageopt('sample:china', lines=5, width=20, iters=2)                      # compile
    imageopt('sample:china', 'MSELoss', lines=5, width=20, iters=2, colour=True)
    print('| strokes | scheme | PSNR | SSIM | LPIPS | seconds |\n|---|---|---|---|---|---|')
    for n in o.strokes:
        sheet = []
        for name, options in list(schemes())[-1 if o.last else 0:] + [('diffvg', None)]*bool(find_spec('pydiffvg')):
            rows, by_seed = [], []
            for seed in range(1, o.seeds + 1):
                for t, photo in zip(targets, o.photos):
                    start = time.perf_counter()
                    if name == 'diffvg': picture = diffvg(t, n, o.iters, seed)
                    else: picture = imageopt(photo, width=o.width, lines=n, iters=o.iters, seed=seed, **options).draw().detach()
                    seconds, picture = time.perf_counter() - start, picture.clamp(0, 1)
                    a, b = picture.movedim(0, -1).numpy(), t.movedim(0, -1).numpy()
                    rows.append((-10*np.log10(((a - b)**2).mean()), structural_similarity(a, b, channel_axis=2, data_range=1.), lpips(picture, t) if lpips else float('nan'), seconds))
                    if photo == o.photos[0] and seed == 1: sheet.append(a)
                by_seed.append(mean(r[0] for r in rows[-len(targets):]))
            m = [mean(c) for c in zip(*rows)]
            spread = f' (seeds {min(by_seed):.2f} to {max(by_seed):.2f})' if o.seeds > 1 else ''
            print(f'| {n:,} | {name} | {m[0]:.2f}{spread} | {m[1]:.3f} | {m[2]:.3f} | {m[3]:.1f} |', flush=True)
    if o.sheet: Image.fromarray((np.concatenate(sheet, 1)*255).round().astype(np.uint8)).save(o.sheet)

if __name__ == '__main__': main()
