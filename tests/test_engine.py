"""The optimiser in the page: engine.js, run by a real browser, against the package."""
import math
from pathlib import Path

import pytest
import torch
import wasm
from PIL import Image, ImageDraw
from conftest import watched
from dsketch_nb import widgets
from dsketch_nb.optimise import Cosine, ImageOptimiser, LearnWidths
from dsketch_nb.pictures import load_picture
from dsketch_nb.losses import blurred_mse_loss
from dsketch_nb.placement import edge_direction, image_gradient, structure_tensor
from dsketch_nb.raster import pixel_pitch
from dsketch_nb.scene import Scene

STATIC = Path(widgets.__file__).parent/'static'

@pytest.fixture(scope='module', params=['JavaScript', 'WebAssembly'])
def js(browser, request):
    "Ask the browser: js(body of an async function of `engine` and `data`, data). Once with the loops in JavaScript, once with the compiled ones."
    context = browser.new_context()
    context.set_offline(True)
    page, wrong = watched(context)
    page.route('**/*', lambda route: route.fulfill(content_type='text/html', body='<!doctype html><title>page</title>'))
    page.goto('http://page.test/')
    source = (STATIC/'engine.js').read_text(encoding='utf-8')
    page.evaluate("async source => { window.engine = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))); }", source)
    assert page.evaluate('wanted => window.engine.compiled(wanted)', request.param == 'WebAssembly') == (request.param == 'WebAssembly')
    yield lambda body, data=None: page.evaluate(f'async data => {{ const engine = window.engine; {body} }}', data)
    assert not wrong
    context.close()

# --- one drawing

def random_scene(i):
    "A scene of every kind and size, often a degenerate one."
    g = torch.Generator().manual_seed(i)
    one = lambda *options: options[int(torch.randint(len(options), (1,), generator=g))]
    rand = lambda *s: torch.rand(*s, generator=g)
    compose = one('paint', 'paint', 'ink', 'softor')
    height, width = one((24, 32), (33, 17), (40, 40), (1, 30), (20, 1), (1, 1), (2, 3))
    scene = Scene(height, width, compose, (1.,)*3 if compose == 'softor' else rand(3).tolist())
    for _ in range(one(1, 1, 2, 3)):
        kind, n, chords = one('points', 'segments', 'polylines', 'beziers'), one(1, 2, 5, 12), one(1, 3, 10)
        k = {'points': 1, 'segments': 2, 'polylines': one(1, 2, 3, 6), 'beziers': one(4, 4, 7)}[kind]
        params = (rand(n, 1, 2)*2.6 - 1.3) * torch.tensor([1., width/max(height, 2)]) + (rand(n, k, 2) - .5)*one(.05, .5, 2.)
        shape = one('as it is', 'as it is', 'no length', 'upright', 'flat', 'on itself', 'twice')
        if shape == 'no length': params = params[:, :1].expand(n, k, 2).clone()
        if shape == 'upright': params[..., 1] = params[:, :1, 1]
        if shape == 'flat': params[..., 0] = params[:, :1, 0]
        if shape == 'on itself': params[:, -1] = params[:, 0]
        if shape == 'twice': params = params[:1].expand(n, k, 2).clone()
        sigma = (.3 + rand(n)*one(.5, 3., 8.)) * scene.pitch
        colour = None if compose == 'softor' else (rand(n, 3)*one(1., 1.4) - one(0., .2)).clamp(0, 1)
        scene.add(kind, params, colour, sigma**2, (rand(n)*1.4 - .2).clamp(0, 1), chords)
        # parts of such a stroke lie on each other: which of them is nearest, and so gets the gradient, is rounding's business
        scene.groups[-1].tied = shape in ('no length', 'upright', 'flat', 'on itself') and k > 2
    return scene

def plain(scene):
    "What engine.js takes."
    groups = [dict(kind=g.kind, points=g.params.shape[1], chords=g.chords, params=g.params.flatten().tolist(), alpha=g.alpha.tolist(), sigma=g.sigma2.sqrt().tolist(),
                   colour=[0.]*3*len(g) if g.colour is None else g.colour.flatten().tolist()) for g in scene.groups]
    return dict(height=scene.height, width=scene.width, compose=scene.compose, paper=list(scene.paper), groups=groups)

def python_says(scene, grad):
    "The picture [H, W, 3], and the gradients of sum(grad * picture) by everything: in double precision, since JavaScript reckons so with its single numbers."
    scene, grad = scene.double(), grad.double()
    for g in scene.groups:
        for p in g.parameters(): p.requires_grad_()
    picture = scene.draw().movedim(0, -1).expand(scene.height, scene.width, 3)
    if picture.requires_grad: (picture*grad).sum().backward()
    zero = lambda p: torch.zeros_like(p) if p.grad is None else p.grad
    by = [dict(params=zero(g.params), alpha=zero(g.alpha), width=zero(g.sigma2)*2*g.sigma2.detach(), colour=None if g.colour is None else zero(g.colour)) for g in scene.groups]
    return picture.detach(), by

DRAW = """return data.map(({ scene, grad }) => {
  const d = new engine.Drawing(scene.height, scene.width), groups = scene.groups.map(g => new engine.Group(g));
  const picture = Array.from(d.draw(groups, scene.compose, scene.paper));
  d.backward(Float32Array.from(grad));
  d.scatter(groups);
  return { picture, groups: groups.map(g => Object.fromEntries(['params', 'colour', 'width', 'alpha'].map(k => [k, Array.from(g[k].grad)]))) };
});"""

def agree(js, scenes):
    "Picture and gradients of the page are Python's: to one part in 10,000 of the largest. How many gradients there were."
    grads = [torch.randn(s.height, s.width, 3, generator=torch.Generator().manual_seed(i)) for i, s in enumerate(scenes)]
    answers = js(DRAW, [dict(scene=plain(s), grad=g.flatten().tolist()) for s, g in zip(scenes, grads)])
    drawn, worst = 0, {}
    for i, (scene, grad, answer) in enumerate(zip(scenes, grads, answers)):
        picture, by = python_says(scene, grad)
        off = {'picture': (torch.tensor(answer['picture'], dtype=torch.float64).view_as(picture) - picture).abs().max().item()}
        for k in ('params', 'colour', 'width', 'alpha'):
            pairs = [(p[k], torch.tensor(a[k], dtype=torch.float64).view_as(p[k])) for p, a in zip(by, answer['groups']) if p[k] is not None]
            if k == 'params': pairs = [(p.sum(1), a.sum(1)) if g.tied else (p, a) for g, (p, a) in zip(scene.groups, pairs)]
            largest = max((p.abs().max().item() for p, _ in pairs if p.numel()), default=0.)
            drawn += largest > .01
            off[k] = max(((p - a).abs().max().item() for p, a in pairs if p.numel()), default=0.) / max(largest, .01)
        worst = {k: max((v, i), worst.get(k, (0., 0))) for k, v in off.items()}
    assert max(worst.values())[0] < 1e-4, worst
    return drawn

def test_picture_and_gradients_are_those_of_draw(js):
    drawn = agree(js, [random_scene(i) for i in range(200)])
    assert drawn > 500, f'{drawn}: most scenes must have something to differentiate'

def some(height, width, kind='segments', n=3, sigma=2., shift=0., compose='paint', spread=1.):
    "Strokes of one kind at random places; `sigma` in pixels."
    g = torch.Generator().manual_seed(height*width + n)
    k = {'points': 1, 'segments': 2, 'polylines': 5, 'beziers': 4}[kind]
    params = (torch.rand(n, k, 2, generator=g)*2 - 1)*spread + shift
    scene = Scene(height, width, compose, (.2, .5, .9))
    scene.add(kind, params, torch.rand(n, 3, generator=g), torch.full((n,), (sigma*scene.pitch)**2), torch.rand(n, generator=g))
    scene.groups[-1].tied = False
    return scene

KINDS = ('points', 'segments', 'polylines', 'beziers')
DEGENERATE = {
    'no strokes': lambda: [some(5, 7, n=0), some(1, 1, n=0)],
    'one pixel': lambda: [some(1, 1, kind) for kind in KINDS],
    'one row or column': lambda: [some(h, w, kind) for kind in KINDS for h, w in ((1, 13), (13, 1))],
    'off the canvas': lambda: [some(9, 14, kind, shift=shift, spread=.2) for kind in KINDS for shift in (-5., 1.1, 40., -1e6, 1e10)],
    'some off the canvas': lambda: [some(9, 14, kind, n=20, spread=3., compose=compose) for kind in KINDS for compose in ('paint', 'ink')],
    'wider than the canvas': lambda: [some(12, 11, kind, sigma=sigma) for kind in KINDS for sigma in (50., 3e3)],
    'thin': lambda: [some(12, 11, kind, sigma=sigma) for kind in KINDS for sigma in (.3, .05)],
    'widths not a multiple of 4': lambda: [some(6, w, kind, n=8, compose=compose) for w in range(1, 13) for kind in KINDS for compose in ('paint', 'ink')],
    'long and level': lambda: [some(6, 301, spread=torch.tensor([.001, 1.]), n=9, sigma=.5)],
}

@pytest.mark.parametrize('name', DEGENERATE)
def test_degenerate_drawings(js, name): agree(js, DEGENERATE[name]())

# --- the rest of an iteration

def photo(width):
    "A photograph [3, H, W] for Python, and [H, W, 3] as a list for the page."
    x = load_picture('sample:china', width)
    return x, x.movedim(0, -1).flatten().tolist()

def test_losses_and_their_gradients(js):
    g = torch.Generator().manual_seed(1)
    picture, target = torch.rand(2, 1, 3, 23, 30, generator=g)
    flat = lambda x: x[0].movedim(0, -1).flatten().tolist()
    answer = js("""const [p, t] = data.map(x => Float32Array.from(x)), a = new Float32Array(p.length), b = new Float32Array(p.length);
      return [[engine.mse(p, t, a), Array.from(a)], [new engine.BlurredMSE(23, 30, 1.7).value(p, t, b), Array.from(b)]];""", [flat(picture), flat(target)])
    for loss, (value, grad) in zip((torch.nn.functional.mse_loss, lambda p, t: blurred_mse_loss(p, t, 1.7)), answer):
        p = picture.clone().requires_grad_()
        wanted = loss(p, target)
        wanted.backward()
        assert value == pytest.approx(wanted.item(), rel=1e-5)
        torch.testing.assert_close(torch.tensor(grad).view(23, 30, 3), p.grad[0].movedim(0, -1), rtol=1e-4, atol=1e-9)

def test_edges_are_those_of_the_page_on_placement(js):
    x, flat = photo(40)
    h, w = x.shape[1:]
    answer = js('const { strength, way } = engine.edges(Float32Array.from(data[0]), data[1], data[2]); return [Array.from(strength), Array.from(way)];', [flat, h, w])
    torch.testing.assert_close(torch.tensor(answer[0]).view(h, w), image_gradient(x).norm(dim=0), atol=1e-6, rtol=1e-4)
    way, wanted = torch.tensor(answer[1]).view(h, w, 2), edge_direction(structure_tensor(x)).movedim(0, -1)
    clear = structure_tensor(x)[:2].sum(0) > 1e-5                            # where there is an edge at all; a way and its reverse are one
    assert ((way*wanted).sum(-1).abs()[clear] > .999).all() and clear.float().mean() > .5

def test_strokes_begin_where_they_are_wanted_and_along_the_edges(js):
    x, flat = photo(60)
    h, w = x.shape[1:]
    weight = torch.zeros(h, w); weight[10:20, 30:40] = 1.
    answer = js("""const t = Float32Array.from(data.flat), e = engine.edges(t, data.h, data.w);
      return engine.strokesAlong('segments', 2, 400, t, data.h, data.w, Float64Array.from(data.weight), e.way, engine.random(3));""", dict(flat=flat, h=h, w=w, weight=weight.flatten().tolist()))
    ends = torch.tensor(answer['params']).view(400, 2, 2)/pixel_pitch(h, w) + torch.tensor([h - 1, w - 1])/2
    middle, long = ends.mean(1), (ends[:, 1] - ends[:, 0]).norm(dim=1)
    inside = ((middle - torch.tensor([14.5, 34.5])).abs() <= 5).all(1)
    assert .86 < inside.float().mean() < .97                                  # a tenth of the mean weight is everywhere: 1/11 of all
    assert 5 <= long.min() and long.max() <= 15 and 9 < long.mean() < 11
    row, col = middle.round().long().clamp(min=0).minimum(torch.tensor([h - 1, w - 1])).T
    torch.testing.assert_close(torch.tensor(answer['colour']).view(-1, 3), x[:, row, col].T, atol=1e-6, rtol=0.)
    way = edge_direction(structure_tensor(x))[:, row, col].T
    assert (((ends[:, 1] - ends[:, 0])/long[:, None]*way).sum(1).abs() > .99).float().mean() > .9

def test_what_a_stroke_is_worth(js):
    "The estimate against leaving each stroke out."
    x, flat = photo(40)
    answer = js("""const fit = new engine.Fit(Float32Array.from(data[0]), data[1], data[2], { strokes: 40, seed: 3, reseed: 0 });
      for (let i = 0; i < 60; i++) fit.step();
      const cost = Array.from(fit.removalCost(64)), moment = fit.moment(), sum = () => fit.lossOf(fit.draw()) * fit.target.length, full = sum();
      const missed = cost.map((_, n) => { const alpha = fit.groups[0].alpha.values, a = alpha[n]; alpha[n] = 0; const d = sum() - full; alpha[n] = a; return d; });
      return [cost, missed];""", [flat, *x.shape[1:]])
    cost, missed = torch.tensor(answer)
    order = cost.argsort()
    assert missed[order[:8]].mean() < .25*missed.mean() and torch.corrcoef(torch.stack([cost, missed]))[0, 1] > .9

SETTINGS = [dict(), dict(compose='ink', paper=[1., 1., 1.]), dict(loss='BlurredMSE'), dict(kind='beziers'), dict(kind='points', opt_sigma2=False, colour_lr=.02)]

@pytest.mark.parametrize('more', SETTINGS, ids=lambda o: ' '.join(map(str, o)) or 'paint')
def test_a_run_follows_python(js, more):
    "100 iterations from the same start: the same curve of losses."
    x, flat = photo(60)
    settings = dict(strokes=60, reseed=0, iters=100) | more
    answer = js("""const { flat, h, w, settings } = data, fit = new engine.Fit(Float32Array.from(flat), h, w, settings), moment = fit.moment();
      moment.groups = moment.groups.map(g => Object.fromEntries(Object.entries(g).map(([k, v]) => [k, v.buffer ? Array.from(v) : v])));
      return { moment, losses: Array.from({ length: 100 }, () => fit.step()) };""", dict(flat=flat, h=x.shape[1], w=x.shape[2], settings=settings))
    start = answer['moment']
    scene = Scene(start['height'], start['width'], start['compose'], start['paper'])
    for g in start['groups']: scene.add(g['kind'], torch.tensor(g['params']).view(-1, g['points'], 2), torch.tensor(g['colour']).view(-1, 3), torch.tensor(g['sigma'])**2, torch.tensor(g['alpha']), g['chords'])
    for g in scene.groups: g.alpha.requires_grad_()
    width = LearnWidths(scene, .45, 30.) if settings.get('opt_sigma2', True) else None
    lr = settings.get('colour_lr', .05)
    learned = [([g.params for g in scene.groups], .01), ([g.colour for g in scene.groups] + [g.alpha for g in scene.groups], lr)] + ([(width.parameters, .03)] if width else [])
    optimiser = torch.optim.Adam([dict(params=p, lr=r) for p, r in learned], betas=(.9, .95))
    loss = blurred_mse_loss if more.get('loss') == 'BlurredMSE' else torch.nn.functional.mse_loss
    o = ImageOptimiser(scene, x, loss, optimiser, [*([width] if width else []), Cosine(.05)])
    o.fit(100)
    assert o.history[-1] < .6*o.history[0]
    assert answer['losses'] == pytest.approx(o.history, rel=.01)

# --- the compiled loops

BOTH = """const run = compiled => {
    engine.compiled(compiled);
    const fit = new engine.Fit(Float32Array.from(data.flat), data.h, data.w, { strokes: 20, iters: 40, reseed: 0, ...data.settings }), losses = [], bytes = [];
    for (let i = 0; i < 40; i++) {
      if (i === 10) fit.set({ sigma: 15 });
      if (i === 20) fit.set({ strokes: 400 });
      if (i === 30) fit.set({ sigma: 1 });
      losses.push(fit.step());
      bytes.push(fit.drawing.machine?.program.memory.buffer.byteLength ?? 0);
      engine.pixels(fit.moment(), 1.5);                          // another drawing between two steps, in the same memory
    }
    return { losses, bytes, picture: Array.from(fit.draw()) };
  };
  return [run(false), run(true)];"""

@pytest.mark.parametrize('settings', [dict(), dict(kind='beziers', compose='ink', paper=[1., 1., 1.], loss='BlurredMSE')], ids=['lines', 'curves'])
def test_memory_grows_in_the_midst_of_a_run(js, settings):
    "Wider and more strokes need more room than there was: the run goes on as it does in JavaScript."
    x, flat = photo(61)
    plain, fast = js(BOTH, dict(flat=flat, h=x.shape[1], w=x.shape[2], settings=settings))
    assert fast['losses'] == pytest.approx(plain['losses'], rel=.01)
    assert fast['bytes'][0] < fast['bytes'][-1] and fast['bytes'] == sorted(fast['bytes']) and not any(plain['bytes'])

def test_memory_stays_as_it_is(js):
    "300 iterations of one drawing allocate nothing, and a drawing of that size between them no more."
    x, flat = photo(60)
    bytes = js("""const { flat, h, w } = data, still = { lr: 1e-9, colour_lr: 1e-9, sigma2_lr: 1e-9, reseed: 0 };
      const fit = new engine.Fit(Float32Array.from(flat), h, w, { strokes: 60, ...still });
      const held = () => Object.values(fit.drawing).reduce((n, o) => n + (o?.byteLength ?? 0), fit.drawing.machine?.program.memory.buffer.byteLength ?? 0);
      return Array.from({ length: 300 }, () => { fit.step(); engine.pixels(fit.moment()); return held(); });""", dict(flat=flat, h=x.shape[1], w=x.shape[2]))
    assert bytes[0] == bytes[-1] > 0

def test_a_page_without_webassembly_goes_on(browser):
    "Where a page forbids WebAssembly, the loops in JavaScript draw; where it does not, in a Worker from a text, the compiled ones."
    source = (STATIC/'engine.js').read_text(encoding='utf-8')
    ask = """source => new Promise((yes, no) => {
      const text = source.replace(/^export /gm, '') + "; self.postMessage({ compiled: compiled() });";
      const worker = new Worker(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })));
      worker.onmessage = e => yes(e.data.compiled);
      worker.onerror = e => no(new Error(e.message));
    })"""
    said = []
    for policy in ("script-src 'unsafe-inline' 'unsafe-eval' blob:", "script-src 'unsafe-inline' blob:"):
        context = browser.new_context()
        context.set_offline(True)
        page = context.new_page()
        page.route('**/*', lambda route: route.fulfill(content_type='text/html', headers={'content-security-policy': policy}, body='<!doctype html><title>page</title>'))
        page.goto('http://page.test/')
        said.append(page.evaluate(ask, source))
        context.close()
    assert said == [True, False]

def test_the_ring_of_the_page_on_losses(js):
    "What the page says of its toy: under the squared error two fifths of the ring are drawn, under the blurred one four fifths."
    import html, json, re
    page = json.loads((STATIC.parent.parent/'nbs'/'10_losses.ipynb').read_text(encoding='utf-8'))
    shown, = [''.join(o['data']['text/html']) for c in page['cells'] for o in c.get('outputs', []) if 'data-fit' in ''.join(o.get('data', {}).get('text/html', ''))]
    settings = json.loads(html.unescape(re.search('data-fit="(.*?)"', shown)[1]))['settings']
    ring = Image.new('RGB', (120, 120), 'white')
    ImageDraw.Draw(ring).ellipse([30, 30, 90, 90], outline='black', width=4)
    target = load_picture(ring)
    wanted = 1 - target[0]
    found = []
    for loss in ('MSE', 'BlurredMSE'):
        picture = js("const f = new engine.Fit(Float32Array.from(data.target), 120, 120, data.settings); for (let i = 0; i < 400; i++) f.step(); return Array.from(f.draw());",
                     dict(target=target.movedim(0, -1).flatten().tolist(), settings=settings | dict(loss=loss)))
        ink = 1 - torch.tensor(picture).view(120, 120, 3)[..., 0]
        found.append((ink*wanted).sum().item()/wanted.sum().item())
    assert .3 < found[0] < .5 and .75 < found[1] < .9, found

def test_the_compiled_loops_are_those_of_the_source():
    "engine.js holds what engine.c becomes; compiled again where the compiler is."
    compiler, sha, code = wasm.recorded()
    assert sha == wasm.digest(), 'engine.c has changed since it was compiled: `python tests/wasm.py` (it says what it wants)'
    assert compiler == wasm.NEEDS and len(code) < 16_000
    if wasm.has_compiler(): assert wasm.compiled() == code

def test_a_look_between_two_steps_changes_nothing(js):
    "What a look has drawn serves the next step, unless a hand has changed something meanwhile: the same losses as without looks."
    x, flat = photo(40)
    looked, plain = js("""
        const { flat, h, w } = data, rgba = new Uint8ClampedArray(4*h*w), settings = { strokes: 30, iters: 60 }, said = [], looked = [], plain = [];
        for (let k = 0; k < h*w; k++) rgba.set([...flat.slice(3*k, 3*k + 3).map(v => 255*v), 255], 4*k);
        let next = null, clock = 0;
        const hear = engine.server(m => said.push(m), f => { next = f; }, () => clock += 15);
        const note = () => { const { frame, loss, of } = said.filter(m => m.frame).at(-1); looked.push([of, loss]); hear({ shown: frame }); };
        const go = n => { for (let k = 0; k < n; k++) { next(); note(); } }, ask = (what, more) => { hear({ id: 1, do: what, ...more }); note(); };
        ask('open', { rgba, height: h, width: w, settings });
        ask('start');
        go(8);
        ask('set', { changes: { sigma: 6 } });
        go(4);
        hear({ id: 1, do: 'pixels', scale: 2 });                 // another drawing
        go(4);
        ask('hold', { group: 0, stroke: 3, params: [0, 0, .3, .3] });
        go(4);
        for (const m of said) if (m.error) throw new Error(m.error);
        const fit = new engine.Fit(Float32Array.from({ length: 3*h*w }, (_, k) => rgba[4*Math.floor(k / 3) + k % 3] / 255), h, w, settings);
        looked.forEach(([of], k) => {
          while (fit.iteration < of) fit.step();
          if (k === 10) fit.set({ sigma: 6 });
          if (k === 19) fit.hold(0, 3, [0, 0, .3, .3]);
          plain.push([of, fit.lossOf(fit.draw())]);
        });
        return [looked, plain];""", dict(flat=flat, h=x.shape[1], w=x.shape[2]))
    assert looked == plain and len({loss for _, loss in looked}) > 20

def test_a_slow_page_still_sees_the_last_state(js):
    "Two pictures are under way at most; what was left out meanwhile is sent when one of them has been shown."
    before, last, iteration = js("""
        const said = [], hear = engine.server(m => said.push(m), f => f(), () => 0), frames = () => said.filter(m => m.frame);
        hear({ id: 1, do: 'open', rgba: new Uint8ClampedArray(4*8*9).fill(200), height: 8, width: 9, settings: { strokes: 4 } });
        for (let k = 0; k < 5; k++) hear({ id: 2 + k, do: 'step' });
        const before = frames().length;
        hear({ id: 9, do: 'reset' });
        hear({ shown: frames()[0].frame });
        return [before, frames().length, frames().at(-1).iteration];""")
    assert (before, last, iteration) == (2, 3, 0)
