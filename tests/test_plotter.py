"""Lines for a pen: nothing is lost on the way, and the way is short."""
import itertools, xml.etree.ElementTree as ET

import numpy as np, pytest, torch
from hypothesis import given, settings, strategies as st

from dsketch_nb.plotter import joined, ordered, pen_lines, pen_travel, plot_svg
from dsketch_nb.scene import Scene

def same(a, b): return sorted(tuple(sorted(map(tuple, p))) for p in a) == sorted(tuple(sorted(map(tuple, p))) for p in b)

@given(st.integers(0, 40), st.integers(0, 99), st.booleans())
@settings(max_examples=60, deadline=None)
def test_order_keeps_every_line_and_is_not_longer(n, seed, coarse):
    rng = np.random.default_rng(seed)
    lines = [rng.uniform(0, 10, (rng.integers(1, 5), 2)) for _ in range(n)]
    if coarse: lines = [p.round() for p in lines]                                 # many ends coincide
    out = ordered(lines)
    assert same(out, lines) and pen_travel(out).up <= pen_travel(lines).up + 1e-9
    for within in (0, .5, 100.):
        j = joined(out, within)
        assert sum(map(len, j)) == sum(map(len, lines)) and pen_travel(j).up <= pen_travel(out).up + 1e-9
    assert len(joined(out, 100.)) == min(n, 1)

def test_as_good_as_trying_everything():
    rng, worse = np.random.default_rng(0), []
    for _ in range(10):
        lines = list(rng.uniform(0, 10, (4, 2, 2)))
        all_ways = ([p[::-1] if f else p for p, f in zip(o, flips)] for o in itertools.permutations(lines) for flips in itertools.product((0, 1), repeat=4))
        worse.append(pen_travel(ordered(lines)).up / min(pen_travel(w).up for w in all_ways))
    assert max(worse) < 1.35 and np.mean(worse) < 1.05

def test_the_file_shows_the_strokes():
    resvg = pytest.importorskip('resvg_py')
    import io
    from PIL import Image
    torch.manual_seed(1)
    pen = .8                                                                       # mm, on 100 mm: 1.6 pixels of 200
    scene = Scene(150, 200).add('segments', torch.rand(40, 2, 2)*1.8 - .9, sigma2=(1.6/np.pi**.5*2/149)**2).add('beziers', torch.rand(5, 4, 2)*1.8 - .9, sigma2=(1.6/np.pi**.5*2/149)**2)
    svg = plot_svg(scene, 100, pen=pen)
    assert ET.fromstring(svg).get('height') == '75.000mm'
    png = bytes(resvg.svg_to_bytes(svg_string=svg.replace('100mm', '800').replace('75.000mm', '600'), background='white'))
    a = np.asarray(Image.open(io.BytesIO(png)).convert('L').resize((200, 150), Image.BOX))/255
    with torch.no_grad(): b = scene.draw()[0].numpy()
    assert -10*np.log10(np.square(a - b).mean()) > 25

def test_pens_and_what_is_too_faint():
    scene = Scene(10, 10).add('points', [[[0., 0.]], [[.5, .5]], [[.2, .2]]], ['#101010', '#f00000', 'black'], alpha=[1., 1., .05])
    assert {k: len(v) for k, v in pen_lines(scene, ('black', 'red', 'blue')).items()} == {'black': 1, 'red': 1, 'blue': 0}
    for bad, what in ((dict(pens=()), 'pens'), (dict(pen=-1.), 'pen -1'), (dict(plot_width=float('nan')), 'plot_width nan'), (dict(pens=('blak',)), 'blak'), (dict(chord_error=0.), 'chord_error 0')):
        with pytest.raises(ValueError, match=what): plot_svg(scene, **bad)
    assert '<path' not in plot_svg(Scene(3, 3))
