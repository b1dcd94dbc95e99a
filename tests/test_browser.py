"""The widgets as a reader meets them: in JupyterLab, with a kernel, in a real browser."""
import pytest

@pytest.fixture(scope='module')
def widgets_page(lab):
    notebook = lab.open('04_widgets.ipynb')
    notebook.run_all()
    return notebook

def test_a_point_is_dragged_by_mouse(widgets_page):
    nb = widgets_page
    cell = nb.show(nb.find('drag = DragStroke(hook'))
    before = nb.ask('drag.points')
    nb.drag(cell.locator('.strokes-handle .dot').nth(1), 60, 90)
    pitch = 2/99*100/360                                                    # grid units for a pixel of the screen
    after = nb.until('drag.points', lambda p: p[1] == pytest.approx([before[1][0] + 90*pitch, before[1][1] + 60*pitch], abs=2*pitch))
    assert [after[i] for i in (0, 2, 3)] == [before[i] for i in (0, 2, 3)]
    assert not nb.errors
