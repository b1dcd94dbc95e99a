"""The live optimiser: its engine alone, the widget driven as a hand drives it, and both in a browser."""
import io, math, re, subprocess, sys, threading, time, xml.etree.ElementTree as ET
from base64 import b64decode
from types import SimpleNamespace

import nbformat, pytest, torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from dsketch_nb.live import LiveOptimiser
from dsketch_nb.live_run import LiveRun, Runner, Thinned
from dsketch_nb.scene import Scene
from dsketch_nb.stills import png

SMALL = dict(width=48, lines=30)
SVG = '{http://www.w3.org/2000/svg}'

def a_run(**more): return LiveRun('sample:china', **SMALL | more)
def same(a, b): return a.loss == b.loss and all(torch.equal(p, q) for p, q in zip(a.scene.parameters(), b.scene.parameters(), strict=True))

# --- the past

@given(st.integers(1, 12), st.integers(0, 300))
def test_thinned_is_bounded_even_and_begins_with_the_first(most, n):
    row = Thinned(most)
    for i in range(n):
        row.add(i, -i)
        assert len(row.kept) <= most
    at = [i for i, _ in row.kept]
    assert all(thing == -i for i, thing in row.kept) and at == list(range(0, n, row.stride))
    assert n == 0 or len(at) >= min(n, most/2)

def test_what_a_run_remembers_is_bounded():
    run = a_run()
    one = sum(p.numel()*p.element_size() for p in run.scene.parameters())
    run = a_run(memory=10.5*one)
    for i in range(700):
        run.step()
        if i % 20 == 0: run.set(lr=.01 + i*1e-6)
        assert len(run.past.kept) <= 10 and len(run.curve.kept) <= 300 and len(run.marks) <= 12 and not run.o.history
    assert [i for i, _ in run.past.kept][:2] == [0, run.past.stride]
    run.set(lines=60)                                            # each moment to come is twice as large
    assert len(run.past.kept) <= 5 and run.past.most == 5

# --- a run without threads

def test_same_seed_same_calls_same_bits():
    def all_of_it(run):
        for changes in ({}, {'lines': 45}, {'lines': 12, 'sigma2': 3.}, {'loss': 'PyrMSELoss', 'lr': .03}, {'compose': 'paint'}):
            run.set(**changes)
            for _ in range(5): run.step()
        return run.look()
    run = a_run()
    first, again = all_of_it(run), all_of_it(a_run())
    assert same(first, again) and first.iteration == 25
    assert not same(first, all_of_it(a_run(seed=2)))
    changed = run.settings | {'sigma2': run.sigma2, 'loss': run.loss}
    run.reset()                                                  # to the start, with the settings as they have become
    assert run.settings | {'sigma2': run.sigma2, 'loss': run.loss} == changed and changed['lines'] == 12 and changed['compose'] == 'paint'
    assert same(run.look(), a_run(lines=12, compose='paint', sigma2=3., loss='PyrMSELoss', lr=.03).look())

def test_looking_changes_nothing_and_moments_stay_as_they_were():
    run, other = a_run(), a_run()
    m = run.look()
    before = [p.clone() for p in m.scene.parameters()]
    for _ in range(8): run.step(); run.look(); other.step()
    assert same(run.look(), other.look())
    assert all(torch.equal(p, q) for p, q in zip(m.scene.parameters(), before))
    for i, o in run.past.kept:                                   # each moment's loss is that of its strokes
        with torch.no_grad(): assert (o.draw() - run.target).square().mean().item() == pytest.approx(o.loss, rel=1e-5) and i == o.iteration

@pytest.mark.parametrize('optimiser', ['Adam', 'SGD', 'RMSprop', 'Adagrad', 'AdamW'])
@pytest.mark.parametrize('start', ['random', 'edges'])
def test_strokes_of_every_kind_come_and_go(optimiser, start):
    run = a_run(points=20, beziers=10, crs=8, optimiser=optimiser, start=start, opt_opacity=True)
    for _ in range(3): run.step()
    remembered = lambda: {(k, p.shape) for p, s in run.o.optimiser.state.items() for k, v in s.items() if isinstance(v, torch.Tensor) and v.shape == p.shape}
    kinds = {'lines': 0, 'points': 1, 'beziers': 2, 'crs': 3}
    order = [['points', 'segments', 'beziers', 'catmull_roms'].index(g.kind) for g in run.scene.groups]
    assert order == sorted(order)
    keys = {k for k, _ in remembered()}
    for kind, n in (('lines', 40), ('points', 5), ('beziers', 30), ('crs', 1), ('lines', 3)):
        run.set(**{kind: n})
        run.step()
    assert sorted(len(g) for g in run.scene.groups) == [1, 3, 5, 30] and len(kinds) == 4
    assert {k for k, _ in remembered()} == keys                  # the optimiser remembers the same things of them
    held = {id(p) for g in run.o.optimiser.param_groups for p in g['params']}
    assert held == {id(p) for p in run.scene.parameters() if p.requires_grad}
    assert set(map(id, run.o.optimiser.state)) <= held           # and nothing of those that are gone
    assert math.isfinite(run.look().loss)

def test_the_strokes_that_go_are_those_that_are_missed_least():
    run = a_run(lines=60)
    for _ in range(40): run.step()
    full = run.look()
    run.set(lines=45)
    least = run.look().loss
    keep = torch.arange(60)
    for seed in range(5):                                        # against any other choice
        other = a_run(lines=60)
        for _ in range(40): other.step()
        g = other.scene.groups[0]
        kept = torch.randperm(60, generator=torch.Generator().manual_seed(seed))[:45].sort().values
        for name, p in list(g.named_parameters()): setattr(g, name, torch.nn.Parameter(p.detach()[kept], requires_grad=p.requires_grad))
        assert full.loss <= least < other.look().loss
    assert all(any(torch.equal(p, q) for q in full.scene.groups[0].params) for p in run.scene.groups[0].params)

def test_grey_and_inverted():
    for more in (dict(colour=False), dict(colour=False, invert=True)):
        run = a_run(**more)
        first = run.look()
        for _ in range(20): run.step()
        run.set(lines=40); run.step()
        assert first.picture.shape[0] == 1 and run.look().loss < first.loss and run.scene.groups[0].colour is None

@pytest.mark.parametrize('make, says', [
    (dict(image='nowhere.png'), 'nowhere.png'), (dict(sigma2=None), 'sigma2 None'), (dict(sigma2='1'), "sigma2 '1'"), (dict(lr=None), 'lr None'), (dict(loss=None), 'loss None'), (dict(sigma2=0.), 'sigma2 0'), (dict(lr=-1.), 'lr -1'), (dict(lines=0), 'no strokes'), (dict(loss='NoLoss'), 'NoLoss'), (dict(opt_sigma2=True), 'no setting opt_sigma2'),
    (dict(strokes=5), 'no setting strokes'), (dict(opacity=None), 'opacity'), (dict(compose='oil'), 'oil'), (dict(device='tpu:0'), 'tpu'), (dict(width=0), 'width 0')])
def test_bad_input_is_refused_at_the_door(make, says):
    with pytest.raises((ValueError, FileNotFoundError), match=says): LiveRun(**dict(image='sample:china') | SMALL | make)

@pytest.mark.parametrize('changes, says', [(dict(sigma2=math.nan), 'sigma2'), (dict(sigma2=-1.), 'sigma2 -1'), (dict(sigma2=None), 'sigma2 None'), (dict(sigma2='1'), "sigma2 '1'"), (dict(lr=None), 'lr None'), (dict(lr='.1'), "lr '.1'"), (dict(lr=True), 'lr True'), (dict(loss=None), 'loss None'), (dict(loss=3), 'loss 3'), (dict(lr=0.), 'lr 0'), (dict(lines=0), 'lines 0'), (dict(lines=2.5), 'lines 2.5'), (dict(lines=5.), 'lines 5.0'), (dict(lines='7'), "lines '7'"), (dict(points=3), 'points cannot'),
    (dict(compose='oil'), 'oil'), (dict(loss='NoLoss'), 'NoLoss'), (dict(seed=3), 'seed cannot')])
def test_a_wrong_setting_changes_nothing(changes, says):
    run, other = a_run(), a_run()
    run.step(); other.step()
    with pytest.raises(ValueError, match=says): run.set(**{'lr': .5, 'sigma2': 9., 'lines': 50} | changes)
    assert run.marks == []
    run.step(); other.step()
    assert same(run.look(), other.look())

# --- the thread

class Counter:
    "The least that a runner can drive."
    def __init__(self, seconds=0., fails_at=None): self.iteration, self.seconds, self.fails_at, self.threads, self.width = 0, seconds, fails_at, set(), 1
    def here(self): self.threads.add(threading.current_thread().name)
    def step(self):
        self.here()
        if self.iteration == self.fails_at: raise ValueError(f'step {self.iteration} failed')
        time.sleep(self.seconds)
        self.iteration += 1
    def look(self): self.here(); return SimpleNamespace(iteration=self.iteration)
    def reset(self): self.here(); self.iteration = 0
    def set(self, width):
        self.here()
        if width < 0: raise ValueError(f'width {width}')
        self.width = width

def soon(true, seconds=90):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, 'it did not happen'
        time.sleep(.002)

def test_start_pause_step_reset():
    shown = []
    r = Runner(Counter(.001), lambda: shown.append((r.state, r.latest.iteration)), fps=50)
    assert r.state == 'getting ready'
    r.start().result(10)
    soon(lambda: r.latest and r.latest.iteration > 20)
    assert r.state == 'running' and len(shown) > 1
    r.pause().result(10)
    stopped = r.run.iteration
    time.sleep(.05)
    assert r.wait(10) and r.run.iteration == stopped == shown[-1][1] and shown[-1][0] == 'paused'   # what is shown last is how it is
    assert r.step(3).result(10) is None and r.latest.iteration == stopped + 3
    r.start(); r.step().result(10)                              # a step pauses
    assert r.state == 'paused'
    r.start(); r.reset().result(10)
    assert (r.state, r.latest.iteration, r.run.iteration) == ('paused', 0, 0)
    assert r.run.threads == {'dsketch-live'}                    # and nobody else ever touched it
    assert [i for _, i in shown[:2]] == sorted(i for _, i in shown[:2])

def test_a_start_ends_by_itself_and_leaves_no_thread():
    r = Runner(Counter(), iters=100)
    r.start(); assert r.wait(10)
    assert (r.run.iteration, r.state, r.latest.iteration) == (100, 'paused', 100)
    r.start(7); assert r.wait(10)
    assert r.run.iteration == 107 and not any(t.name == 'dsketch-live' for t in threading.enumerate())

def test_it_is_shown_no_more_often_than_asked():
    shown = []
    r = Runner(Counter(.0005), lambda: shown.append(time.monotonic()), fps=20)
    begun = time.monotonic()
    r.start(400); assert r.wait(30)
    assert 2 <= len(shown) <= 20*(shown[-1] - begun) + 3

def test_requests_from_many_threads_are_all_met_and_in_order():
    r, got = Runner(Counter(.0002)), []
    r.start()
    def ask(k):
        for i in range(50): got.append(r.do(lambda i=i: (k, i, r.run.step())[:2]))
    threads = [threading.Thread(target=ask, args=(k,)) for k in range(6)]
    for t in threads: t.start()
    for t in threads: t.join()
    answers = [f.result(20) for f in got]
    for k in range(6): assert [i for j, i in answers if j == k] == list(range(50))
    r.pause(); assert r.wait(10) and r.run.iteration >= 300 and r.run.threads == {'dsketch-live'}

def test_a_step_that_fails_stops_the_run_and_is_kept():
    shown = []
    r = Runner(Counter(fails_at=5), lambda: shown.append(r.error))
    r.start(); assert r.wait(10)
    assert r.state == 'paused' and str(r.error) == str(shown[-1]) == 'step 5 failed' and r.latest.iteration == 5
    with pytest.raises(ValueError, match='step 5'): r.step().result(10)
    r.run.fails_at = None                                        # mended, it goes on
    r.start(10); assert r.wait(10)
    assert (r.error, r.run.iteration) == (None, 15)

def test_a_refused_request_is_told_and_the_run_goes_on():
    r = Runner(Counter(.001), fps=100)
    r.start()
    with pytest.raises(ValueError, match='width -1'): r.set(width=-1).result(10)
    assert r.state == 'running' and 'width -1' in str(r.error)
    at = r.run.iteration
    soon(lambda: r.run.iteration > at + 5)
    assert r.error is not None                                   # still there to be read
    r.set(width=4).result(10)
    assert (r.run.width, r.error, r.state) == (4, None, 'running')
    r.close()

def test_a_display_that_fails_stops_the_run_and_is_kept():
    def show(): raise RuntimeError('no screen')
    r = Runner(Counter(), show)
    r.start(); assert r.wait(10)
    assert str(r.error) == 'no screen' and r.state == 'paused'
    class Exits(Counter):
        def step(self): raise SystemExit('enough')
    r = Runner(Exits())
    r.start(); assert r.wait(10)
    assert isinstance(r.error, SystemExit) and r.do(lambda: 1).result(10) == 1      # the next thread is a good one

def test_closed_is_closed():
    shown = []
    r = Runner(Counter(.05), lambda: shown.append(1))
    r.start(); soon(lambda: r.run.iteration)
    waiting = [r.step() for _ in range(20)]
    begun = time.monotonic()
    r.close()
    assert time.monotonic() - begun < 2 and r.wait(0) and r.state == 'closed'
    n, i = len(shown), r.run.iteration
    time.sleep(.2)
    assert (len(shown), r.run.iteration) == (n, i) and any(f.cancelled() for f in waiting) and all(f.done() for f in waiting)
    with pytest.raises(RuntimeError, match='closed'): r.start()
    r.close()                                                    # twice does no harm

def test_closed_in_the_middle_of_a_step_it_stays_closed():
    asked = threading.Event()
    class Slow(Counter):
        "Closed while the runner asks how far it is."
        @property
        def iteration(self):
            if sys._getframe(1).f_code.co_name == '_advance': asked.set(); time.sleep(.2)
            return self.n
        @iteration.setter
        def iteration(self, n): self.n = n
    r = Runner(Slow())
    r.start()
    assert asked.wait(5)
    r.close()
    assert r.wait(0) and not r.running

def test_two_at_once_do_what_each_does_alone():
    alone = [a_run(seed=s, compose=m) for s, m in ((1, 'ink'), (2, 'paint'))]
    for run in alone:
        for _ in range(60): run.step()
    both = [Runner(a_run(seed=s, compose=m), fps=30) for s, m in ((1, 'ink'), (2, 'paint'))]
    for r in both: r.start(60)
    for _ in range(10): a_run(lines=200).look()                  # and this thread draws as well
    for r, run in zip(both, alone):
        assert r.wait(60) and r.error is None and same(r.latest, run.look())

def test_settings_change_a_run_that_goes_on():
    r = Runner(a_run(), fps=30)
    r.start(10**6)
    for changes in (dict(lines=50), dict(sigma2=4.), dict(lr=.05), dict(loss='PyrMSELoss'), dict(compose='paint'), dict(lines=10)): r.set(**changes).result(60)
    assert r.state == 'running' and r.error is None
    r.pause(); assert r.wait(60)
    assert (len(r.latest.scene), r.latest.scene.compose, r.run.loss, r.run.o.optimiser.param_groups[0]['lr']) == (10, 'paint', 'PyrMSELoss', .05)
    assert [text for _, text in r.run.marks] == ['lines 50', 'width 2', 'lr 0.05', 'PyrMSELoss', 'paint', 'lines 10']

def test_python_ends_while_it_runs():
    code = ("from dsketch_nb.live_run import LiveRun, Runner\n"
            "r = Runner(LiveRun('sample:china', width=48, lines=30)); r.step().result(); r.start(10**9)\nprint('ends')")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and done.stdout == 'ends\n' and 'Traceback' not in done.stderr and 'Fatal' not in done.stderr, done.stderr

def test_a_kernel_is_shut_down_while_it_runs(tmp_path):
    from jupyter_client.manager import start_new_kernel
    manager, client = start_new_kernel(cwd=str(tmp_path), kernel_name='python3', startup_timeout=300)
    try:
        answer = client.execute_interactive("from dsketch_nb.live import LiveOptimiser\nlive = LiveOptimiser('sample:china', width=48, lines=30, iters=10**9)\n"
                                            "live.start(); live.step().result(); live.start()", timeout=600, output_hook=lambda m: None)
        assert answer['content']['status'] == 'ok'
        said = []
        client.execute_interactive("print(live.runner.do(lambda: live.runner.running).result())", timeout=300, output_hook=lambda m: said.append(m['content'].get('text')))
        assert 'True\n' in said
        client.shutdown()
        soon(lambda: not manager.is_alive(), 30)                 # by itself: nobody kills it
        assert manager.provisioner.process.returncode == 0
    finally:
        client.stop_channels()
        if manager.is_alive(): manager.shutdown_kernel(now=True)

# --- the widget, asked by messages as a page asks it

class Page:
    "What a page that shows the widget sends and hears."
    def __init__(self, live):
        self.live, self.heard, self.shows = live, [], True
        live.send = lambda message, buffers=(): (self.heard.append((message, [bytes(b) for b in buffers])), self.shows and 'n' in message and live._asked(live, dict(do='shown', n=message['n']), []))
    def ask(self, what, *buffers, wait=True, **more):
        "The answer, once the runner has nothing left to do."
        number = len(self.heard)
        self.live._asked(self.live, dict(to="me", id=number, do=what, **more), buffers)
        if wait: assert self.live.runner.wait(60)
        soon(lambda: any(m.get('id') == number for m, _ in self.heard))
        message, buffers = next(o for o in self.heard if o[0].get('id') == number)
        assert message['to'] == 'me'
        return message | ({'file': buffers[0]} if buffers else {})
    @property
    def frames(self): return [(m, b) for m, b in self.heard if 'n' in m]
    @property
    def last(self): return self.frames[-1][0]
    @property
    def picture(self): return next(b[0] for _, b in reversed(self.frames) if b)

@pytest.fixture
def live():
    live = LiveOptimiser('sample:china', fps=50, **SMALL)
    live.page = Page(live)
    assert live.runner.wait(60)
    yield live
    live.close()

def test_its_buttons(live):
    page = live.page
    page.ask('look')
    assert (page.last['running'], page.last['iteration'], page.picture) == (False, 0, png(live.run.look().picture))
    page.ask('start', wait=False)
    soon(lambda: page.last['iteration'] > 5)
    assert page.last['running'] and page.picture[:3] == b'\xff\xd8\xff'      # JPEG while it runs
    page.ask('pause')
    n = live.run.iteration
    assert (page.last['running'], page.last['iteration'], page.picture) == (False, n, png(live.run.look().picture))    # exact at rest
    page.ask('step'); page.ask('step')
    assert live.shown.iteration == n + 2
    page.ask('reset')
    assert live.shown.iteration == 0 and same(live.shown, a_run().look())
    page.ask('start', wait=False)
    page.ask('reset', wait=False)
    assert live.runner.running                                               # begun anew, it goes on
    page.ask('pause')

def test_its_controls_act_while_it_runs(live):
    page, names = live.page, [o for _, o in live.menu]
    page.ask('start', wait=False)
    for changes in (dict(lines=60), dict(sigma=5.**.5, lr=.1), dict(loss=str(names.index('BlurredMSELoss'))), dict(compose='paint')): page.ask('set', wait=False, changes=changes)
    assert live.runner.running
    page.ask('pause')
    assert (len(live.shown.scene), live.run.o.optimiser.param_groups[0]['lr'], live.run.loss, live.shown.scene.compose) == (60, .1, 'BlurredMSELoss', 'paint')
    assert live.run.sigma2 == pytest.approx(5.) and [text for _, text in page.last['marks']] == ['lines 60', 'lr 0.1', 'width 2.24', 'BlurredMSELoss', 'paint']
    shown = page.last['settings']
    assert (shown['lines'], shown['lr'], shown['compose'], live.menu[int(shown['loss'])]) == (60, .1, 'paint', ('squared error, blurred', 'BlurredMSELoss'))

def test_python_steers_it_and_the_controls_follow(live):
    live.set(lines=40, sigma2=9., loss='PyrMSELoss').result(60); live.step(3).result(60)
    shown = live.page.last['settings']
    assert (shown['lines'], shown['sigma'], live.menu[int(shown['loss'])][1], live.page.last['iteration']) == (40, 3., 'PyrMSELoss', 3)
    live.start().result(60); assert live.runner.running
    live.pause().result(60); live.reset().result(60); live.runner.wait(60)
    assert live.shown.iteration == 0
    def other(a, b): return (a - b).abs().mean()
    live.set(loss=other).result(60)                                          # one that is not in the menu
    assert live.page.last['settings']['loss'] == '' and live.run.loss is other
    with pytest.raises(ValueError, match='lines 0'): live.set(lines=0).result(60)

def test_it_looks_back_while_it_runs(live):
    page = live.page
    live.start()
    soon(lambda: live.runner.latest.iteration > 30)
    live.look_back(0.).result(60)
    soon(lambda: page.last['looking'])
    first, shown = page.picture, live.runner.latest.iteration
    assert (page.last['iteration'], page.last['running']) == (0, True) and page.last['of'] >= 30
    soon(lambda: live.runner.latest.iteration > shown + 20)                  # it goes on behind what one looks at
    assert page.picture == first == png(a_run().look().picture)
    live.look_back(.5).result(60)
    assert 0 < live.shown.iteration < live.runner.latest.iteration
    live.look_back(1.).result(60)
    soon(lambda: not page.last['looking'] and live.shown.iteration > shown + 20)
    live.look_back(.2)
    page.ask('pause'); page.ask('step')                                      # a step shows what is now
    assert live.pinned is None and live.shown is live.runner.latest
    past = page.last['past']
    for at, wanted in ((0, 0), (past - 1, live.run.past.kept[-1][0]), (10**6, live.run.past.kept[-1][0])):
        page.ask('look', at=at)
        assert live.shown.iteration == wanted
    page.ask('look', at=None)
    assert not page.last['looking']

def test_a_page_that_cannot_follow_gets_fewer_pictures(live):
    page = live.page
    page.shows = False
    page.ask('start', wait=False)
    soon(lambda: live.run.iteration > 200, 300)
    many = len(page.frames)
    assert many < 40                                                         # at 50 a second, hundreds of iterations long
    page.ask('pause')
    assert page.last['iteration'] == live.run.iteration and not page.last['running']    # the last one always comes
    page.shows = True
    live._asked(live, dict(do='shown', n=page.last['n']), [])
    before = len(page.frames)
    page.ask('start', wait=False)
    soon(lambda: len(page.frames) > before + 10)

def test_the_svg_is_what_one_sees(live, tmp_path):
    page = live.page
    page.ask('step', n=30)
    resvg_py, pictures = pytest.importorskip('resvg_py'), []
    for at in (0., .4, 1.):
        live.look_back(at).result(60); live.runner.wait(60)
        data = page.ask('svg')['svg'].encode()
        assert .9*len(live.shown.scene) <= len(list(ET.fromstring(data).iter(SVG + 'path'))) <= len(live.shown.scene)
        live.save_svg(tmp_path/'x.svg')
        assert (tmp_path/'x.svg').read_bytes() == data
        seen = Image.open(io.BytesIO(page.picture)).convert('RGB')
        drawn = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=data.decode())))).convert('RGB')
        seen, drawn = (torch.frombuffer(bytearray(i.tobytes()), dtype=torch.uint8).float()/255 for i in (seen, drawn))
        assert (seen - drawn).square().mean() < 4e-3             # 24 dB: a thin stroke is drawn by its area
        assert all((other - drawn).square().mean() > .01 for other in pictures)
        pictures.append(seen)
    assert len(list(tmp_path.iterdir())) == 1

def test_what_it_is_asked_for_as_files(live, tmp_path):
    page = live.page
    page.ask('step', n=25)
    pixels = page.ask('pixels', scale=3)
    image = Image.open(io.BytesIO(pixels['file']))
    assert (pixels['height'], pixels['width']) == image.size[::-1] == tuple(3*n for n in live.run.scene.size)
    film = Image.open(io.BytesIO(page.ask('film')['file']))
    assert film.format == 'GIF' and film.n_frames > 5 and film.size == (2*48 + 4, live.run.scene.height)
    live.save_png(tmp_path/'a.png'); live.save_gif(tmp_path/'a.gif')
    assert Image.open(tmp_path/'a.png').size == (4*48, 4*live.run.scene.height) and Image.open(tmp_path/'a.gif').n_frames == film.n_frames
    met = page.ask('meet')
    assert Image.open(io.BytesIO(met['file'])).size == (met['width'], met['height']) == (48, live.run.scene.height)
    page.ask('part', share=.5)
    assert len(live.shown.scene) == 15 and page.last['looking']
    page.ask('part', share=1.)
    assert live.pinned is None

@pytest.mark.parametrize('compose', ['ink', 'paint'])
def test_a_stroke_in_the_hand(compose):
    live = LiveOptimiser('sample:china', compose=compose, points=10, shapes=5, **SMALL)
    page = Page(live)
    assert live.runner.wait(60)
    page.ask('step', n=20)
    scene, p = live.run.scene, live.run.scene.pitch
    for n in (0, 12, 31, 43):                                                # every one can be asked for; most can be seen in their middle
        held = page.ask('stroke', n=n)['picked']
        assert held['params'] == scene.groups[held['group']].params[held['stroke']].flatten().tolist() and held['kind'] == scene.groups[held['group']].kind
    found = []
    for n in range(45):
        params = torch.tensor(page.ask('stroke', n=n)['picked']['params']).view(-1, 2).mean(0)
        row, col = (params/p + (torch.tensor(scene.size) - 1)/2).tolist()
        got = page.ask('pick', row=row, col=col)['picked']
        found.append(got is not None and sum(len(g) for g in scene.groups[:got['group']]) + got['stroke'] >= n)
    assert sum(found) >= 40                                                  # that one, or one that lies on it
    held = page.ask('stroke', n=12)['picked']
    corner = [-.5 + .1*(i//2) for i in range(len(held['params']))]
    page.ask('hold', group=held['group'], stroke=held['stroke'], params=corner)
    page.ask('step', n=5)
    assert page.ask('stroke', n=12)['picked']['params'] == pytest.approx(corner)
    page.ask('release'); page.ask('step', n=5)
    assert page.ask('stroke', n=12)['picked']['params'] != pytest.approx(corner, abs=1e-4)
    page.ask('hold', group=held['group'], stroke=held['stroke'], params=corner)
    page.ask('set', changes=dict(lines=3))                                   # the held one may be gone
    page.ask('step')
    assert live.runner.error is None and live.run.held is None
    assert 'params must be' in page.ask('hold', group=0, stroke=0, params=[math.nan]*4)['error']
    assert 'no stroke 99' in page.ask('hold', group=0, stroke=99, params=[0.]*4)['error'] and page.ask('pick', row=-90., col=-90.)['picked'] is None
    live.close()

def test_a_picture_is_put_into_it(live):
    page = live.page
    page.ask('set', changes=dict(lines=20, sigma=2.))
    half = Image.new('RGBA', (100, 60), 'red'); half.paste((0, 0, 255, 255), (0, 0, 50, 60))
    page.ask('open', half.tobytes(), height=60, width=100, name='mine')
    assert (live.run.name, live.run.iteration, live.run.scene.size, len(live.run.scene), live.run.sigma2) == ('mine', 0, (29, 48), 20, 4.)   # at the width of this run, with its settings
    assert live.run.target[:, 5, 5].tolist() == [0., 0., 1.]
    page.ask('step', n=3)
    page.ask('aim', half.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((50, 30)).tobytes(), height=30, width=50)
    assert live.run.iteration == 3 and live.run.target[:, 5, 5].tolist() == [1., 0., 0.] and live.run.o.target is live.run.target
    page.ask('step')

def test_what_goes_wrong_is_on_the_screen():
    def broken(a, b): raise ValueError('a broken <loss>')
    live = LiveOptimiser('sample:china', losses=['MSELoss', ('broken', broken), ('no loss', 'NoLoss')], **SMALL)
    page = Page(live)
    live.runner.wait(60)
    page.ask('start', wait=False)
    page.ask('set', changes=dict(loss='1'), wait=False)
    live.runner.wait(60)
    assert page.last['error'] == 'ValueError: a broken <loss>' and not page.last['running']
    page.ask('set', changes=dict(loss='0'))
    assert page.last['error'] == ''
    page.ask('step')
    assert live.runner.error is None
    assert "'NoLoss' is not known" in page.ask('set', changes=dict(loss='2'))['error'] and "'NoLoss' is not known" in page.last['error'] and live.run.loss == 'MSELoss'
    for name, more in (('dance', {}), ('step', dict(often=3)), ('set', dict(changes=dict(kind='points')))): assert page.ask(name, **more)['error']
    live.close()
    assert 'closed' in page.ask('step')['error']

def test_closed_it_stops(live):
    live.start()
    soon(lambda: live.run.iteration > 3)
    live.close()
    n = live.run.iteration
    time.sleep(.1)
    assert live.run.iteration == n and live.runner.wait(0) and live.comm is None

def test_its_still_is_a_film():
    for steps, frames in ((0, 1), (25, 14)):
        live = LiveOptimiser('sample:china', steps=steps, **SMALL)
        data = live._repr_mimebundle_()[0]
        live.close()
        words = f'china: the target, and 30 strokes on their way, {steps} iterations'
        assert data['text/plain'] == words and f'alt="{words}"' in data['text/html']
        film = Image.open(io.BytesIO(b64decode(re.search('data:image/webp;base64,([^"]+)', data['text/html'])[1])))
        still = Image.open(io.BytesIO(b64decode(data['image/png'])))
        assert (f'(prefers-reduced-motion: reduce)" srcset="data:image/png;base64,{data["image/png"]}"' in data['text/html']) == (frames > 1)   # and a still for who wants no motion
        if frames > 1: assert film.info['loop'] == 3
        assert (film.format, getattr(film, 'n_frames', 1), still.format, still.size) == ('WEBP', frames, 'PNG', film.size)

def test_a_picture_of_ones_own(tmp_path):
    Image.linear_gradient('L').resize((40, 30)).save(tmp_path/'mine.png')
    live = LiveOptimiser(str(tmp_path/'mine.png'), width=None, lines=10, points=5, colour=False, invert=True)
    page = Page(live)
    live.runner.wait(60)
    assert live.run.name == live.state['name'] == 'mine' and [k for k, *_ in live.state['counts']] == ['points', 'lines'] and live.state['counts'][1][:2] == ['lines', 10]
    page.ask('set', changes=dict(points=9))
    assert isinstance(live.shown.scene, Scene) and len(live.shown.scene) == 19
    page.ask('aim', Image.new('RGBA', (40, 30), 'white').tobytes(), height=30, width=40)
    assert live.run.target.shape == (1, 30, 40)
    live.close()

# --- in a browser

CELLS = ["""from dsketch_nb.live import LOSS_MENU, LiveOptimiser
def broken(drawing, target): raise ValueError('this loss is broken')
live = LiveOptimiser('sample:china', iters=10**9, losses=[*LOSS_MENU, ('broken', broken)])
live""", "6*7, live.runner.running"]

@pytest.fixture(scope='module')
def page(lab):
    cells = [nbformat.v4.new_code_cell(c) for c in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={'kernelspec': {'name': 'python3', 'display_name': 'Python 3'}}), lab.folder/'nbs'/'live.ipynb')
    notebook = lab.open('live.ipynb')
    notebook.run_all(120)
    notebook.until('live.runner.state', lambda s: s == 'paused', 300)
    yield notebook
    notebook.ask('live.close()')
    assert not notebook.errors                                   # nothing that the tests did made the console complain

def button(cell, name): return cell.get_by_role('button', name=name, exact=True)
def said(cell): return cell.locator('.fit [role=status]')

def test_started_in_a_browser_the_kernel_still_answers(page):
    cell = page.show(0)
    said(cell).get_by_text('iteration 0, ').wait_for()
    button(cell, 'start').click()
    button(cell, 'pause').wait_for()
    page.until('live.run.iteration', lambda i: i > 3, 300)       # the backward pass is compiled
    page.show(1)
    page.command('notebook:run-cell')
    page.page.locator('.jp-Notebook .jp-Cell').nth(1).get_by_text('(42, True)').wait_for(timeout=30_000)
    cell = page.show(0)
    rates = [said(cell).evaluate("""o => new Promise(done => { let n = 0; const seen = new MutationObserver(() => n++);
      seen.observe(o, {childList: true, characterData: true, subtree: true}); setTimeout(() => { seen.disconnect(); done(n/2); }, 2000); })""") for _ in range(3)]
    assert max(rates) >= 2, f'{rates} pictures a second'
    assert cell.locator('.fit canvas').evaluate('c => [c.width, c.height]') == [200, 133]
    assert 'kernel of this notebook' in cell.locator('.fit-note').inner_text()

def test_steered_by_keys_while_it_runs(page):
    cell = page.show(0)
    for name, key, expression, right in (('lines', 'Home', 'len(live.run.scene)', lambda n: n == 1), ('lines', 'PageUp', 'len(live.run.scene)', lambda n: n > 1),
                                         ('width (pixels)', 'ArrowRight', 'live.run.sigma2', lambda v: 1 < v < 1.2), ('learning rate', 'ArrowLeft', "live.run.settings['lr']", lambda v: .008 < v < .01)):
        cell.get_by_role('slider', name=name, exact=True).press(key)
        page.until(expression, right)
    cell.get_by_role('combobox', name='loss').select_option('squared error, pyramid')
    page.until('live.run.loss', lambda v: v == 'PyrMSELoss')
    cell.get_by_role('img', name='Loss over').get_by_text('PyrMSELoss').wait_for()
    assert page.ask('live.runner.running')
    page.ask('bool(live.set(lines=321))')                             # Python says something: the slider shows it
    page.page.wait_for_function("o => o.getAttribute('aria-valuetext') === '321'", arg=cell.get_by_role('slider', name='lines', exact=True).element_handle())

def test_looked_back_and_saved(page, tmp_path):
    cell = page.show(0)
    button(cell, 'pause').click()
    button(cell, 'start').wait_for()
    back, saved = cell.get_by_role('slider', name='look back'), {}
    for at in ('Home', 'PageUp', 'End'):
        back.press(at)
        iteration = page.until('(live.shown.iteration, live.runner.latest.iteration)', lambda v: v[0] == 0 if at == 'Home' else v[0] == v[1] if at == 'End' else 0 < v[0] < v[1])[0]
        said(cell).get_by_text(f'iteration {iteration}').first.wait_for()
        with page.page.expect_download() as download: button(cell, 'SVG').click()
        assert download.value.suggested_filename == f'china-{iteration}.svg'
        download.value.save_as(tmp_path/f'{at}.svg')
        saved[at] = (tmp_path/f'{at}.svg').read_bytes()
        tree = ET.fromstring(saved[at])
        assert tree.tag == SVG + 'svg' and tree.get('viewBox') == '0 0 200 133'
        paths, strokes = len(list(tree.iter(SVG + 'path'))), page.ask('len(live.shown.scene)')
        assert paths == strokes if at == 'Home' else 0 < paths <= strokes   # those that have faded to white are not written
        assert page.ask('__import__("hashlib").sha256(live._on_svg()["svg"].encode()).hexdigest()') == __import__('hashlib').sha256(saved[at]).hexdigest()
    assert len({*saved.values()}) == 3
    for name, size in (('PNG', (800, 532)), ('GIF', (404, 133))):
        with page.page.expect_download() as download: button(cell, name).click()
        download.value.save_as(tmp_path/name)
        assert Image.open(tmp_path/name).size == size

def test_a_stroke_is_taken_and_moved_by_keys(page):
    cell = page.show(0)
    button(cell, 'take a stroke').click()
    dot = cell.get_by_role('slider', name='point 1 of 2')
    dot.wait_for()
    group, stroke, before = page.until('live.run.held and (live.run.held[0], live.run.held[1], live.run.held[2].tolist())', bool)
    for _ in range(3): dot.press('ArrowDown')
    page.until(f'live.run.stroke({stroke})[2].tolist()', lambda v: v[0][0] > before[0][0] + .03 or before[0][0] > .9)
    dot.press('Escape')
    page.until('live.run.held', lambda v: v is None)

def test_a_picture_of_ones_own_goes_to_the_kernel(page, tmp_path):
    cell = page.show(0)
    Image.new('RGB', (300, 300), 'teal').save(tmp_path/'square.png')
    cell.locator('.fit input[type=file]').set_input_files(tmp_path/'square.png')
    page.until('(live.run.name, live.run.scene.size, live.runner.running)', lambda v: v == ('square', (200, 200), True), 30)
    page.page.wait_for_function("o => o.width === o.height", arg=cell.locator('.fit canvas').element_handle())
    button(cell, 'pause').click()

def test_stepped_broken_and_begun_anew(page):
    cell = page.show(0)
    button(cell, 'start').wait_for()
    before = page.ask('live.run.iteration')
    button(cell, 'step').click()
    page.until('live.shown.iteration', lambda i: i == before + 1)
    cell.get_by_role('combobox', name='loss').select_option('broken')
    cell.get_by_role('alert').get_by_text('ValueError: this loss is broken').wait_for()
    cell.get_by_role('combobox', name='loss').select_option('squared error')
    page.until('live.runner.error is None', bool)
    button(cell, 'start again').click()
    page.until('live.shown.iteration', lambda i: i == 0)
    assert cell.locator('.fit-error').inner_text() == ''

def test_on_a_phone_it_fits(page):
    page.page.set_viewport_size({'width': 390, 'height': 900})
    page.command('application:toggle-left-area')
    cell = page.show(0)
    right = cell.evaluate('cell => cell.getBoundingClientRect().right')
    for part in [cell.locator('.fit canvas'), cell.get_by_role('img', name='Loss over'), button(cell, 'SVG'), *cell.get_by_role('slider').all(), *cell.get_by_role('combobox').all()]:
        box = part.bounding_box()
        assert box and box['width'] > 30 and box['x'] + box['width'] <= right + 1, box
