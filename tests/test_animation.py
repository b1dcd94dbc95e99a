"""A drawing draws itself: in a browser, as a GIF, as a film; and ends as the drawing."""
import os, shutil, subprocess, warnings
import xml.etree.ElementTree as ET
import numpy as np
import pytest
import torch
from PIL import Image
import dsketch_nb.svg
from dsketch_nb.animation import check_film, cut_polylines, importance, save_film, stroke_order
from dsketch_nb.scene import Scene
from dsketch_nb.vectors import mark_attributes, svg_path

PATH = '{http://www.w3.org/2000/svg}path'

def small(compose='paint', n=12, colour=True):
    g, s = torch.Generator().manual_seed(3), Scene(40, 60, compose, '#fff8e8')
    for kind, k in dict(segments=2, points=1, beziers=7).items(): s.add(kind, torch.rand(n, k, 2, generator=g)*2 - 1, torch.rand(n, 3, generator=g) if colour else None, (2*s.pitch)**2, .9)
    return s


# --- order

def test_hidden_strokes_come_last():
    s = Scene(40, 60, 'paint').add('segments', [[[0., -1.], [0., 1.]]]*2 + [[[.8, -1.], [.8, 1.]]], ['red', 'blue', 'green'], .02)
    cost = importance(s)
    assert cost[0] < .1*cost[1] and stroke_order(s).tolist()[0] == 2
    assert stroke_order(s, 'drawing').tolist() == [0, 1, 2] and stroke_order(s, [5, 1, 3]).tolist() == [2, 0, 1]

@pytest.mark.parametrize('compose', ['ink', 'paint', 'softor'])
def test_order_is_one_of_each_and_leaves_the_scene(compose):
    s = small(compose, colour=compose != 'softor')
    before = {k: v.clone() for k, v in s.state_dict().items()}
    turn = stroke_order(s)
    assert sorted(turn.tolist()) == list(range(36)) and torch.equal(turn, stroke_order(s))
    assert all(torch.equal(v, before[k]) for k, v in s.state_dict().items()) and not any(p.grad is not None for p in s.parameters())

def test_beginnings_are_good_sketches():
    s = small(n=40)
    finished = s.draw().detach()
    err = lambda turn: sum((s.drawn_until((turn < k).float()).draw() - finished).square().mean().item() for k in (10, 20, 40, 80))
    assert err(stroke_order(s)) < .85*err(stroke_order(s, 'drawing'))

def test_refused(tmp_path):
    s = small()
    for kw, m in (dict(order='size'), 'importance, drawing'), (dict(order=[1]), 'does not fit 36'), (dict(seconds=0), 'seconds 0'), (dict(fps=0), 'fps 0'), (dict(seconds=float('nan')), 'seconds nan'):
        with pytest.raises(ValueError, match=m): s.save_animation(tmp_path/'a.gif', **kw)
    for name in ('a.avi', 'a', 'a.svg.txt'):
        with pytest.raises(ValueError, match='ends in one of .svg, .gif, .webp, .png, .mp4'): s.save_animation(tmp_path/name)
    with pytest.raises(ValueError, match='ends in one of .gif'): save_film([], tmp_path/'a.svg')
    with pytest.raises(ValueError, match='frames is empty'): save_film([], tmp_path/'a.gif')
    assert os.listdir(tmp_path) == []


# --- frames

def test_cut():
    p = torch.tensor([[[0., 0.], [0., 2.], [2., 2.]], [[1., 1.], [1., 1.], [1., 1.]]])
    torch.testing.assert_close(cut_polylines(p, torch.tensor([.5, .5]))[0], torch.tensor([[0., 0.], [0., 2.], [0., 2.]]))
    torch.testing.assert_close(cut_polylines(p, torch.tensor([0., 1.]))[0], torch.zeros(3, 2))
    assert torch.equal(cut_polylines(p, torch.tensor([1., 1.])), p)
    g = torch.Generator().manual_seed(0)
    p, f = torch.rand(50, 6, 2, generator=g), torch.rand(50, generator=g)
    length = lambda p: p.diff(dim=1).norm(dim=2).sum(1)
    torch.testing.assert_close(length(cut_polylines(p, f)), f*length(p))

@pytest.mark.parametrize('compose', ['ink', 'paint', 'softor'])
def test_ends_as_the_drawing(compose):
    s = small(compose, colour=compose != 'softor')
    frames = list(s.film(seconds=1, fps=8))
    assert len(frames) == 9 and np.array_equal(frames[-1], s.image().convert('RGB'))
    assert (np.asarray(frames[0]) == np.asarray(Scene(40, 60, compose, '#fff8e8').image().convert('RGB'))).all()
    miss = [np.abs(np.asarray(f).astype(float) - np.asarray(frames[-1])).mean() for f in frames]
    assert miss[0] > miss[2] > miss[5] > miss[8] == 0

def test_nothing_to_draw(tmp_path):
    Scene(5, 6).save_animation(tmp_path/'a.svg')
    Scene(5, 6).add('segments', torch.zeros(0, 2, 2)).save_animation(tmp_path/'a.gif', seconds=.5)
    ET.parse(tmp_path/'a.svg')

@pytest.mark.parametrize('kind', ['gif', 'webp', 'png'])
def test_pictures_that_move(kind, tmp_path):
    s = small()
    s.save_animation(tmp_path/f'a.{kind}', seconds=1, fps=10, size=120, hold=1.5)
    with Image.open(tmp_path/f'a.{kind}') as im:
        assert im.n_frames in (10, 11) and im.size == (120, 80)
        im.seek(im.n_frames - 1)
        last = np.asarray(im.convert('RGB')).astype(float)
    assert np.abs(last - np.asarray(s.image(120))).mean() < 4
    assert os.listdir(tmp_path) == [f'a.{kind}']

@pytest.mark.skipif(not shutil.which('ffmpeg'), reason='ffmpeg is not installed')
def test_mp4(tmp_path):
    small().save_animation(tmp_path/'a.mp4', seconds=1, fps=10, size=(41, 61), hold=1)
    said = subprocess.run(['ffmpeg', '-i', tmp_path/'a.mp4', '-f', 'null', '-'], capture_output=True, text=True).stderr
    assert 'yuv420p' in said and '62x42' in said and 'Duration: 00:00:02' in said
    assert os.listdir(tmp_path) == ['a.mp4']
    with pytest.raises(ZeroDivisionError): save_film((1/0 for _ in range(3)), tmp_path/'a.mp4')
    assert os.listdir(tmp_path) == ['a.mp4']

def test_no_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(FileNotFoundError, match='needs the program ffmpeg, which is not found'): small().save_animation(tmp_path/'a.mp4')
    with pytest.raises(FileNotFoundError, match='ffmpeg'): check_film('b.mp4')
    assert os.listdir(tmp_path) == []


# --- SVG

def test_svg_is_the_drawing_to_others():
    "Programs that know nothing of animation see the finished drawing; so do we."
    resvg_py = pytest.importorskip('resvg_py')
    import io
    show = lambda svg: np.asarray(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert('RGB')).astype(float)
    for compose in ('ink', 'paint'):
        s = small(compose)
        svg = s.to_animated_svg()
        assert np.abs(show(svg) - show(s.to_svg())).max() <= 2
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            assert Scene.from_svg(svg).to_svg() == Scene.from_svg(s.to_svg()).to_svg()

def test_svg_waits_its_turn():
    s = small()
    paths = list(ET.fromstring(s.to_animated_svg(seconds=4)).iter(PATH))
    delay = torch.tensor([float(p.attrib['style'].removeprefix('animation-delay:').removesuffix('s')) for p in paths])
    assert len(paths) == 36 and delay.min() == 0 and 3 < delay.max() < 4
    turn = stroke_order(s)
    assert (delay[turn.argsort()].diff() >= 0).all()
    soft = ET.fromstring(s.to_animated_svg(seconds=4, profile='soft'))
    assert len(list(soft.iter(PATH))) > 60 and len({p.attrib['style'] for p in soft.iter(PATH)}) == 36      # the layers of a stroke are drawn together

def test_svg_in_a_browser(browser, tmp_path):
    "Bare paper, then half of it, then all; at once for those who asked for no motion."
    s = Scene(60, 90, 'paint').add('segments', torch.tensor([[[r, -1.], [r, 1.]] for r in (-.6, -.2, .2, .6)]), 'black', (3*Scene(60, 90).pitch)**2)
    s.add('points', [[0., 1.3]], 'red', (4*s.pitch)**2)
    s.save_animation(tmp_path/'a.svg', seconds=4, order='drawing')
    def ink(motion, moments):
        page = browser.new_page(viewport=dict(width=90, height=60), reduced_motion=motion)
        page.goto((tmp_path/'a.svg').as_uri())
        dark = []
        for t in moments:
            page.evaluate("t => document.getAnimations().forEach(a => { a.pause(); a.currentTime = t*1000 })", t)
            page.screenshot(path=tmp_path/'a.png')
            with Image.open(tmp_path/'a.png') as im: dark.append((np.asarray(im.convert('L')) < 128).sum())
        page.close()
        return dark
    still, = ink('reduce', [0])
    none, half, done = ink('no-preference', [0, 2, 10])
    assert none == 0 and .2*still < half < .8*still and done == still > 500

@pytest.mark.parametrize('compose', ['paint', 'ink'])
def test_film_ends_on_the_still(compose, tmp_path):
    "The last picture of an SVG film is the file that is written of the same scene: fitted strokes for paint, plain ones for ink."
    s = small(compose)
    s.save_animation(tmp_path/'a.svg')
    marks = lambda svg: [(p.attrib['d'], p.attrib['stroke'], p.attrib['stroke-width'], p.attrib.get('stroke-opacity')) for p in ET.fromstring(svg).iter(PATH) if 'style' in p.attrib]
    still = s.marks('fitted' if compose == 'paint' else 'plain')
    assert marks((tmp_path/'a.svg').read_text()) == [(svg_path(m.stroke, 3), a['stroke'], a['stroke-width'], a['stroke-opacity'] if a['stroke-opacity'] != '1' else None) for m, a in ((m, mark_attributes(m)) for m in still)]
