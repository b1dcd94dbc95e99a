"""The widgets as a reader meets them: in JupyterLab, with a kernel, in a real browser."""
import pytest

def pictured(shown):
    "The picture that a widget shows, as the address of its bytes."
    return shown.locator('img').first.get_attribute('src')

def other_picture(shown, than):
    shown.page.wait_for_function('([img, than]) => img.src !== than && img.complete && img.naturalWidth > 0', arg=[shown.locator('img').first.element_handle(), than])
    return pictured(shown)

@pytest.fixture(scope='module')
def widgets_page(lab):
    notebook = lab.open('04_widgets.ipynb')
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
