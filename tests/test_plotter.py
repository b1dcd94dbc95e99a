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

# --- what a plotter's own program reads

def sheet(body, more='width="100" height="100"'):
    import warnings
    from dsketch_nb.svg import read_svg
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return read_svg(f'<svg xmlns="http://www.w3.org/2000/svg" {more} fill="none" stroke="black" stroke-width="4" stroke-linecap="round" stroke-linejoin="round">{body}</svg>')

def told(scene, **kw):
    "A plot's paths [K, 2] in mm by pen, and what was said."
    import warnings
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        root = ET.fromstring(plot_svg(scene, **kw))
    def points(d):
        x, _, h = d[1:].partition('h')
        p = np.array(x.split(), float).reshape(-1, 2)
        return np.r_[p, p[-1:] + [[float(h), 0]]] if h else p
    return {g.get('stroke'): [points(p.get('d')) for p in g] for g in root}, [str(w.message) for w in said]

def off(curve, line):
    a, m = line[:-1], np.diff(line, axis=0)
    far = lambda p: np.hypot(*(a + np.clip(((p - a)*m).sum(1)/(m*m).sum(1), 0, 1)[:, None]*m - p).T).min()
    return max(map(far, curve))

@pytest.mark.parametrize('width', [20, 200, 1000])
def test_chords_are_near_the_curve_at_any_size(width):
    (line,), _ = told(sheet('<path d="M5 95C5 -70 95 170 95 5"/>'), plot_width=width)[0]['black'], 0
    c, u = np.array([[5, 95], [5, -70], [95, 170], [95, 5]])*width/100, np.linspace(0, 1, 501)[:, None]
    curve = (1-u)**3*c[0] + 3*(1-u)**2*u*c[1] + 3*(1-u)*u*u*c[2] + u**3*c[3]
    assert off(curve, line) < .05

def test_nothing_leaves_the_sheet_and_nothing_is_drawn_in_white():
    plot, said = told(sheet('<path d="M-200 50H300"/><path d="M50 -20V-5"/><path stroke="white" d="M9 9h50"/><path d="M100 30h0M130 3h0"/>'))
    xy = np.concatenate(plot['black'])
    assert xy.min() >= 0 and xy.max() <= 180 and len(plot['black']) == 2
    assert "1 stroke in the paper's colour left out" in said[0] and 'cut at the edge' in said[0]

def test_an_edge_is_drawn_once():
    plot, _ = told(sheet('<path d="M.5 10V90V20V80M.5 60V95"/>'), pen=.01)
    assert abs(sum(np.abs(np.diff(p, axis=0)).sum() for p in plot['black']) - 85*1.8) < .01

def test_covered_lines_are_left_out_if_asked():
    pytest.importorskip('shapely')
    body = '<path stroke-width="20" d="M10 50H90"/><path stroke="white" stroke-width="10" d="M50 10V90"/>'
    for hide, length in (False, 80*1.8), (True, 70*1.8):
        plot, _ = told(sheet(body), hide=hide, order=False)
        assert abs(sum(np.abs(np.diff(p, axis=0)).sum() for p in plot['black']) - length) < .1

@pytest.mark.parametrize('pen', ['hsv(0,100%,50%)', 'hsl(0,100%,25%)', '#800000', 'maroon', 'rgb(128,0,0)'])
def test_pens_are_colours_that_every_program_reads(pen):
    plot, _ = told(sheet('<path d="M9 9h9"/>'), pens=(pen,))
    assert list(plot) in (['#800000'], ['maroon'], ['#7f0000'])

def test_idle_pens_are_named():
    assert 'nothing for the pens crimson, teal' in told(sheet('<path d="M9 9h9"/>'), pens=('black', 'crimson', 'teal'))[1][0]
    assert told(sheet('<path d="M9 9h9"/>'))[1] == []

def test_the_work_of_ordering_grows_little_faster_than_the_lines():
    "Distances asked of the trees, counted: four times the lines are at most six times the work."
    from dsketch_nb import plotter
    counts = []
    for n in (500, 2000):
        rng, asked = np.random.default_rng(0), [0]
        class Counted(plotter.cKDTree):
            def query(self, x, k=1, **kw):
                asked[0] += np.asarray(x).size//2*int(np.max(k))
                return super().query(x, k, **kw)
        with pytest.MonkeyPatch.context() as m:
            m.setattr(plotter, 'cKDTree', Counted)
            a = rng.uniform(0, 100, (n, 2))
            plotter._greedy(a, a + rng.normal(0, 3, (n, 2)))
        counts.append(asked[0])
    assert counts[1] < 6*counts[0], counts

def test_vpype_reads_every_path_and_orders_no_better(tmp_path):
    vpype = pytest.importorskip('vpype')
    from dsketch_nb.plotter import save_plot
    torch.manual_seed(0)
    scene = Scene(100, 150).add('segments', torch.rand(300, 2, 2)*1.2 - .6, sigma2=1e-4).add('points', torch.rand(20, 1, 2)*1.2 - .6, sigma2=1e-4).add('beziers', torch.rand(30, 4, 2)*1.2 - .6, sigma2=1e-4)
    save_plot(scene, tmp_path/'a.svg', plot_width=150., pen=1e-3)
    read = vpype.read_multilayer_svg(str(tmp_path/'a.svg'), quantization=.1)
    assert sum(map(len, read.layers.values())) == (tmp_path/'a.svg').read_text().count('<path')
    assert np.allclose(np.array(read.page_size)*25.4/96, (150, 100), atol=.01)
    x0, y0, x1, y1 = np.array(read.bounds())*25.4/96
    assert x0 >= -1e-3 and y0 >= -1e-3 and x1 <= 150.001 and y1 <= 100.001
