"""Drawings in few flat colours, and sheets for colouring made from them."""
import re
import warnings
import xml.etree.ElementTree as ET

import numpy as np, pytest, torch
from PIL import ImageColor

import dsketch_nb.svg
from dsketch_nb.placement import random_scene
from dsketch_nb.poster import colouring_sheet, flat_regions, nearest_colour, palette_of, poster
from dsketch_nb.scene import Scene

NS = '{http://www.w3.org/2000/svg}'
def shapes(n=30, seed=2): return random_scene(40, 60, shapes=n, colour=True, opacity=.9, compose='paint', paper='wheat', seed=seed)
def square(r=.5): return torch.tensor([[[-r, -r], [-r, r], [r, r], [r, -r]]])

@pytest.mark.parametrize('k', [1, 2, 5, 9])
def test_a_palette_has_so_many_colours(k):
    picture = shapes().draw().detach()
    palette = palette_of(picture, k)
    assert palette.shape == (k, 3) and len(palette.unique(dim=0)) == k and 0 <= palette.min() and palette.max() <= 1
    assert torch.equal(palette, palette_of(picture, k))
    count = nearest_colour(picture.flatten(1).T, palette).bincount(minlength=k)
    assert count.min() > 0 and count[0] >= .95*count.max()

def test_one_colour_is_the_mean_and_a_flat_picture_keeps_its_own():
    picture = shapes().draw().detach()
    assert torch.allclose(palette_of(picture, 1)[0], picture.mean((1, 2)), atol=1e-4)
    flat = torch.tensor([.2, .4, .6])[:, None, None].expand(3, 5, 7)
    assert torch.allclose(palette_of(flat, 6), torch.tensor([[51, 102, 153]])/255) and palette_of(torch.rand(1, 9, 9), 3).shape == (3, 3)

@pytest.mark.parametrize('colours', [4, ['navy', 'tomato', '#f0e0b0'], torch.tensor([[0., 0, 0], [1, 1, 1]])], ids=['number', 'names', 'RGB'])
def test_a_poster_has_these_colours_alone(colours):
    scene = shapes()
    before = {k: v.clone() for k, v in scene.state_dict().items()}
    out = poster(scene, colours)
    k = colours if isinstance(colours, int) else len(colours)
    assert out.size == scene.size and out.compose == 'paint' and all(g.alpha is None for g in out.groups) and len(out) == len(scene)
    assert len({c for g in out.groups for c in map(tuple, g.colour.tolist())} | {out.paper}) <= k
    assert all(torch.equal(before[n], v) for n, v in scene.state_dict().items())

def test_what_is_faint_is_left_out_and_holes_stay():
    scene = Scene(20, 20, 'paint', 'white')
    scene.add('polygons', square(), 'red', alpha=.3).add('polygons', torch.cat([square(.8), square(.4)]), 'navy', alpha=.9, rule='evenodd', paths=[0, 2])
    scene.add('segments', [[[-.9, 0.], [.9, 0.]]], 'white')
    out = poster(scene, ['navy', 'white'])
    assert [(g.kind, len(g)) for g in out.groups] == [('polygons', 1), ('segments', 1)]
    assert out.groups[0].rule == 'evenodd' and torch.equal(out.groups[0].paths, torch.tensor([0, 2])) and out.paper == (1., 1., 1.)
    assert out.draw()[0, 10, 7] > .9 and out.draw()[0, 10, 3] < .1
    assert len(poster(Scene(9, 9), 3)) == 0

@pytest.mark.parametrize('seed', range(4))
def test_regions_are_connected_large_enough_and_cover_all(seed):
    from scipy.ndimage import label
    flat = np.random.default_rng(seed).integers(0, 3, (6, 8)).repeat(3, 0).repeat(3, 1)
    for smallest in (1, 20, 60, 10**6):
        number, colour = flat_regions(flat, smallest)
        size = np.bincount(number.ravel())
        assert number.shape == flat.shape and len(size) == len(colour) and size.min() >= min(smallest, flat.size) and set(colour) <= set(flat.flat)
        assert all(label(number == r)[1] == 1 for r in range(len(size)))
        # neighbours have different colours: nothing that could be one region is two
        shown = colour[number]
        for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            assert ((number[a] != number[b]) == (shown[a] != shown[b])).all()
    assert (flat_regions(flat, 1)[1][flat_regions(flat, 1)[0]] == flat).all()

def sheet(scene, *args, **kw):
    svg = ET.fromstring(colouring_sheet(scene, *args, **kw))
    paths, texts = svg.findall(f'.//{NS}path'), svg.findall(f'.//{NS}text')
    return svg, paths, texts

def test_a_sheet_has_a_number_in_each_region_and_a_legend():
    svg, paths, texts = sheet(shapes(), 5, 300)
    legend = svg.findall(f'.//{NS}g/{NS}rect')
    assert len(legend) == 5 and len(texts) == len(paths) + 5 and len(paths) > 5
    assert {t.text for t in texts} <= set('12345') and [t.text for t in texts[-5:]] == list('12345')
    assert svg.find(f'{NS}title').text == f'{len(paths)} regions in 5 colours'
    assert all(0 <= float(t.get('x')) <= 300 for t in texts) and all(0 <= float(t.get('y')) <= 210 for t in texts[:-5])

def test_coloured_it_covers_the_sheet_and_each_number_lies_in_its_colour():
    scene = shapes()
    _, _, texts = sheet(scene, 5, 300)
    svg, paths, rest = sheet(scene, 5, 300, solved=True)
    legend = [r.get('fill') for r in svg.findall(f'.//{NS}g/{NS}rect')]
    assert len(rest) == 5 and {p.get('fill') for p in paths} <= set(legend)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        # without the lines, and the paper in a colour that no region has
        text = re.sub(r'stroke="#777777"', 'stroke="none"', colouring_sheet(scene, 5, 300, solved=True)).replace('fill="#ffffff"', 'fill="#00ff00"')
        seen = Scene.from_svg(text).draw().detach()[:, :200]
    green = torch.tensor([0., 1., 0.])[:, None, None]
    assert ((seen - green).abs().amax(0) < .3).float().mean() < .002
    for t in texts[:-5]:
        x, y = float(t.get('x')), float(t.get('y')) - .35*float(t.get('font-size'))
        want = torch.tensor(ImageColor.getrgb(legend[int(t.text) - 1]))/255
        assert (seen[:, min(int(y), 199), min(int(x), 299)] - want).abs().max() < .15

def test_sheets_of_little():
    for scene in (Scene(5, 9), Scene(40, 3, paper='red'), Scene(30, 30).add('segments', [[[-.5, -.5], [.5, .5]]], sigma2=.01), shapes(1)):
        svg, paths, _ = sheet(scene, 3, 60)
        assert paths
    assert sheet(shapes(), 5, 300) and colouring_sheet(shapes(), 5) == colouring_sheet(shapes(), 5)

@pytest.mark.parametrize('kw, says', [
    (dict(colours=0), 'colours 0'), (dict(colours=65), 'at most 64'), (dict(colours=2.5), 'colours 2.5'), (dict(colours=True), 'colours True'), (dict(colours=[]), 'colours'), (dict(colours=['navy', 'blu']), 'blu'), (dict(colours=torch.rand(3)), 'colours of shape'),
    (dict(colours=torch.rand(2, 3) + 1), r'RGB in \[0, 1\]'), (dict(colours=None), 'colours'), (dict(colours='red'), 'colours'), (dict(width=39), 'width 39'), (dict(width=4000), 'width 4000'), (dict(smallest=0), 'smallest 0'), (dict(seed=-1), 'seed -1')])
def test_bad_input_is_named(kw, says):
    with pytest.raises(ValueError, match=says): colouring_sheet(shapes(3), **kw)
