"""A photograph becomes 2,000 coloured strokes: the main job with nothing but `draw` and a loop.

python examples/photo_to_strokes.py [PHOTO] [--width 300] [--lines 2000] [--iters 500] [--output demo]
"""
import argparse, os, sys
from pathlib import Path

import numpy as np, torch
from PIL import Image, UnidentifiedImageError
from tqdm.auto import tqdm

from dsketch_nb.draw import draw
from dsketch_nb.raster import pixel_pitch

def options():
    p = argparse.ArgumentParser(description="Fit coloured straight strokes to a photograph by gradient descent.", allow_abbrev=False)
    p.add_argument('photo', nargs='?', help="an image file (default: scikit-learn's china.jpg)")
    p.add_argument('--width', type=int, default=300, help='scale the photograph to this many pixels (default %(default)s)')
    p.add_argument('--lines', type=int, default=2000, help='how many strokes (default %(default)s)')
    p.add_argument('--iters', type=int, default=500, help='iterations (default %(default)s)')
    p.add_argument('--seed', type=int, default=1, help='same seed, same machine, same result (default %(default)s)')
    p.add_argument('--output', type=Path, default=Path('demo'), help='folder for initial.png, final.png and drawing.gif (default %(default)s)')
    o = p.parse_args()
    for k in ('width', 'lines', 'iters'):
        if getattr(o, k) < 1: p.error(f'--{k} {getattr(o, k)}: expected 1 or more')
    return p, o

def load(p, photo, width):
    "The photograph [3, H, W] in [0, 1], `width` pixels wide."
    if photo is None:
        from sklearn.datasets import load_sample_image
        picture = Image.fromarray(load_sample_image('china.jpg'))
    else:
        try: picture = Image.open(photo).convert('RGB')
        except FileNotFoundError: p.error(f'{photo}: no such file')
        except (UnidentifiedImageError, OSError) as e: p.error(f'{photo}: cannot be read as an image ({e})')
    picture = picture.resize((width, max(round(picture.height*width/picture.width), 1)), Image.LANCZOS)
    return torch.from_numpy(np.array(picture)).movedim(-1, 0).float()/255

def as_image(x): return Image.fromarray((x.detach().clamp(0, 1)*255).round().byte().movedim(0, -1).numpy())

def save(image, path, **kw):
    "Under a temporary name first: an existing file is replaced only by a complete one."
    part = path.with_name(f'.{path.name}.part')
    image.save(part, format=path.suffix[1:].upper(), **kw)
    os.replace(part, path)

def main():
    p, o = options()
    target = load(p, o.photo, o.width)
    try: o.output.mkdir(parents=True, exist_ok=True)
    except OSError as e: p.error(f'--output {o.output}: cannot be written ({e.strerror})')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)                     # draw has threads of its own; two sets would fight over the cores
    torch.manual_seed(o.seed)
    size = target.shape[1:]
    pitch = pixel_pitch(*size)
    half = (torch.tensor(size) - 1)/2 * pitch    # the canvas: rows in ±1, columns in ±(W-1)/(H-1)
    start = (torch.rand(o.lines, 1, 2)*2 - 1)*half
    lines = torch.cat([start, start + torch.rand(o.lines, 1, 2)*.2 - .1], 1).requires_grad_()
    colour = torch.rand(o.lines, 3).requires_grad_()
    shown = lambda: 1 - draw(lines, size, pitch**2, colour=1 - colour, compose='ink')[...]   # ink on white paper
    optimiser = torch.optim.Adam([lines, colour], lr=.01)
    frames, best, every = [], (float('inf'), None), max(o.iters//40, 1)
    bar = tqdm(range(o.iters), desc=f'{o.lines:,} strokes, {size[1]} x {size[0]}')
    try:
        for i in bar:
            picture = shown()
            loss = (picture - target).square().mean()
            if loss.item() < best[0]: best = loss.item(), picture.detach()
            if i == 0: save(as_image(picture), o.output/'initial.png')
            if i % every == 0: frames.append(as_image(picture)); bar.set_postfix_str(f'PSNR {-10*np.log10(loss.item()):.1f} dB')
            optimiser.zero_grad(); loss.backward(); optimiser.step()
            with torch.no_grad():
                lines.copy_(torch.minimum(torch.maximum(lines, -half), half))
                colour.clamp_(0, 1)
    except KeyboardInterrupt: print('stopped; writing the best so far', file=sys.stderr)
    finally: torch.set_num_threads(threads)
    if best[1] is None: return
    save(as_image(best[1]), o.output/'final.png')
    save(frames[0], o.output/'drawing.gif', save_all=True, append_images=frames[1:] + [as_image(best[1])]*10, duration=80, loop=0)
    print(f'{o.output}/final.png: PSNR {-10*np.log10(best[0]):.2f} dB')

if __name__ == '__main__': main()
