"""What a notebook's file keeps of a widget that a hand has moved: in JupyterLab, and in the HTML made of it."""
import io, re, subprocess, sys, time
from base64 import b64decode
from urllib.request import urlopen

import nbformat, pytest
from PIL import Image

MIXED = [
    "from dsketch_nb.live import LiveOptimiser\nfrom dsketch_nb.widgets import Playground\nimport torch",
    "live = LiveOptimiser('sample:china', width=60, lines=80)\nprint('before')\nlive",
    "def grey(level:float=.5):\n    'One grey.'\n    return torch.full((4, 6), level)\nplay = Playground(grey)\nplay",
    "live",
]

@pytest.fixture
def notebook(lab):
    cells = [nbformat.v4.new_code_cell(o) for o in MIXED]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=dict(kernelspec=dict(name='python3', display_name='Python 3', language='python'))), lab.folder/'nbs'/'last.ipynb')
    notebook = lab.open('last.ipynb')
    notebook.run_all()
    notebook.output('live = LiveOptimiser').locator('.fit-alive').wait_for()
    return notebook

def saved(lab, notebook):
    notebook.command('docmanager:save')
    return [c.outputs for c in nbformat.read(lab.folder/'nbs'/'last.ipynb', 4).cells]

def same_picture(o, image):
    "The right half of a kept PNG is this picture."
    shown = Image.open(io.BytesIO(b64decode(o['data']['image/png']))).convert('RGB')
    return shown.crop((shown.width - image.width, 0, *shown.size)).tobytes() == image.tobytes()

def test_a_moved_widget_is_exported_as_it_is(lab, notebook, browser):
    before = saved(lab, notebook)
    assert [[o.output_type for o in cell] for cell in before[1:]] == [['stream', 'execute_result'], ['execute_result'], ['execute_result']]
    shown = notebook.output('live = LiveOptimiser')
    height = shown.bounding_box()['height']
    shown.locator('.fit-run').press(' ')
    notebook.until('live.run.iteration', lambda n: n > 30)
    shown.locator('.fit-run').press(' ')
    shown.page.wait_for_function("o => o.textContent === 'start'", arg=shown.locator('.fit-run').element_handle())
    run = shown.locator('.fit-run').element_handle()
    shown.page.wait_for_function("() => document.querySelectorAll('.dsketch-last').length >= 1", timeout=120_000)
    # nothing else is seen of it, and the hand stays where it was
    assert shown.page.evaluate("o => o.isConnected && document.activeElement === o", run)
    assert not shown.page.locator('.dsketch-last').first.is_visible() and abs(shown.bounding_box()['height'] - height) < 30
    at = notebook.ask('live.run.iteration')
    playground = notebook.output('play = Playground')
    playground.locator('input[type=range]').fill('0')
    notebook.until('play.last.cells[0][2]', bool)
    found = saved(lab, notebook)
    assert [[o.output_type for o in cell] for cell in found[1:]] == [['stream', 'execute_result', 'display_data'], ['execute_result', 'display_data'], ['execute_result', 'display_data']]
    code = "__import__('base64').b64encode(__import__('dsketch_nb.stills', fromlist=['png']).png(live.shown.draw())).decode()"
    picture = Image.open(io.BytesIO(b64decode(notebook.ask(code)))).convert('RGB')
    for cell in (found[1], found[3]):
        assert f' {at} iterations' in cell[-1]['data']['text/plain'] and same_picture(cell[-1], picture)
    # once more: the same output is renewed
    shown = notebook.output('live = LiveOptimiser')
    shown.get_by_role('slider', name='look back').fill('0')
    notebook.until('live.shown.iteration', lambda n: n == 0)
    for _ in range(60):                                                      # it is kept a second after the change
        found = saved(lab, notebook)
        if ' 0 iterations' in found[1][-1]['data']['text/plain']: break
        time.sleep(1)
    assert [len(cell) for cell in found[1:]] == [3, 2, 2] and ' 0 iterations' in found[1][-1]['data']['text/plain']
    assert shown.page.evaluate("o => o.isConnected", run)
    # the page made of it, without a network
    path = lab.folder/'nbs'/'last.ipynb'
    for to in ('html', 'slides'):
        subprocess.run([sys.executable, '-m', 'nbconvert', '--to', to, str(path)], check=True, capture_output=True, timeout=600)
    with urlopen(f'{lab.address}/nbconvert/html/last.ipynb?token={lab.token}', timeout=600) as answer:      # what JupyterLab's menu asks for
        assert answer.read().decode().count('class="dsketch-last"') == 3
    context = browser.new_context()
    context.set_offline(True)
    page = context.new_page()
    page.goto(path.with_suffix('.html').as_uri())
    for i, words in ((0, r'china: the target, and 80 strokes on their way, 0 iterations'), (1, r'One grey\. level 0'), (2, r'80 strokes on their way, 0 iterations')):
        cell = page.locator('.jp-Cell').nth(i + 1)
        seen = [o for o in cell.locator('img').all() if o.is_visible()]
        assert len(seen) == 1 and re.search(words, seen[0].get_attribute('alt')), (i, [o.get_attribute('alt') for o in seen])
        assert seen[0].evaluate('o => o.naturalWidth') > 0
    context.close()
