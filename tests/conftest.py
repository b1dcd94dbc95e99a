"""A browser, and JupyterLab to look at with it: one of each for all tests, started when the first test asks."""
import json, os, secrets, shutil, signal, socket, subprocess, sys, time
from ast import literal_eval
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest, torch
from filelock import FileLock
from hypothesis import settings

# where there is no GPU, kernels for one are interpreted; Triton wants to know before it is first imported
if not torch.cuda.is_available(): os.environ.setdefault('TRITON_INTERPRET', '1')

# the same examples every time, so that a change is judged and not the luck of the day; DSKETCH_LONG=1 draws new ones
settings.register_profile('same', derandomize=True)
if not os.environ.get('DSKETCH_LONG'): settings.load_profile('same')

def pytest_collection_modifyitems(items):
    "`make quick`: two examples of each property, and nothing that starts a process of its own."
    if not os.environ.get('DSKETCH_QUICK'): return
    for item in items:
        known = getattr(item.obj, '_hypothesis_internal_use_settings', None)
        if known: item.obj._hypothesis_internal_use_settings = settings(known, max_examples=2)
        if 'subprocess' in item.function.__code__.co_names: item.add_marker(pytest.mark.skip(reason='starts a process; not in the quick tier'))

@pytest.fixture(params=['float32', 'float64'])
def dtype(request):
    "Each floating-point precision that is drawn in."
    return getattr(torch, request.param)

@pytest.fixture(params=['cpu', *(['cuda'] if torch.cuda.is_available() else []), *(['mps'] if torch.backends.mps.is_available() else [])])
def device(request):
    "Each device that this machine has."
    return request.param

root = Path(__file__).parent.parent
QUIET = ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync']

@pytest.fixture(scope='session')
def browser():
    "Headless Chromium; a test that asks for it is skipped where there is none."
    sync_api = pytest.importorskip('playwright.sync_api', reason="no playwright: pip install 'dsketch_nb[dev]'")
    found = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    if not found: pytest.skip('no Chromium on the PATH: apt-get install chromium')
    with sync_api.sync_playwright() as p:
        OPEN['browser'] = browser = p.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        del OPEN['browser']
        browser.close()

OPEN = {}                    # the browser and JupyterLab, once a test has asked for them

@pytest.fixture(autouse=True)
def windows_closed():
    "A test closes the windows that it opened: a page that goes on drawing slows whatever runs after it."
    before = set(OPEN['browser'].contexts) if 'browser' in OPEN else set()
    yield
    for context in OPEN['browser'].contexts if 'browser' in OPEN else (): context in before or context.close()

@pytest.fixture(scope='module', autouse=True)
def kernels_ended():
    "A file of tests closes the windows that its fixtures opened, and ends the kernels behind them."
    yield
    for context in OPEN['browser'].contexts if 'browser' in OPEN else (): context.close()
    if 'lab' in OPEN: OPEN['lab'].end_kernels()

def watched(context):
    "A fresh page, and the list to which everything that goes wrong in it is added."
    page, wrong = context.new_page(), []
    page.set_default_timeout(120_000)
    page.on('pageerror', lambda e: wrong.append(f'uncaught: {e}'))
    page.on('console', lambda m: m.type == 'error' and wrong.append(f"{m.text} ({m.location.get('url')})"))
    return page, wrong

class Notebook:
    "A notebook in JupyterLab's window. `page` is playwright's, `errors` what its console complained of."
    def __init__(self, page, errors, address):
        self.page, self.errors = page, errors
        page.goto(address)
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'", timeout=300_000)

    def command(self, name, timeout=240, **args):
        "Execute one of JupyterLab's own commands, as its menus do, and wait for its end."
        self.page.evaluate("""([name, args, ms]) => Promise.race([window.jupyterapp.commands.execute(name, args).then(() => true),
          new Promise((_, no) => setTimeout(() => no(new Error(name + ' did not end')), ms))])""", [name, args, 1000*timeout])

    def run_all(self, timeout=900):
        "Run every cell; an error in one of them is raised here."
        self.command('notebook:run-all-cells', timeout)
        failed = self.page.evaluate("""() => [...window.jupyterapp.shell.currentWidget.content.model.cells].flatMap(
          c => c.type === 'code' ? c.toJSON().outputs.filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue) : [])""")
        assert not failed, failed

    def drop(self, text):
        "Leave out the first cell whose source holds `text`: one that takes long and that nobody here asks for."
        self.page.evaluate("i => window.jupyterapp.shell.currentWidget.content.model.sharedModel.deleteCell(i)", self.find(text))

    def find(self, text):
        "The number of the first cell whose source holds `text`, however its lines are cut."
        i = self.holds(text) - 1
        assert i >= 0, f'no cell holds {text!r}'
        return i

    def holds(self, text):
        "The place of the first cell whose source holds `text`, counted from 1; 0 if there is none."
        i = self.page.evaluate("""text => { const bare = s => s.replace(/\\s+/g, '');
          return [...window.jupyterapp.shell.currentWidget.content.model.cells].findIndex(c => bare(c.sharedModel.getSource()).includes(bare(text))); }""", text)
        return i + 1

    def show(self, i):
        "Scroll cell `i` into sight -> its locator."
        self.page.evaluate("""async i => { const n = window.jupyterapp.shell.currentWidget.content;
          n.activeCellIndex = i; await n.scrollToItem(i, 'start'); }""", i)
        cell = self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{i}"]')
        cell.wait_for()
        return cell

    def output(self, text):
        "What is under the first cell whose source holds `text`, in sight."
        return self.show(self.find(text)).locator('.jp-Cell-outputWrapper')

    def ask(self, expression, timeout=240):
        "What the kernel says an expression is: numbers, texts, lists of them."
        return literal_eval(self.page.evaluate("""async ([expression, ms]) => {
          const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          const future = kernel.requestExecute({code: '', silent: true, store_history: false, user_expressions: {answer: expression}});
          const late = new Promise((_, no) => setTimeout(() => no(new Error('the kernel did not answer ' + expression)), ms));
          const {answer} = (await Promise.race([future.done, late])).content.user_expressions;
          if (answer.status !== 'ok') throw new Error(answer.ename + ': ' + answer.evalue);
          return answer.data['text/plain'];
        }""", [expression, 1000*timeout]))

    def until(self, expression, right, seconds=120):
        "Ask until the answer is `right(answer)`: what a widget sends may wait for the kernel to be free."
        end = time.monotonic() + seconds
        while not right(answer := self.ask(expression)):
            assert time.monotonic() < end, f'{expression} is still {answer}'
            time.sleep(.05)
        return answer

    def drag(self, handle, right, down):
        "Take hold of the middle of an element and move it by so many pixels of the screen."
        handle.scroll_into_view_if_needed()
        box, mouse = handle.bounding_box(), self.page.mouse
        x, y = box['x'] + box['width']/2, box['y'] + box['height']/2
        mouse.move(x, y); mouse.down(); mouse.move(x + right, y + down, steps=4); mouse.up()

class Lab:
    "A running JupyterLab over a copy of the pages."
    def __init__(self, folder, browser):
        self.folder, self.token, self.browser = folder, secrets.token_hex(16), browser
        shutil.copytree(root/'nbs', folder/'nbs', ignore=shutil.ignore_patterns('.ipynb_checkpoints', '_proc', '_docs'))
        own = folder/'settings'/'@jupyterlab'/'apputils-extension'/'notification.jupyterlab-settings'
        own.parent.mkdir(parents=True)
        own.write_text(json.dumps({'fetchNews': 'false', 'checkForUpdates': False}))
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        self.address = f'http://127.0.0.1:{port}'
        dirs = {k: str(folder/v) for k, v in {'JUPYTER_CONFIG_DIR': 'config', 'JUPYTER_DATA_DIR': 'data', 'JUPYTER_RUNTIME_DIR': 'runtime', 'IPYTHONDIR': 'ipython',
                                              'JUPYTERLAB_SETTINGS_DIR': 'settings', 'JUPYTERLAB_WORKSPACES_DIR': 'workspaces'}.items()}
        path = os.pathsep.join([str(root), *filter(None, [os.environ.get('PYTHONPATH')])])
        self.log = open(folder/'log', 'w')
        self.process = subprocess.Popen([sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--expose-app-in-browser', f'--ServerApp.root_dir={folder/"nbs"}',
            f'--ServerApp.port={port}', '--ServerApp.port_retries=0', '--ServerApp.ip=127.0.0.1', f'--IdentityProvider.token={self.token}'],
            cwd=folder, env=os.environ | dirs | {'PYTHONPATH': path}, stdout=self.log, stderr=self.log, start_new_session=True)

    def ready(self, seconds=300):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None: break
            try: return urlopen(f'{self.address}/api/status?token={self.token}', timeout=5).status == 200
            except (URLError, OSError): time.sleep(.2)
        raise RuntimeError('JupyterLab did not start:\n' + (self.folder/'log').read_text()[-2000:])

    def open(self, name, width=1200, height=900):
        "Open a notebook of nbs/ in a window of its own."
        page, errors = watched(self.browser.new_context(viewport={'width': width, 'height': height}))
        return Notebook(page, errors, f'{self.address}/lab/workspaces/{secrets.token_hex(4)}/tree/{name}?token={self.token}')

    def ask(self, method, what): return urlopen(Request(f'{self.address}/api/{what}', method=method, headers={'Authorization': f'token {self.token}'}), timeout=20)

    def end_kernels(self):
        with self.ask('GET', 'sessions') as answer: sessions = json.load(answer)
        for session in sessions: self.ask('DELETE', f"sessions/{session['id']}").close()

    def stop(self):
        if self.process.poll() is None:
            # asked by its own interface it ends its kernels and goes at once; a signal makes it wait for them
            try: self.ask('POST', 'shutdown').close()
            except (URLError, OSError): os.killpg(self.process.pid, signal.SIGTERM)
            try: self.process.wait(10)
            except subprocess.TimeoutExpired: os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()

@pytest.fixture(scope='session')
def lab(browser, tmp_path_factory):
    "JupyterLab with a kernel, over a copy of the pages: `lab.open('01_curves.ipynb')`."
    lab = Lab(tmp_path_factory.mktemp('lab'), browser)
    try:
        lab.ready()
        OPEN['lab'] = lab
        yield lab
    finally:
        OPEN.pop('lab', None)
        lab.stop()

@pytest.fixture(scope='session')
def processed(tmp_path_factory):
    "The project with its notebooks as `nbdev_docs` hands them to Quarto, below `_proc`. DSKETCH_PROCESSED names a folder where `python tests/built.py` has made them already."
    import built
    if there := os.environ.get('DSKETCH_PROCESSED'): return Path(there)
    worker = os.environ.get('PYTEST_XDIST_WORKER')                                   # several share the tests, and the site
    folder = (tmp_path_factory.getbasetemp().parent if worker else tmp_path_factory.mktemp('site'))/'made'
    with FileLock(f'{folder}.lock'):
        if not (done := folder/'done').exists():
            folder.mkdir()
            built.process(folder)
            done.touch()
    return folder

@pytest.fixture(scope='session')
def site(processed, tmp_path_factory):
    "The site, nearly, as HTML -> (folder, page -> what Pandoc complained of)."
    import built
    folder, pages = tmp_path_factory.mktemp('html'), sorted((processed/'_proc').rglob('*.ipynb'))
    built.files(processed/'_proc', folder)
    with ThreadPoolExecutor(2) as pool: said = list(pool.map(lambda p: built.build(p, processed/'_proc', folder), pages))       # Pandoc is a process of its own
    return folder, {p.relative_to(processed/'_proc').as_posix(): o for p, o in zip(pages, said)}
