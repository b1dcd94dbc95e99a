"""The widgets as a reader meets them: in JupyterLab, with a kernel, in a real browser."""
import io, re
from base64 import b64decode

import numpy as np, pytest
from PIL import Image

def pictured(shown):
    "The picture that a widget shows, as the address of its bytes."
    return shown.locator('img').first.get_attribute('src')

def other_picture(shown, than):
    shown.page.wait_for_function('([img, than]) => img.src !== than && img.complete && img.naturalWidth > 0', arg=[shown.locator('img').first.element_handle(), than])
    return pictured(shown)

@pytest.fixture(scope='module')
def widgets_page(lab):
    notebook = lab.open('07_widgets.ipynb')
    notebook.run_all()
    yield notebook
    assert not notebook.errors                                                # nothing that the tests did made the console complain

def test_a_slider_is_moved_by_keys(widgets_page):
    nb = widgets_page
    shown = nb.output('play = Playground')
    before, slider = pictured(shown), shown.get_by_role('slider', name='corners')
    slider.focus()
    for key in ('ArrowRight', 'ArrowRight', 'ArrowLeft', 'ArrowUp'): slider.press(key)
    nb.until("play.controls['corners'].value", lambda v: v == 14)
    other_picture(shown, before)
    assert shown.get_by_role('status').inner_text().startswith('tall 0.5, pen 1.5, corners 14')
    pen = shown.get_by_role('slider', name='pen')                              # a logarithmic one, from end to end
    pen.press('End')
    nb.until("play.controls['pen'].value", lambda v: v == 15)
    pen.press('Home')
    nb.until("play.controls['pen'].value", lambda v: v == .3)
    shown.get_by_role('checkbox', name='closed').uncheck()
    shown.get_by_role('combobox', name='paper').select_option('grey')
    nb.until('play.values', lambda v: v == {'tall': .5, 'pen': .3, 'corners': 14, 'closed': False, 'paper': 'grey'})
    nb.ask("play.controls['corners'].set_trait('value', 3)")                   # and the kernel moves the slider
    shown.page.wait_for_function("input => input.value === '1'", arg=slider.element_handle())

def test_an_error_is_said_and_the_picture_stays(widgets_page):
    nb = widgets_page
    shown = nb.output('fails = Playground')
    before = pictured(shown)
    shown.get_by_role('slider', name='n').press('ArrowLeft')
    shown.get_by_role('alert').filter(has_text='ValueError: 2 sides make no polygon: take 3 or more').wait_for()
    assert pictured(shown) == before

def test_a_point_is_dragged_by_mouse_and_by_keys(widgets_page):
    nb = widgets_page
    shown = nb.output('drag = DragStroke(hook')
    before, arrows = nb.ask('drag.points'), nb.ask('drag.arrows')
    nb.drag(shown.locator('.strokes-handle .dot').nth(1), 60, 90)
    pixel, pitch = 2/99*100/358, 2/99                                         # grid units for a pixel of the screen, and of the picture
    moved = [before[1][0] + 90*pixel, before[1][1] + 60*pixel]
    after = nb.until('drag.points', lambda p: p[1] == pytest.approx(moved, abs=1e-3))
    assert [after[i] for i in (0, 2, 3)] == [before[i] for i in (0, 2, 3)]
    nb.until('drag.arrows', lambda a: a != arrows)                            # the kernel answers, and the browser shows it
    shown.get_by_role('status').filter(has_text=nb.ask('drag.caption')).wait_for()
    assert shown.locator('.strokes-arrow').count() == 4
    handle = shown.get_by_role('slider', name='control point 2 of 4')
    handle.focus()
    for key in ('ArrowRight', 'ArrowDown', 'Shift+ArrowUp'): handle.press(key)
    nb.until('drag.points', lambda p: p[1] == pytest.approx([after[1][0] - 4*pitch, after[1][1] + pitch], abs=1e-9))
    sigma = shown.get_by_role('slider', name='sigma')
    sigma.press('ArrowRight')
    nb.until('drag.sigma', lambda s: s == pytest.approx(2.1))
    shown.get_by_role('combobox', name='curve').select_option('segment')
    nb.until('(drag.kind, len(drag.points), len(drag.arrows))', lambda a: a == ('segment', 2, 2))
    shown.get_by_role('combobox', name='curve').select_option('cubic')         # back to the points as the hand left them
    nb.until('(drag.kind, drag.points[0])', lambda a: a == ('cubic', before[0]))
    shown.get_by_role('button', name='start again').click()
    nb.until('drag.points', lambda p: p == before)

def test_a_film_is_played_and_scrubbed(widgets_page):
    nb = widgets_page
    shown = nb.output('clock = Player')
    before = pictured(shown)
    shown.get_by_role('button', name='play').click()
    nb.until('clock.index', lambda i: i >= 2)
    shown.get_by_role('button', name='pause').click()
    other_picture(shown, before)
    shown.get_by_role('slider', name='picture').press('Home')
    nb.until('clock.index', lambda i: i == 0)
    assert pictured(shown) == before and shown.get_by_role('img').get_attribute('alt') == 'the hand of a clock: 0 hours'

@pytest.fixture(scope='module')
def curves_page(lab):
    notebook = lab.open('01_curves.ipynb')
    for checks in ('def follow(', 'cases = ['): notebook.drop(checks)          # they take long, and test_notebooks runs them
    notebook.run_all()
    yield notebook
    assert not notebook.errors

def test_control_points_and_their_gradients(curves_page):
    nb = curves_page
    shown = nb.output('hand = DragStroke(STARTS')
    assert nb.ask('len(hand.arrows)') == 7
    before, pixel = nb.ask('hand.points'), 2/69*100/478                         # grid units for a pixel of the screen
    nb.drag(shown.locator('.strokes-handle .dot').nth(2), -40, -30)
    nb.until('hand.points[2]', lambda p: p == pytest.approx([before[2][0] - 30*pixel, before[2][1] - 40*pixel], abs=1e-3))
    nb.until("hand.caption == downhill(hand.tensor, 'catmull_rom', 4.)[1]", bool)  # what caption and arrows say is what autograd says
    nb.until("hand.arrows == downhill(hand.tensor, 'catmull_rom', 4.)[0].double().tolist()", bool)
    shown.get_by_role('status').filter(has_text=nb.ask('hand.caption')).wait_for()
    for kind, n in (('segment', 2), ('polyline', 5), ('quadratic', 3), ('cubic', 4)):
        shown.get_by_role('combobox', name='curve').select_option(kind)
        nb.until('(hand.kind, len(hand.arrows))', lambda a: a == (kind, n))
        handle = shown.get_by_role('slider', name='control point 2')
        at = nb.ask('hand.points[1]')
        handle.press('ArrowDown')
        nb.until('hand.points[1]', lambda p: p == pytest.approx([at[0] + 2/69, at[1]], abs=1e-9))
    shown.get_by_role('slider', name='sigma').fill('1')
    nb.until('hand.sigma', lambda s: s == 1)
    nb.until("hand.caption == downhill(hand.tensor, hand.kind, 1.)[1]", bool)

def test_alpha(curves_page):
    shown = curves_page.output('w = Playground(alpha_toy')
    before = pictured(shown)
    shown.get_by_role('slider', name='alpha').press('Home')
    curves_page.until("w.controls['alpha'].value", lambda v: v == 0)
    other_picture(shown, before)
    assert shown.get_by_role('status').inner_text() == 'alpha 0: more than half a turn within a span'

def test_the_first_page(lab):
    nb = lab.open('00_raster.ipynb')
    nb.drop('def degenerate(')
    nb.run_all()
    shown = nb.output('Playground(cut_frame')
    before = pictured(shown)
    for _ in range(3): shown.get_by_role('slider', name='sigma').press('PageDown')
    before = other_picture(shown, before)
    shown.get_by_role('slider', name='place').press('ArrowRight')
    other_picture(shown, before)
    shown.get_by_role('status').filter(has_text='place +0.1 px').wait_for()
    shown = nb.output('Playground(shuffled')
    for composition, words in (('ink', 'order does not matter'), ('softor', 'order does not matter'), ('paint', 'so order matters')):
        shown.get_by_role('combobox', name='composition').select_option(composition)
        shown.get_by_role('status').filter(has_text=f'{composition}:').filter(has_text=words).wait_for()
    before = pictured(shown)
    shown.get_by_role('combobox', name='order').select_option('upright rising falling')
    before = other_picture(shown, before)
    shown.get_by_role('slider', name='falling').press('Home')
    before = other_picture(shown, before)
    shown.get_by_role('slider', name='hue').press('End')
    other_picture(shown, before)
    shown = nb.output('DragStroke(begin')
    words = shown.get_by_role('status').inner_text()
    nb.drag(shown.locator('.strokes-handle .dot').first, 30, 20)
    shown.page.wait_for_function('([p, was]) => p.textContent !== was', arg=[shown.get_by_role('status').element_handle(), words])
    assert not nb.errors

def test_losses_on_the_rail(lab):
    nb = lab.open('10_losses.ipynb')
    for slow in ('def settle(', 'def astray('): nb.drop(slow)
    nb.run_all()
    shown = nb.output('Playground(slide')
    before, x = pictured(shown), shown.get_by_role('slider', name='x')
    for key in ('Home', 'ArrowRight'): x.press(key)
    shown.get_by_role('status').filter(has_text='MSE: at -23.5 pixels the stroke feels next to nothing').wait_for()
    before = other_picture(shown, before)
    shown.get_by_role('combobox', name='loss').select_option('BCE')
    shown.get_by_role('status').filter(has_text='BCE: at -23.5 pixels').wait_for()
    other_picture(shown, before)
    assert not nb.errors

def test_somebody_elses_drawing_is_refined_to_a_photograph(lab):
    "Page 21b, from the logo that matplotlib brings along to its SVG; what comes before and after it is left out."
    nb = lab.open('21b_shapes.ipynb')
    for other in ("how = dict(preset='shapes'", 'group = scene.groups[0]', 'def started(', 'ways = {', 'def as_shown(', 'strokes = imageopt(', 'more = imageopt(', 'sizes = len(',
                  'few = {', "'your own colours'", 'one = imageopt(', 'sheet = colouring_sheet(', 'done = Scene.from_svg(', 'opaque = imageopt('): nb.drop(other)
    nb.run_all()
    assert "'a clip left out': 7" in nb.output('Counter(what for').inner_text()
    shown = nb.output("'petals': petals")
    before, after = map(float, re.search(r'([\d.]+) dB before, ([\d.]+) dB after', shown.inner_text()).groups())
    start, refined, petals = nb.ask("[float(near[k]) for k in ('start', 'refined', 'petals')]")
    assert (before, after) == (pytest.approx(start, abs=.06), pytest.approx(refined, abs=.06)) and after > before + 12 and petals > before + 12
    img = shown.locator('img').first
    assert img.evaluate('i => i.complete && i.naturalWidth > 400 && i.naturalHeight > 300 && i.getBoundingClientRect().width > 300')
    seen = np.asarray(Image.open(io.BytesIO(b64decode(img.get_attribute('src').split(',', 1)[1]))).convert('RGB')).astype(int)
    h, w, _ = seen.shape
    for name, part in {'drawing': seen[:h//2, :w//2], 'photograph': seen[:h//2, w//2:], 'refined': seen[h//2:, :w//2], 'fills': seen[h//2:, w//2:]}.items():
        flower = (part[..., 0] > part[..., 2] + 60).mean()             # orange: two wedges, then the flower's head
        green = ((part.max(-1) < 110) & (part[..., 1] > part[..., 0])).mean()
        assert flower > (.02 if name == 'drawing' else .08) and (green < .02 if name == 'drawing' else green > .2), (name, flower, green)
    assert nb.ask('(len(back), [g.rule for g in back.groups] == [g.rule for g in wheel.groups])') == (16, True)
    assert nb.ask("moved.groups[0].paths.tolist()") == [0, 2]          # the lens keeps its hole
    assert not nb.errors
