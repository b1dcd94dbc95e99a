"""Strokes that stay alive on a page with no kernel and no network: strokes.js in a real browser against the package."""
import re
from pathlib import Path

import pytest
import torch
from conftest import watched
from dsketch_nb import widgets
from dsketch_nb.curves import polyline_edt2
from dsketch_nb.raster import exp, pixel_grid, pixel_pitch
from dsketch_nb.widgets import DragStroke, curve_vertices, stroke_picture

SCRIPT = Path(widgets.__file__).parent/'static'/'strokes.js'
SIZE, WIDTH = [70, 100], 350
STARTS = {'segment': [[.5, -.7], [-.4, .6]], 'polyline': [[.5, -.9], [-.6, -.3], [.4, .2], [-.5, .9]], 'quadratic': [[.6, -.8], [-1., 0.], [.5, .9]],
          'cubic': [[.7, -.9], [-.9, -.8], [-.7, .8], [.5, .7]], 'catmull_rom': [[.9, -1.2], [.4, -.8], [-.6, -.2], [.5, .4], [-.3, .8], [-.9, 1.2]]}
GOAL = curve_vertices(torch.tensor([[.6, -.6], [-.4, -.9], [-.8, .3], [.6, .7]]), 'cubic')

def offline(browser, html, **context):
    "A page with `html` and the script, in a browser that can reach nothing else; -> page, complaints, and what else it asked for."
    context = browser.new_context(**context)
    context.set_offline(True)
    page, wrong = watched(context)
    asked = []
    def answer(route):
        if route.request.url == 'http://page.test/': route.fulfill(content_type='text/html; charset=utf-8', body=f'<!doctype html><title>page</title>{html}<script type="module" src="strokes.js"></script>')
        elif route.request.url == 'http://page.test/strokes.js': route.fulfill(content_type='text/javascript', body=SCRIPT.read_text(encoding='utf-8'))
        else: asked.append(route.request.url); route.abort()
    page.route('**/*', answer)
    page.goto('http://page.test/')
    return page, wrong, asked

def pixels(page):
    "What stands on the canvas, [H, W, 3] in [0, 1]."
    h, w, data = page.locator('canvas').evaluate("c => [c.height, c.width, Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)]")
    return torch.tensor(data).view(h, w, 4)[..., :3] / 255

def arrows(page):
    "The arrows, [N, 4]: x, y of their start and of their tip on the screen."
    found = [re.match(r'M(\S+) (\S+)L(\S+) (\S+)M', o.get_attribute('d')) for o in page.locator('.strokes-arrow').all()]
    return torch.tensor([[float(x) for x in m.groups()] for m in found])

def error_and_gradient(points, kind, sigma):
    "By autograd."
    points = points.double().requires_grad_()
    ink = lambda line: exp(polyline_edt2(line, pixel_grid(*SIZE, dtype=torch.float64)), (sigma*pixel_pitch(*SIZE))**2)
    error = (ink(curve_vertices(points, kind)) - ink(GOAL.double())).square().mean()
    return error.item(), torch.autograd.grad(error, points)[0].float()

def settle(page): page.evaluate("() => new Promise(f => requestAnimationFrame(() => requestAnimationFrame(f)))")

@pytest.mark.parametrize('kind', STARTS)
def test_the_browser_draws_what_python_draws(browser, kind):
    start, gain, pitch = torch.tensor(STARTS[kind]), 3., pixel_pitch(*SIZE)
    drag = DragStroke(start, kind, sigma=2., size=SIZE, target=GOAL, gain=gain, width=WIDTH, label='a stroke')
    page, wrong, asked = offline(browser, drag.live_html())
    page.locator('canvas').wait_for()
    def same(points, sigma): assert (pixels(page) - stroke_picture(points, kind, sigma, SIZE, GOAL)).abs().max() < 1.5/255
    same(start, 2.)
    first = pixels(page)

    handle = page.get_by_role('slider', name='control point 2')               # by keys
    for key in ('ArrowLeft', 'ArrowDown', 'Shift+ArrowDown'): handle.press(key)
    settle(page)
    moved = start.clone(); moved[1] += torch.tensor([6., -1.])*pitch
    same(moved, 2.)
    assert (pixels(page) - first).abs().max() > .2                             # it is another picture

    error, g = error_and_gradient(moved, kind, 2.)                             # the arrows: minus the gradient, by the script's own chain rule
    assert page.get_by_role('status').inner_text() == f'squared error {error:.4f}'
    long = (gain*g).norm(dim=1)/pitch*WIDTH/SIZE[1] > 2                        # shorter ones are not drawn
    seen, screen = arrows(page), lambda p: p.flip(-1)/pitch*WIDTH/SIZE[1]
    assert long.any() and len(seen) == long.sum()
    torch.testing.assert_close(seen[:, 2:] - seen[:, :2], screen(-gain*g[long]), atol=.02, rtol=2e-3)

    page.get_by_role('slider', name='sigma').fill('4.5')                       # and sigma
    settle(page)
    same(moved, 4.5)
    assert not wrong and not asked

def test_by_mouse_and_by_finger(browser):
    start, pitch = torch.tensor(STARTS['cubic']), pixel_pitch(*SIZE)
    drag = DragStroke(start, 'cubic', size=SIZE, choices=STARTS, width=WIDTH, label='a stroke')
    page, wrong, asked = offline(browser, '<meta name="viewport" content="width=device-width">' + drag.live_html(), viewport={'width': 300, 'height': 800}, has_touch=True, is_mobile=True)
    assert page.evaluate('() => document.documentElement.scrollWidth') <= 300   # nothing sticks out on a telephone
    stage, dot = page.locator('.strokes-stage'), page.locator('.strokes-handle .dot').first
    box, at = stage.bounding_box(), dot.bounding_box()
    zoom = box['width']/SIZE[1]                                                 # of the screen's pixels for one of the picture's
    x, y = at['x'] + at['width']/2 + 2, at['y'] + at['height']/2 - 1
    page.mouse.move(x, y); page.mouse.down(); page.mouse.move(x + 10*zoom, y - 8*zoom, steps=3); page.mouse.up()
    settle(page)
    moved = start.clone(); moved[0] += torch.tensor([-8., 10.])*pitch
    assert (pixels(page) - stroke_picture(moved, 'cubic', 1.5, SIZE)).abs().max() < .06

    touch = page.context.new_cdp_session(page)                                   # a finger, on the last point
    at = page.locator('.strokes-handle .dot').last.bounding_box()
    x, y = at['x'] + at['width']/2, at['y'] + at['height']/2
    for name, points in (('touchStart', [(x, y)]), ('touchMove', [(x, y + 5*zoom)]), ('touchMove', [(x, y + 12*zoom)]), ('touchEnd', [])):
        touch.send('Input.dispatchTouchEvent', {'type': name, 'touchPoints': [{'x': a, 'y': b} for a, b in points]})
    settle(page)
    moved[3] += torch.tensor([12., 0.])*pitch
    assert (pixels(page) - stroke_picture(moved, 'cubic', 1.5, SIZE)).abs().max() < .06
    assert page.evaluate('() => scrollY') == 0                                   # the finger moved the point, not the page

    page.get_by_label('curve').select_option('catmull_rom')
    settle(page)
    assert (pixels(page) - stroke_picture(torch.tensor(STARTS['catmull_rom']), 'catmull_rom', 1.5, SIZE)).abs().max() < 1.5/255
    page.get_by_label('curve').select_option('cubic')                            # as the hand left it
    settle(page)
    assert (pixels(page) - stroke_picture(moved, 'cubic', 1.5, SIZE)).abs().max() < .06
    page.get_by_role('button', name='start again').tap()
    settle(page)
    assert (pixels(page) - stroke_picture(start, 'cubic', 1.5, SIZE)).abs().max() < 1.5/255
    assert not wrong and not asked

def test_without_the_script_the_still_remains(browser):
    drag = DragStroke(STARTS['segment'], 'segment', label='a stroke & its "points"')
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(drag.live_html())
    assert page.locator('img').get_attribute('alt') == 'a stroke & its "points"'
    assert page.locator('img').evaluate('o => o.naturalWidth') == 360 and page.locator('canvas').count() == 0

def test_who_wants_no_motion_sees_none(browser):
    "The stills of films, and the picture that moves on the home page."
    import base64, io
    from PIL import Image
    from dsketch_nb.widgets import Player
    film = Player([torch.zeros(4, 6), torch.ones(4, 6)], width=60)
    home = Path(__file__).parent.parent/'nbs'
    moving = re.search('<picture>.*?</picture>', (home/'index.ipynb').read_text(encoding='utf-8').encode().decode('unicode_escape'), re.S)[0]
    for name in re.findall('"(images/.*?)"', moving): moving = moving.replace(name, f'data:image/webp;base64,{base64.b64encode((home/name).read_bytes()).decode()}')
    for wish, still in (('reduce', True), ('no-preference', False)):
        context = browser.new_context(reduced_motion=wish)
        page = context.new_page()
        for html in (film._repr_mimebundle_()[0]['text/html'], moving):
            page.set_content(html)
            page.wait_for_function("() => document.querySelector('img').complete")
            shown = page.locator('img').evaluate('o => [o.currentSrc, o.naturalWidth, o.alt.length]')
            picture = Image.open(io.BytesIO(base64.b64decode(shown[0].split('base64,')[1])))
            assert (getattr(picture, 'n_frames', 1) == 1) == still and shown[1] == picture.width and shown[2] > 5
            assert still or 0 < picture.info['loop'] <= 5                          # and it comes to rest
        context.close()

def test_a_page_of_the_book_stays_alive(browser):
    "The page on curves as a web page, with what was committed in it."
    from nbconvert import HTMLExporter
    html = HTMLExporter().from_filename(str(Path(__file__).parent.parent/'nbs'/'01_curves.ipynb'))[0]
    page, wrong, asked = offline(browser, html)
    strokes = page.locator('.strokes:not(.strokes-frames)')
    strokes.scroll_into_view_if_needed()
    before, words = pixels(strokes), strokes.get_by_role('status').inner_text()
    dot = strokes.locator('.strokes-handle .dot').nth(2).bounding_box()
    x, y = dot['x'] + dot['width']/2, dot['y'] + dot['height']/2
    page.mouse.move(x, y); page.mouse.down(); page.mouse.move(x - 60, y - 30, steps=3); page.mouse.up()
    settle(page)
    dragged = pixels(strokes)
    assert (dragged - before).abs().max() > .2
    assert re.fullmatch(r'squared error 0\.\d{4}', words) and strokes.get_by_role('status').inner_text() != words
    assert strokes.locator('.strokes-arrow').count() > 2
    strokes.get_by_role('slider', name='sigma').fill('9')
    settle(page)
    assert (pixels(strokes) - dragged).abs().max() > .2
    assert not [o for o in wrong if 'strokes' in o]                             # the page asks a network for its mathematics; ours asks for nothing
    assert not [o for o in asked if not re.match(r'https://cdn(js\.cloudflare|\.jsdelivr)', o)], asked
