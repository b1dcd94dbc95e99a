"""One photograph, every loss: how close the strokes come to it, by three measures, and how long that takes.

python benchmarks/losses.py [photo.jpg] [--lines 2000] [--width 300] [--iters 300] [--sheet sheet.png] [--only MSELoss LPIPSLoss]

PSNR in dB (higher is closer), SSIM (1 is equal), LPIPS with SqueezeNet (0 is equal); seconds for all iterations. A row whose weights are not on this machine, and cannot be
fetched, says so. SSIM needs scikit-image. Chamfer and Hausdorff compare strokes, not photographs, and have no row.
"""
import argparse, math, os, platform, time
from pathlib import Path
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage.metrics import structural_similarity
from torchvision.transforms.functional import to_pil_image
from dsketch_nb.command import one_line_errors
from dsketch_nb.optimise import Callback
from dsketch_nb.imageopt import imageopt
from dsketch_nb.pictures import load_picture
from dsketch_nb.losses import Loss
from dsketch_nb.perceptual import LPIPSLoss, MissingWeights
from dsketch_nb.runs import replacing

ROWS = [('MSELoss', {}), ('BCELoss', {}), ('BlurredMSELoss', {}), ('BlurredMSELoss', dict(symmetric=False)), ('PyrMSELoss', {}), ('PyrMSELoss', dict(octaves=4, weight=True)),
        ('PyrMSELoss', dict(downsample=True)), ('DoGPyrMSELoss', {}), ('LPIPSLoss', dict(net='squeeze')), ('LPIPSLoss', dict(net='alex')), ('LPIPSLoss', dict(net='vgg')),
        ('FeatureMapLoss', {}), ('AugConsistencyLoss', {})]

def label(name, flags):
    "A loss as one types it."
    return ' '.join([name, *(f"--{'no-' if v is False else ''}{k.replace('_', '-')}{'' if isinstance(v, bool) else f' {v}'}" for k, v in flags.items())])

class Clock(Callback):
    "Seconds of the iterations alone: no reading of weights, no compiling."
    def before_fit(self, o): self.start = time.perf_counter()
    def after_fit(self, o): self.seconds = time.perf_counter() - self.start

def measures(picture, photo, lpips):
    "PSNR, SSIM and LPIPS of two pictures [3, H, W]."
    mse = (picture - photo).square().mean().item()
    ssim = structural_similarity(photo.numpy(), picture.numpy(), channel_axis=0, data_range=1)
    return f'{-10*math.log10(mse):.1f} | {ssim:.3f} | ' + (f'{lpips(picture[None], photo[None]).item():.3f}' if lpips else 'no weights')

def row(name, flags, o, photo, lpips):
    "One row's end, and its picture; None where there is none."
    try: scene = imageopt(o.photo, name, width=o.width, lines=o.lines, iters=o.iters, init_sigma2=1., final_sigma2=1., colour=True, callbacks=[clock := Clock()], **flags)
    except MissingWeights as e: return f'no weights: {str(e).split(" is needed")[0]} | | | |', None
    with torch.no_grad(): picture = scene.draw().clamp(0, 1)
    return f'{measures(picture, photo, lpips)} | {clock.seconds:.1f} |', picture

def sheet(pictures, path, across=3, gap=8, head=26):
    "Labelled pictures side by side, as a PNG."
    h, w = next(iter(pictures.values())).shape[1:]
    down = -(-len(pictures) // across)
    page = Image.new('RGB', (across*(w + gap) - gap, down*(h + head + gap) - gap), 'white')
    for i, (name, picture) in enumerate(pictures.items()):
        x, y = i % across * (w + gap), i // across * (h + head + gap)
        page.paste(to_pil_image(picture), (x, y + head)); ImageDraw.Draw(page).text((x, y + 2), name, 'black', font=ImageFont.load_default(18))
    with replacing(path) as tmp: page.save(tmp, 'PNG')

def main(argv=None):
    p = argparse.ArgumentParser('losses.py', description='Draw one photograph under every loss and measure the results.', allow_abbrev=False)
    p.add_argument('photo', nargs='?', default='sample:china', help='an image, or sample:china (the default) or sample:flower')
    p.add_argument('--width', type=int, default=300, help='scale the photograph to this width (default 300)')
    p.add_argument('--lines', type=int, default=2000, help='how many strokes (default 2000)')
    p.add_argument('--iters', type=int, default=300, help='iterations (default 300)')
    p.add_argument('--sheet', metavar='FILE', help='PNG of all the pictures')
    p.add_argument('--only', nargs='+', metavar='LOSS', help='these losses, by name')
    o = p.parse_args(argv)
    with one_line_errors(p):
        if o.sheet and not Path(o.sheet).absolute().parent.is_dir(): raise ValueError(f'{o.sheet}: its folder does not exist: make it first')
        for name in o.only or (): Loss.find(name)
        photo = load_picture(o.photo, o.width)
        try: lpips = LPIPSLoss('squeeze')
        except MissingWeights: lpips = None
        imageopt(o.photo, 'MSELoss', width=o.width, lines=o.lines, iters=2, colour=True)      # compiles
        print(f'{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}; {o.lines:,} strokes, {photo.shape[2]} x {photo.shape[1]}, {o.iters} iterations\n')
        print('| `--loss` | PSNR | SSIM | LPIPS | seconds |\n|---|---|---|---|---|')
        pictures = {'the photograph': photo}
        for name, flags in ROWS:
            if o.only and name not in o.only: continue
            end, picture = row(name, flags, o, photo, lpips)
            print(f'| `{label(name, flags)}` | {end}', flush=True)
            if picture is not None: pictures[label(name, flags)] = picture
        if o.sheet: sheet(pictures, o.sheet)

if __name__ == '__main__': main()
