"""Reading SVG: every command, shape and unit against resvg, real icons, our own files to the digit, and files that mean harm."""
import gzip, io, json, re, subprocess, sys, textwrap, warnings, zipfile
from collections import Counter
from pathlib import Path
import numpy as np
import pytest
import torch
from PIL import Image
from dsketch_nb import css
from dsketch_nb.scene import Scene
from dsketch_nb.css import LIMITS
from dsketch_nb.svg import read_svg

pytest.importorskip('svgelements'), pytest.importorskip('cssselect2')
resvg_py = pytest.importorskip('resvg_py')

def resvg(svg, width=None):
    a = np.asarray(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=width, dpi=96)))).convert('RGBA')) / 255
    return a[..., :3]*a[..., 3:] + 1 - a[..., 3:]
def psnr(a, b): return -10*np.log10(max(((a - b)**2).mean(), 1e-10))
def raster(s): return np.asarray(s.image().convert('RGB')) / 255

NS = 'xmlns="http://www.w3.org/2000/svg"'
def doc(body, head='width="120" height="80"', style='fill="none" stroke="#123" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"'):
    return f'<svg {NS} xmlns:xlink="http://www.w3.org/1999/xlink" {head}><g {style}>{body}</g></svg>'

def quiet(svg, **kw):
    "Read what loses nothing."
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        s = read_svg(svg, **kw)
    assert s.lost == []
    return s

def loud(svg, **kw):
    "Read what loses something; the scene and what is lost."
    with pytest.warns(UserWarning) as told: s = read_svg(svg, **kw)
    assert len(told) == 1 and '\n' not in str(told[0].message) and s.lost
    return s, [what for _, what in s.lost]


# --- the same picture as another program's

PATHS = {'lines': 'M10 10 30 10 30 30M40 10L60 15l10 20H90h20V60v-5', 'close and go on': 'M10 10h20v20zl-5 40m20 0h30v-20z', 'cubics': 'M10 40C20 10 40 10 50 40S80 70 90 40c5-10 10-10 15 0s-10 20-15 30',
         'quadratics': 'M10 40Q25 5 40 40T70 40q10 30 20 0t20 0', 'arcs': 'M10 40A20 12 30 0 1 40 30a15 15 0 1 0 30 10 10 30 -45 11 20 10', 'flags run together': 'M20 20a9 9 0 0118 0a9 9 0 11-5 9',
         'too small a radius': 'M10 40A1 1 0 0 1 60 40', 'a radius of none': 'M10 10A0 9 0 0 1 60 40', 'exponents': 'M1e1 1.5E+1L.5e2,40-3-2', 'an arc to itself': 'M50 40A5 5 0 1 0 50 40L70 40', 'relative start': 'm10 10 20 0zm50 30 5 5'}
SHAPES = ['<rect x="10" y="10" width="40" height="30"/>', '<rect x="10" y="10" width="60" height="30" rx="8"/>', '<rect x="10" y="10" width="60" height="30" rx="50" ry="5"/>', '<rect width="0" height="30"/><rect width="20" height="30"/>',
          '<circle cx="60" cy="40" r="30"/>', '<ellipse cx="60" cy="40" rx="45" ry="15"/>', '<line x1="5" y1="5" x2="110" y2="70"/>', '<polyline points="10,10 30 50,60,20 100-1e1"/>', '<polygon points="10,10 30,50 60,20"/>',
          '<circle cx="50%" cy="50%" r="20%"/>', '<line x1="10%" x2="90%" y1="20" y2="20"/>', '<line x1="5mm" x2="1in" y1="10pt" y2="2pc"/>', '<path d="M20 20h0M40 40z"/>']
PLACED = ['<g transform="translate(20 10) rotate(20)"><g transform="scale(.5)"><path d="M0 0h100v50"/></g></g>', '<path transform="matrix(.8 .2 -.2 .8 10 5)" d="M10 10h60v40"/>', '<g transform="rotate(30, 60 40)"><circle cx="60" cy="40" r="9"/></g>',
          '<g transform="skewX(0) translate(10)"><path d="M0 9h30"/></g>', '<path transform="scale(-1 1) translate(-120 0)" d="M10 10h60v40"/>',
          '<defs><path id="a" d="M0 0h20v20"/></defs><use href="#a" x="10" y="10"/><use xlink:href="#a" transform="translate(50 10)" stroke="red"/><g stroke="blue"><use href="#a" x="80" y="30"/></g>',
          '<symbol id="s" viewBox="0 0 10 10"><path d="M1 1h8v8" stroke-width="1"/></symbol><use href="#s" x="10" y="10" width="40" height="20"/><use href="#s" x="70" width="40" height="40"/>',
          '<svg x="20" y="10" width="60" height="60" viewBox="0 0 30 10"><path d="M2 2h26v6" stroke-width="2"/></svg>', '<svg x="20" y="10"><path d="M2 2h26v6"/></svg>']
LOOKS = ['<g opacity=".5"><path d="M10 10h90" opacity=".5"/></g>', '<path d="M10 10h90" stroke="rgba(255,0,0,.3)"/>', '<path d="M10 10h90" stroke="hsl(200, 80%, 40%)" stroke-opacity=".4"/>', '<g color="teal"><path d="M10 10h90" stroke="currentColor"/></g>',
         '<path style="stroke:gold;stroke-width:9;stroke-opacity:50%" stroke="red" d="M10 30h90"/>', '<style>.a{stroke:red}#b{stroke:blue !important}path{stroke-width:7} g .c{stroke:lime}</style><path class="a" d="M9 9h9"/><path id="b" class="a" style="stroke:red" d="M9 30h9"/><path class="x c" d="M9 50h9"/>',
         '<path d="M10 10h90" display="none"/><path d="M10 30h90" visibility="hidden"/><g visibility="hidden"><path visibility="visible" d="M10 50h90"/></g>', '<path d="M10 10h90" stroke="none"/><path d="M10 20h90" stroke-width="0"/><path d="M10 30h90"/>', '<g stroke-width="9"><path stroke-width="inherit" stroke="red" d="M10 10h90"/></g>',
         '<a><switch><path systemLanguage="zz" stroke="red" d="M10 10h90"/><path d="M10 30h90"/><path d="M10 60h90"/></switch></a>']

@pytest.mark.parametrize('body', [f'<path d="{d}"/>' for d in PATHS.values()] + SHAPES + PLACED + LOOKS, ids=[*PATHS, *(f'{k}{i}' for k, v in dict(shape=SHAPES, placed=PLACED, looks=LOOKS).items() for i in range(len(v)))])
def test_same_picture(body):
    svg = doc(body)
    s = quiet(svg)
    assert s.size == (80, 120) and len(s)
    assert psnr(resvg(s.to_svg()), resvg(svg)) > 37.5          # resvg's own arcs are off by a tenth of a pixel

@pytest.mark.parametrize('head', ['width="90" height="60" viewBox="0 0 120 80"', 'width="120" height="60" viewBox="-10 -10 100 100"', 'width="120" height="60" viewBox="0 0 100 100" preserveAspectRatio="xMinYMax slice"',
                                  'width="120" height="60" viewBox="0 0 100 100" preserveAspectRatio="none"', 'width="120" height="60" viewBox="0,0,100 100" preserveAspectRatio="xMaxYMid"', 'viewBox="0 0 120 80"', 'width="60" viewBox="0 0 120 80"', 'height="160" viewBox="0 0 120 80"'])
def test_view_box(head):
    svg = doc('<path d="M10 10L90 50M5 5h0"/><circle cx="50" cy="50" r="20"/>', head)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')              # with aspect none, widths differ by direction
        s = read_svg(svg)
    want = resvg(svg)
    assert want.shape[:2] == s.size
    assert psnr(resvg(s.to_svg()), want) > (24 if 'none' in head else 37.5)

def test_units_and_size():
    for unit, px in dict(mm=96/25.4, cm=96/2.54, pt=4/3, pc=16, px=1).items():
        s = quiet(doc('<path d="M0 0L1 1"/>', f'width="{60/px}{unit}" height="{30/px}{unit}" viewBox="0 0 2 1"'))
        assert s.size == (30, 60)
        np.testing.assert_allclose(s.strokes()[0].path, [[0, 0], [30, 30]], atol=1e-4)
    svg = doc('<path d="M0 0L120 80"/>')
    for size, want, far in (60, (40, 60), [60, 40]), ((40, 100), (40, 100), [80, 40]), ((200, 60), (200, 60), [60, 120]), (None, (80, 120), [120, 80]):
        s = quiet(svg, size=size)
        assert s.size == want
        np.testing.assert_allclose(s.strokes()[0].path[1], far, atol=1e-3)
    for bad in (0, -3, 2.5, (3,), (0, 5), 'big', True and (1, 2, 3)):
        with pytest.raises(ValueError, match='size'): read_svg(svg, size=bad)

def test_width_is_equal_area():
    s = quiet(doc('<path d="M10 10h90M50 50h0"/>'))
    line, dot = s.strokes()
    assert abs(line.sigma*np.sqrt(np.pi) - 3) < 1e-5 and abs(dot.sigma*2 - 3) < 1e-5 and dot.point and not line.point

def test_copies_harden_the_edge():
    svg = doc('<path d="M10 10L90 50"/><circle cx="60" cy="40" r="20"/>', style='fill="none" stroke="#000" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"')
    got = [psnr(raster(quiet(svg, copies=n)), resvg(svg)) for n in (1, 2, 3)]
    assert got[1] > got[0] + 4 and got[2] > got[0] + 6 and len(quiet(svg, copies=3)) == 6
    for bad in (0, 1.5, 100):
        with pytest.raises(ValueError, match='copies'): read_svg(svg, copies=bad)

def test_steady_width():
    "Not scaled with its coordinates, and even where they are stretched (resvg does not know it)."
    s = quiet(doc('<g transform="scale(3 1)"><path vector-effect="non-scaling-stroke" d="M5 10h20v50"/></g>'))
    assert abs(s.strokes()[0].sigma*np.sqrt(np.pi) - 3) < 1e-5 and np.allclose(s.strokes()[0].path, [[15, 10], [75, 10], [75, 60]], atol=1e-4)

def test_paper_is_the_first_rectangle_over_all():
    full = '<rect width="100%" height="100%" fill="#abc"/>'
    assert np.allclose(quiet(doc(full + '<path d="M0 0h9" stroke="red"/>', style='stroke-linecap="round"')).paper, np.array([0xaa, 0xbb, 0xcc])/255)
    assert quiet(doc('<path d="M0 0h9"/>')).paper == (1, 1, 1)
    for body in ('<path d="M0 0h9" stroke="red"/>' + full, '<rect width="50%" height="100%" fill="red"/>', '<rect width="100%" height="100%" opacity=".5"/>', '<rect width="300" height="300" x="-150" transform="rotate(45)"/>'):
        s, lost = loud(doc(body, style='stroke-linecap="round"'))
        assert s.paper == (1, 1, 1) and lost == ['fill left out']


# --- what cannot be shown is named

@pytest.mark.parametrize('body,what', [
    ('<circle r="9" fill="red"/>', 'fill left out'), ('<path d="M0 0h9v9" stroke="red"/>', 'fill left out'), ('<text>hi</text>', 'text left out'), ('<image href="x.png" width="9" height="9"/>', 'image left out'),
    ('<foreignObject/>', 'foreignObject left out'), ('<path d="M0 0h9" stroke="red" stroke-dasharray="2 1"/>', 'dashes, drawn through'), ('<path d="M0 0h9" stroke="red" filter="url(#f)"/>', 'a filter left out'),
    ('<g clip-path="url(#c)"><path d="M0 0h9" stroke="red"/></g>', 'a clip left out'), ('<path d="M0 0h9" stroke="red" mask="url(#c)"/>', 'a mask left out'), ('<path d="M0 0h9" stroke="red" marker-end="url(#c)"/>', 'markers left out'),
    ('<path d="M0 0h9" stroke="red" stroke-linecap="butt"/>', 'butt caps, drawn round'), ('<path d="M0 0h9" stroke="red" stroke-linecap="square"/>', 'square caps, drawn round'), ('<path fill="none" d="M0 0h9v9" stroke="red" stroke-linejoin="miter"/>', 'miter joins, drawn round'),
    ('<rect fill="none" width="9" height="9" stroke="red" stroke-linejoin="bevel"/>', 'bevel joins, drawn round'), ('<path d="M0 0h9" stroke="url(#none)"/>', 'stroke url(#none), drawn in no colour: left out'),
    ('<linearGradient id="g"><stop stop-color="red"/><stop stop-color="blue"/></linearGradient><path d="M0 0h9" stroke="url(#g)"/>', 'stroke url(#g), drawn in its mean colour'), ('<path d="M0 0h9" stroke="url(#none) red"/>', 'stroke url(#none) red, drawn in its fallback colour'),
    ('<path d="M0 0h9" stroke="blurple"/>', "stroke left out: 'blurple' is no colour"), ('<g opacity=".5"><path d="M0 0h9" stroke="red"/><path d="M0 0v9" stroke="red"/></g>', "a group's opacity, given to each of its strokes"),
    ('<path d="M0 0h9" stroke="red" style="mix-blend-mode:screen"/>', 'the blend mode screen left out'), ('<path d="M0 0h9" stroke="red" style="mix-blend-mode:multiply"/><path d="M0 0h9" stroke="red"/>', 'the blend mode multiply of some strokes left out'),
    ('<path d="M0 0h9" stroke="red" transform="scale(3 1)"/>', 'a width that differs by direction, drawn evenly'), ('<use href="#nobody"/>', "'#nobody' left out: there is no such element"), ('<use href="other.svg#x"/>', "'other.svg#x' left out: it is another file, and none is ever fetched"),
    ('<path d="M0 0h9" stroke="red"><animate attributeName="d"/></path>', 'an animation, drawn as it starts'), ('<animate attributeName="d"/>', 'an animation, drawn as it starts'), ('<script>alert(1)</script>', 'script left out'), ('<style>@import "x.css";</style>', '@import rules'),
    ('<style>path:hover{stroke:red}</style>', 'the selector path:hover left out'), ('<style>@media print{path{stroke:red}}</style>', '@media rules')])
def test_named(body, what):
    svg = doc(body, style='stroke-linecap="round" stroke-linejoin="round"')
    s, lost = loud(svg)
    assert lost == [what]
    s.draw(), s.to_svg()

def test_names_elements():
    with pytest.warns(UserWarning, match=r'SVG: fill left out \(2\), text left out; see .lost'):
        s = read_svg(doc('<circle id="sun" r="9" fill="red"/><g><rect width="9" height="9" fill="red"/></g><text id="hello"/>'))
    assert s.lost == [('circle #sun', 'fill left out'), ('rect 4', 'fill left out'), ('text #hello', 'text left out')]

def test_gradient_is_its_mean():
    body = '<linearGradient id="a"><stop stop-color="#f00"/><stop stop-color="#00f" stop-opacity=".5"/></linearGradient><linearGradient id="b" xlink:href="#a"/><path d="M0 0h9" stroke="url(#b)"/>'
    s, _ = loud(doc(body))
    assert s.strokes()[0].colour == (.5, 0, .5) and s.strokes()[0].alpha == .75

def test_a_gradient_without_any_paint_is_named():
    s, said = loud(doc('<linearGradient id="a"><stop stop-color="none"/></linearGradient><path id="p" d="M0 0h9" stroke="url(#a)"/>'))
    assert not len(s.strokes()) and 'unpack' not in str(said)

def test_the_height_of_a_tree_is_measured_once():
    seen = []
    with pytest.MonkeyPatch.context() as m:
        m.setattr(css, '_height', lambda root: seen.append(root) or 3)
        read_svg(doc('<style>' + 'a b{x:1}'*50 + '</style><path stroke="red" d="M0 0h9"/>'))
    assert len(seen) == 1

def test_outline():
    svg = doc('<circle cx="60" cy="40" r="30" fill="red"/><rect width="9" height="9" fill="#00f" stroke="lime"/>', style='stroke-linejoin="round"')
    s, lost = loud(svg, outline=2.)
    assert lost == ['fill, drawn as its outline', 'fill left out'] and [k.colour for k in s.strokes()] == [(1, 0, 0), (0, 1, 0)]
    assert abs(s.strokes()[0].sigma*np.sqrt(np.pi) - 2) < 1e-5
    for bad in (0, -1, float('nan')):
        with pytest.raises(ValueError, match='outline'): read_svg(svg, outline=bad)

def test_ink_and_paint():
    body = '<path d="M0 0h9" stroke="red"/><path d="M0 9h9" stroke="red" stroke-opacity=".5"/>'
    assert quiet(doc(body)).compose == 'paint'
    s = quiet(doc(body, style='style="mix-blend-mode:multiply" stroke-linecap="round"'))
    assert s.compose == 'ink' and [k.alpha for k in s.strokes()] == [1, .5]


# --- real icons

def lucide():
    import lucide
    with zipfile.ZipFile(Path(lucide.__file__).with_name('lucide.zip')) as z: return {k: z.read(k).decode() for k in sorted(z.namelist()) if k.endswith('.svg')}

def jupyterlab():
    "The icons that lie as texts in JupyterLab's program."
    jupyterlab = pytest.importorskip('jupyterlab')
    found = {}
    for f in sorted((Path(jupyterlab.__file__).parent/'static').glob('*.js')):
        text, at = f.read_text(encoding='utf-8'), 0
        while (at := text.find('<svg', at)) >= 0:
            end = text.find('</svg>', at)
            quote = text[at-1]
            if quote in '"\'`' and end > 0 and quote not in (svg := text[at:end+6]).replace('\\' + quote, ''): found[f'{f.name} {at}'] = svg.replace('\\' + quote, quote).replace('\\n', '\n').replace('\\t', ' ')
            at += 4
    return {k: v for k, v in found.items() if 'xmlns=' in v}

def matplotlib():
    import matplotlib
    return {f.name: f.read_text(encoding='utf-8') for f in sorted((Path(matplotlib.__file__).parent/'mpl-data'/'images').glob('*.svg'))}

@pytest.mark.filterwarnings('ignore')
def test_stroked_icons():
    pytest.importorskip('lucide')
    icons = list(lucide().values())[::12]
    assert len(icons) > 100
    file, soft, hard, lost = [], [], [], Counter()
    for svg in icons:
        s, want = read_svg(svg), resvg(svg)
        assert len(s)
        lost.update(what for _, what in s.lost)
        file.append(psnr(resvg(s.to_svg()), want)), soft.append(psnr(raster(s), want)), hard.append(psnr(raster(read_svg(svg, copies=3)), want))
    assert np.median(file) > 40 and min(file) > 28, (np.median(file), min(file))
    assert np.median(hard) > 28 and np.median(soft) > 19, (np.median(hard), np.median(soft))
    assert set(lost) == {'fill left out'}

@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('source', [jupyterlab, matplotlib])
def test_filled_icons(source):
    "None crashes; what is not drawn is named; outlined, each shows something."
    icons = source()
    assert len(icons) >= (40 if source is jupyterlab else 15)
    for name, svg in icons.items():
        s = read_svg(svg)
        if resvg(svg).min() == 1: continue                  # one of them shows nothing anywhere
        assert len(s) or s.lost, name
        s = read_svg(svg, 32, outline=1.)
        assert len(s) and s.draw().min() < .9 and np.isfinite(raster(s)).all(), name


# --- our own files

def params(kind, n, k, g, scale=1.): return (torch.rand(n, k, 2, generator=g)*2 - 1)*scale

@pytest.mark.parametrize('size', [(90, 140), (300, 400), (7, 1), (1, 1)])
@pytest.mark.parametrize('compose', ['ink', 'paint', 'softor'])
def test_round_trip_to_the_digit(compose, size, tmp_path):
    g, s = torch.Generator().manual_seed(1), Scene(*size, compose, '#f4ecd8')
    for kind, k in dict(segments=2, points=1, polylines=4, beziers=7, catmull_roms=5).items():
        sigma2 = (s.pitch*torch.empty(30).uniform_(.2, 3., generator=g))**2
        s.add(kind, params(kind, 30, k, g), None if compose == 'softor' else torch.rand(30, 3, generator=g), sigma2, torch.rand(30, generator=g))
    s.save_svg(tmp_path/'a.svg')
    for source in (tmp_path/'a.svg', str(tmp_path/'a.svg'), s.to_svg(), s.to_svg().encode()):
        t = quiet(source)
        assert t.to_svg() == s.to_svg()
    assert t.size == s.size and t.compose == ('paint' if compose == 'paint' else 'ink') and np.allclose(t.paper, s.paper, atol=.002)
    assert [g.kind for g in t.groups if len(g)] == (['segments', 'points', 'polylines', 'beziers'] if compose == 'paint' else ['beziers', 'points', 'polylines', 'segments'])

def test_round_trip_keeps_the_picture():
    "What the file rounds is all that changes."
    g, s = torch.Generator().manual_seed(1), Scene(60, 80, 'paint', '#f4ecd8')
    s.add('segments', params('segments', 50, 2, g), torch.rand(50, 3, generator=g), (s.pitch*torch.empty(50).uniform_(1, 3., generator=g))**2, torch.rand(50, generator=g))
    t = quiet(s.to_svg())
    a, b = s.groups[0], t.groups[0]
    assert (a.params - b.params).abs().max() < .002*s.pitch and (a.colour - b.colour).abs().max() < .003 and (a.alpha - b.alpha).abs().max() < .002
    assert (a.sigma2.sqrt() - b.sigma2.sqrt()).abs().max() < .002*s.pitch and (t.draw() - s.draw()).abs().max() < .01

def test_what_is_read_learns():
    "In a fresh process, from_svg is there after importing svg, and what it reads learns."
    done = subprocess.run([sys.executable, '-W', 'error::UserWarning', '-c', "from dsketch_nb.scene import Scene; import dsketch_nb.svg; s = Scene.from_svg('''" + doc('<path d="M9 9h60"/>') + "''', 60); s.draw().mean().backward(); print(s, s.groups[0].params.grad.abs().sum() > 0)"], capture_output=True, text=True)
    assert done.stdout.strip() == 'Scene(40 x 60, paint on #ffffff: 1 segments) tensor(True)', done.stderr


# --- what is refused, and what is left out and named

@pytest.mark.parametrize('bad,message', [
    ('nowhere.svg', 'no file nowhere.svg'), ('', 'no file'), ('x'*5000, 'no file|cannot be read'), ('a\0b', 'no file|cannot be read'), (Path(__file__).parent, 'no file'),
    ('<svg', 'no well-formed XML'), ('<html/>', 'its root is <html>'), (b'\x89PNG\r\n\x1a\n', 'no well-formed XML'), (b'', 'no well-formed XML'),
    (b'\x1f\x8b\x08', 'damaged .svgz|ends too early'), (gzip.compress(b'<svg/>')[:-9], 'ends too early'), (gzip.compress(b'<svg/>')[:12] + b'xx', 'damaged|too early'), (gzip.compress(b'<html/>'), 'its root is <html>'),
    (b'<?xml version="1.0" encoding="klingon"?><svg/>', "encoding 'klingon' is not known"), (b'<?xml version="1.0" encoding="zip"?><svg/>', 'is not known'), (b'<?xml version="1.0" encoding="Shift_JIS"?><svg id="\x82"/>', 'no well-formed XML'),
    (doc('', 'width="0" height="5"'), '0 x 5 pixels'), (doc('', 'width="-1" height="5"'), 'above 0'), (doc('', 'width="1e9" height="5"'), 'at most 16,384 a side')])
def test_refused(bad, message):
    "No SVG, or none that could be shown: an error in one line."
    with pytest.raises((ValueError, OSError), match=message) as e: read_svg(bad)
    assert '\n' not in str(e.value) and len(str(e.value)) < 400

GOOD = '<path d="M9 20h80"/>'
FAULTY = [('<path d="M NaN 3"/>', "path 3: path data holds 'M NaN 3'"), ('<path id="p" d="M1 1L2"/>', 'path #p: path data'), ('<path d="L1 1 2 2"/>', "path data holds 'L1 1 2 2'"), ('<path d="M1e999 1L2 2"/>', 'pixels away'),
    ('<path d="M1 1h"/>', "path data holds 'h'"), ('<path d="M0 0A1e-300 1 0 1 1 3 3"/>', 'path 3'), ('<path d="M1 1 5 5 x"/>', "path data holds 'x'"), ('<path d="M1 1L5 5 6"/>', "path data holds"), ('<circle r="NaN"/>', "circle 3: r: 'NaN' is no length"), ('<circle r="3 parsec"/>', 'no length'),
    ('<path d="M0 0h9" stroke-width="-3"/>', 'stroke-width'), ('<path d="M0 0h9" stroke-width="inf"/>', 'no length'), ('<path d="M0 0h9" stroke-width="4px;"/>', 'no length'), ('<path d="M0 0h9" stroke-width=""/>', 'no length'), ('<path d="M0 0h9" opacity="abc"/>', 'opacity'),
    ('<path d="M0 0h9" style="opacity:abc"/>', 'opacity'), ('<path d="M0 0h9" stroke="blurple"/>', 'no colour'), ('<path d="M0 0h9" stroke-linecap="pointy"/>', 'stroke-linecap'), ('<path d="M0 0h9" font-size="huge"/>', 'font-size'),
    ('<g transform="rotate(NaN)"><path d="M0 0h9"/></g>', "g 3: transform: 'rotate.NaN.' is no transform"), ('<g transform="scale(1e300) scale(1e300)"><path d="M0 0h9"/></g>', 'transform'), ('<path d="M0 0h9" transform="rotate(9"/>', 'transform'), ('<path d="M0 0h9" style="transform:translate(9,9)"/>', 'transform'),
    ('<path d="M0 0h9" style="rotate:left"/>', 'rotate'), ('<path d="M0 0h9" transform="scale(1)" transform-origin="x y"/>', 'transform-origin'), ('<polyline points="1,2 x"/>', "polyline 3: points holds 'x'"), ('<polyline points="1,2 3"/>', 'odd number'),
    ('<svg viewBox="0 0 100px 100px"><path d="M0 0h9"/></svg>', 'viewBox'), ('<svg width="x"><path d="M9 9h9"/></svg>', 'width'), ('<g id="a"><use href="#a"/></g>', 'uses itself'), ('<path d="M0 0L1e30 9"/>', 'pixels away'), ('<path d="M0 0h9" stroke-width="1e308"/>', 'stroke-width')]

@pytest.mark.parametrize('body,message', FAULTY)
def test_one_fault_is_named_and_the_rest_is_drawn(body, message):
    "Lenient: the good path is there, and what is wrong stands in `.lost`; strict: an error that names element and value."
    svg = doc(GOOD + body)
    s, lost = loud(svg)
    assert [[9, 20], [89, 20]] in [np.round(k.path).tolist() for k in s.strokes()] and len(lost) >= 1
    with pytest.raises(ValueError, match=message) as e: read_svg(svg, strict=True)
    assert '\n' not in str(e.value) and len(str(e.value)) < 400
    alone = doc(body)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert [k.path for k in read_svg(alone).strokes()] == [k.path for k in s.strokes()][1:]

@pytest.mark.parametrize('head,size', [('width="abc" height="" viewBox="0 0 90 60"', (60, 90)), ('width="NaN" height="5"', (5, 300)), ('width="90" height="60" viewBox="0 0 0 9"', (60, 90)), ('width="90" height="60" viewBox="0 0 9"', (60, 90)), ('width="" viewBox="0 0 90 60"', (60, 90))])
def test_a_bad_size_is_named(head, size):
    s, lost = loud(doc(GOOD, head))
    assert s.size == size and len(s) == 1
    with pytest.raises(ValueError, match='svg 0'): read_svg(doc(GOOD, head), strict=True)

def test_refused_type():
    with pytest.raises(TypeError, match='int'): read_svg(7)

# Each runs in a process of its own that may take this much; `text` is built there
START = f'<svg {NS} width="24" height="24" stroke="red">'
HOSTILE = {
    'entities of entities': ("'<!DOCTYPE svg [<!ENTITY a0 \"ha\">' + ''.join(f'<!ENTITY a{i+1} \"' + f'&a{i};'*10 + '\">' for i in range(12)) + ']>' + START + '<text>&a12;</text></svg>'", 'defines the entity'),
    'one large entity': ("'<!DOCTYPE svg [<!ENTITY a \"' + 'x'*100000 + '\">]>' + START + '&a;'*100000 + '</svg>'", 'defines the entity'),
    'entities in parameters': ("'<!DOCTYPE svg [<!ENTITY % a \"<!ENTITY b SYSTEM \\'file:///etc/passwd\\'>\"> %a;]>' + START + '&b;</svg>'", 'defines the entity'),
    'a file of the disk': ("'<!DOCTYPE svg [<!ENTITY a SYSTEM \"' + secret.as_uri() + '\">]>' + START + '<text>&a;</text></svg>'", 'defines the entity'),
    'an undefined entity': ("START + '&nbsp;</svg>'", 'no well-formed XML'),
    'a use of itself': ("START + '<g id=\"a\"><use href=\"#a\"/></g></svg>'", 'uses itself'),
    'a use in a circle': ("START + ''.join(f'<g id=\"g{i}\"><use href=\"#g{(i+1)%50}\"/></g>' for i in range(50)) + '</svg>'", 'uses itself'),
    'uses that double': ("START + '<path id=\"g0\" d=\"M0 0h9\"/>' + ''.join(f'<g id=\"g{i+1}\"><use href=\"#g{i}\"/><use href=\"#g{i}\"/></g>' for i in range(60)) + '</svg>'", 'number of elements'),
    'uses of many': ("START + '<g id=\"a\">' + '<path d=\"M0 0h9\"/>'*1000 + '</g>' + '<use href=\"#a\"/>'*1000 + '</svg>'", 'number of elements'),
    'a deep chain of uses': ("START + '<path id=\"g0\" d=\"M0 0h9\"/>' + ''.join(f'<use id=\"g{i+1}\" href=\"#g{i}\"/>' for i in range(5000)) + '</svg>'", 'nesting of elements|number of elements'),
    'deep nesting': ("START + '<g>'*1000000 + '</g>'*1000000 + '</svg>'", 'nesting of elements'),
    'a million elements': ("START + '<path d=\"M0 0h9\"/>'*1000000 + '</svg>'", 'number of elements'),
    'a million nodes': ("START + '<path d=\"M' + '1 2 '*1000000 + '\"/></svg>'", 'number of coordinates'),
    'a million curves': ("START + '<path d=\"M0 0' + 'c1 2 3 4 5 6 '*1000000 + '\"/></svg>'", 'number of coordinates'),
    'a hundred megabytes': ("START + ' '*100000000 + '</svg>'", 'number of bytes'),
    'rules by elements': ("START + '<style>' + ''.join(f'*{{x:{i}}}' for i in range(1900)) + '</style>' + '<path d=\"M0 0h9\"/>'*9000 + '</svg>'", 'style rules'),
    'a selector of many ancestors': ("START + '<style>' + 'g '*14 + 'rect{stroke:red}</style>' + '<g>'*150 + '<path d=\"M0 0h9\"/>'*100 + '</g>'*150 + '</svg>'", 'style rules'),
    'brackets in a style': ("START + '<path style=\"stroke:' + '('*100000 + '\" d=\"M0 0h9\"/></svg>'", 'brackets inside each other'),
    'a colour that backtracks': ("START + '<path stroke-linecap=\"square\" stroke=\"var(--a,' + '('*50000 + '\" d=\"M0 0h9\"/></svg>'", 'square caps'),
    'digits that backtrack': ("START + '<path d=\"M' + '1'*200000 + 'x\"/></svg>'", 'path data holds'),
    'a number of many digits': ("START + '<path d=\"M0 0L' + '1'*200000 + ' 1 1\"/></svg>'", 'path'),
    'a transform that backtracks': ("START + '<g transform=\"' + 'translate(1) '*700 + 'x\"><path d=\"M0 0h9\"/></g></svg>'", 'transform'),
    'spaces that backtrack': ("START + '<g transform=\"translate(' + ' '*9000 + 'x)\"><path d=\"M0 0h9\"/></g></svg>'", 'transform'),
    'coordinates beyond all': ("START + '<path d=\"M0 0L1e30 9\"/></svg>'", 'pixels away'),
    'a width beyond all': ("START + '<path stroke-width=\"1e308\" d=\"M0 0h9\"/></svg>'", 'stroke-width'),
    'a giant canvas': (f"'<svg {NS} width=\"1e12\" height=\"1e12\"/>'", 'at most 16,384'),
    'a giant viewBox': (f"'<svg {NS} viewBox=\"0 0 1e300 1e300\"/>'", 'at most 16,384'),
    'a tiny viewBox': (f"'<svg {NS} width=\"9\" height=\"9\" viewBox=\"0 0 1e-300 1e-300\"><path stroke=\"red\" d=\"M0 0h9\"/></svg>'", 'stroke-width'),
    'gradients in a circle': ("START + '<linearGradient id=\"a\" href=\"#b\"/><linearGradient id=\"b\" href=\"#a\"/><path d=\"M0 0h9\" stroke=\"url(#a)\"/></svg>'", 'left out')}

CELL = textwrap.dedent("""
    import encodings.idna, json, os, resource, sys, time, warnings
    from pathlib import Path
    from dsketch_nb.svg import read_svg
    import numpy, torch, svgelements, cssselect2, tinycss2, tinycss2.color4
    START, secret = sys.argv[1], Path(sys.argv[2])
    read_svg(START + '<style>g{x:1}</style><path stroke-linecap="round" transform="scale(1)" d="M0 0a1 1 0 0 1 1 1"/></svg>')      # what is loaded on use is loaded
    def watch(event, args):
        if event.startswith('socket.') or event == 'open' and 'site-packages' not in str(args[0]): print('TOUCHED', event, args[0], flush=True)
    def child(build):
        svg = eval(build, globals())
        statm = Path('/proc/self/statm')
        if statm.exists(): resource.setrlimit(resource.RLIMIT_AS, (int(statm.read_text().split()[0])*resource.getpagesize() + 500*2**20,)*2)
        resource.setrlimit(resource.RLIMIT_CPU, (60,)*2)
        sys.addaudithook(watch)
        warnings.simplefilter('error')
        try: read_svg(svg); print('nothing was wrong', flush=True)
        except (ValueError, UserWarning) as e: print(str(e), flush=True)
        os._exit(0)
    for name, build in json.loads(sys.stdin.read()).items():
        print(json.dumps(name), flush=True)
        if not (pid := os.fork()): child(build)
        print('exit', os.waitpid(pid, 0)[1], flush=True)
""")

@pytest.fixture(scope='module')
def answers(tmp_path_factory):
    "What each hostile text led to, in a process of its own with little memory and time, forked from one that has loaded everything."
    if not hasattr(__import__('os'), 'fork'): pytest.skip('needs fork')
    secret = tmp_path_factory.mktemp('hostile')/'secret.txt'
    secret.write_text('the secret')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', CELL, START, secret], input=json.dumps({k: b for k, (b, _) in HOSTILE.items()}), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]
    out, name = {}, None
    for line in done.stdout.splitlines():
        if line.startswith('"'): name = json.loads(line); out[name] = []
        else: out[name].append(line)
    return out

@pytest.mark.parametrize('name', HOSTILE)
def test_hostile(name, answers):
    "One clear line within 500 MB more and a minute, and no socket or file is opened."
    *lines, exit = answers[name]
    assert exit == 'exit 0' and len(lines) == 1 and re.search(HOSTILE[name][1], lines[0]), (exit, lines)
    assert 'the secret' not in lines[0] and len(lines[0]) < 500

def test_names_without_fetching():
    "References to elsewhere are named, and nothing is opened."
    body = '<image href="http://127.0.0.1:9/x.png"/><use href="http://127.0.0.1:9/x.svg#a"/><style>@import url(http://127.0.0.1:9/x.css);</style><path d="M0 0h9" stroke="url(http://127.0.0.1:9/x.svg#g) red"/>'
    s, lost = loud('<?xml-stylesheet href="http://127.0.0.1:9/x.css"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://127.0.0.1:9/svg11.dtd">' + doc(body))
    assert len(s) == 1 and [what.split(' left out')[0].split(',')[0] for what in lost] == ['left out: it is another file', '@import rules', 'image', "'http://127.0.0.1:9/x.svg#a'", 'stroke url(http://127.0.0.1:9/x.svg#g) red']

def test_limits_can_be_raised(monkeypatch):
    svg = doc('<path d="M0 0h9"/>'*30)
    monkeypatch.setitem(LIMITS, 'elements', 20)
    with pytest.raises(ValueError, match=r"exceeds 20: .*LIMITS\['elements'\]"): read_svg(svg)
    monkeypatch.setitem(LIMITS, 'elements', 40)
    assert len(quiet(svg)) == 30

def test_says_what_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, 'svgelements', None)
    with pytest.raises(ImportError, match="svgelements is not installed.*pip install 'dsketch_nb"): read_svg(doc(''))
