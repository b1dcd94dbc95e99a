"""`python tests/cards.py [--missing]`: nbs/images/cards, a picture of 1200 x 630 pixels for each page, which is shown where a link to it is sent. And the site's icon."""
import base64, io, json, re, sys, textwrap
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont

from dsketch_nb.curves import catmull_rom_to_polyline, polyline_edt2
from dsketch_nb.raster import exp, pixel_grid
from dsketch_nb.site import card_of

root = Path(__file__).parent.parent
SIZE, BLUE = (1200, 630), (31, 95, 168)
# Where another picture than the first says more: page -> its number among the page's pictures, or a file.
BEST = {'index': 'images/drawing-still.webp', '13_animation': 1, '20_imageopt': 1}

def font(size, bold=False):
    "The font that comes with matplotlib, so that every machine sets the same."
    return ImageFont.truetype(Path(matplotlib.get_data_path())/'fonts'/'ttf'/f"DejaVuSans{'-Bold' if bold else ''}.ttf", size)

def stroke():
    "A stroke with soft edges, drawn as the package draws it: for pages without a picture."
    points = torch.tensor([[.9, -1.2], [.5, -.8], [-.6, -.2], [.5, .3], [-.5, .7], [-.9, 1.1]])
    ink = exp(polyline_edt2(catmull_rom_to_polyline(points, 24), pixel_grid(460, 520)), .05**2)
    return Image.fromarray(((1 - ink)*255).round().byte().numpy()).convert('RGB')

def picture(page, cells):
    "The picture on a page's card."
    best = BEST.get(page.stem, 0)
    if isinstance(best, str): return Image.open(root/'nbs'/best).convert('RGB')
    shown = [o['data']['image/png'] for c in cells for o in c.get('outputs', []) if 'image/png' in o.get('data', {})]
    if not shown: return stroke()
    im = Image.open(io.BytesIO(base64.b64decode(''.join(shown[min(best, len(shown) - 1)])))).convert('RGBA')
    return Image.alpha_composite(Image.new('RGBA', im.size, 'white'), im).convert('RGB')

def plain(text): return re.sub(r'\$[^$]*\$|[*`]', '', re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', text))

def card(page):
    "Title, promise and a picture."
    cells = json.loads(page.read_text(encoding='utf-8'))['cells']
    first = next(''.join(c['source']) for c in cells if ''.join(c['source']).startswith('# '))
    title, promise = (plain(o) for o in re.match(r'# (.+)\n\n> (.+)', first).groups())
    im = picture(page, cells)
    wide = im.width > 1.6*im.height
    box = (1080, 270) if wide else (480, 480)
    k = min(box[0]/im.width, box[1]/im.height)
    im = im.resize((round(k*im.width), round(k*im.height)), Image.LANCZOS)
    out = Image.new('RGB', SIZE, 'white')
    draw = ImageDraw.Draw(out)
    draw.rectangle([0, 0, SIZE[0], 14], BLUE)
    out.paste(im, (60, 310) if wide else (SIZE[0] - 60 - im.width, 80 + (480 - im.height)//2))
    letters = 46 if wide else 24
    y = 56
    for line in textwrap.wrap(title, letters*3//4 if not wide else 34)[:3]:
        draw.text((60, y), line, 'black', font(52, bold=True))
        y += 64
    for line in textwrap.wrap(promise, letters*4//3)[:3 if wide else 7]:
        draw.text((60, y + 10), line, (70, 70, 70), font(28))
        y += 40
    draw.text((60, 586), 'dsketch_nb: drawing you can differentiate', BLUE, font(22))
    return out.quantize(96, dither=Image.Dither.NONE)

def icon():
    "The letter d as two strokes, 64 x 64."
    ring = torch.stack([.35 + .42*torch.linspace(0, 6.2832, 40).sin(), -.18 + .42*torch.linspace(0, 6.2832, 40).cos()], 1)
    ink = torch.maximum(*(exp(polyline_edt2(o, pixel_grid(64, 64)), .13**2) for o in (ring, torch.tensor([[-.8, .24], [.78, .24]]))))
    paper, blue = torch.ones(3), torch.tensor(BLUE)/255
    return Image.fromarray(((paper + ink[..., None]*(blue - paper))*255).round().byte().numpy())

def pages(): return sorted(p for p in (root/'nbs').rglob('*.ipynb') if not any(o.startswith(('.', '_')) for o in p.relative_to(root).parts))

def main(*args):
    for page in pages():
        path = root/'nbs'/card_of(page.relative_to(root/'nbs').as_posix())
        if '--missing' in args and path.is_file(): continue
        path.parent.mkdir(parents=True, exist_ok=True)
        card(page).save(path, optimize=True)
    if not (root/'nbs/images/favicon.png').is_file() or '--missing' not in args: icon().save(root/'nbs/images/favicon.png', optimize=True)

if __name__ == '__main__': main(*sys.argv[1:])
