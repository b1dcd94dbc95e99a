"""Valid options together: every pair of values of every two settings stands in one of some thirty runs of `imageopt`, each of which must end well.

DSKETCH_LONG=1 makes three more such tables."""
import itertools, os, random

import pytest, torch
from PIL import Image

from dsketch_nb.animation import save_film
from dsketch_nb.imageopt import PRESETS, Settings, imageopt, preset_values
from dsketch_nb.command import options
from dsketch_nb.imageopt_command import save_all
from dsketch_nb.optimise import Callback, Checkpoint
from dsketch_nb.plotter import save_plot
from dsketch_nb.scene import Scene

# a setting that is absent (None) is the preset's
CHOICES = dict(
    preset=list(PRESETS), strokes=[dict(lines=14), dict(crs=5, crs_points=3), dict(beziers=5, points=4), dict(lines=5, points=3, crs=3, beziers=2), dict(shapes=6, lines=4)],
    loss=['MSELoss', 'BlurredMSELoss', 'PyrMSELoss', 'BCELoss'], init=[None, None, 'scene', 'svg'], optimiser=[None, 'SGD', 'RMSprop'],
    colour=[None, True, False], compose=[None, 'ink', 'paint'], paper=[None, 'mean', '#336699'], start=[None, 'random', 'edges'],
    invert=[False, True], invert_sketch=[False, True], opacity=[None, .7], opt_opacity=[None, True, False], reseed=[None, 0., .3],
    opt_sigma2=[None, True, False], restarts=[False, True], sigma2=[None, dict(init_sigma2=4., final_sigma2=.5, sigma2_step=2)], final_lr=[None, .1],
    betas=[None, (.5, .9)], colour_lr=[None, .03], sigma2_lr=[None, .1], max_side=[None, 12], width=[None, 14])

def possible(row):
    "Combinations that Settings refuses are tested where it refuses them."
    values = {**preset_values(row['preset'], row['loss'])[1], **{k: v for k, v in row.items() if v is not None and k in options(Settings)}}
    opacity = values.get('opacity')
    if opacity is None and (values.get('reseed') or values.get('opt_opacity')): row['opacity'] = .7
    if values.get('restarts') and not values.get('opt_sigma2'): row['opt_sigma2'] = True
    if row['paper'] == '#336699' and not values.get('colour'): row['colour'] = True
    return row

def pairs(row): return {(a, i, b, j) for (a, i), (b, j) in itertools.combinations(sorted(row.items()), 2)}

def table(seed):
    "Rows of indices into CHOICES that hold every pair: each is the best of a few at random."
    r = random.Random(seed)
    left = {(a, i, b, j) for a, b in itertools.combinations(sorted(CHOICES), 2) for i in range(len(CHOICES[a])) for j in range(len(CHOICES[b]))}
    rows = []
    while left:
        a, i, b, j = min(left)
        tries = [{k: r.randrange(len(v)) for k, v in CHOICES.items()} | {a: i, b: j} for _ in range(60)]
        rows.append(max(tries, key=lambda t: len(pairs(t) & left)))
        left -= pairs(rows[-1])
    return rows

g = torch.Generator().manual_seed(3)
PHOTO = Image.fromarray((torch.rand(4, 5, 3, generator=g)*255).byte().numpy()).resize((18, 14), Image.BICUBIC)

class Cut(Callback):
    "An interruption in the middle."
    def after_step(self, o):
        if o.iteration == 5: raise KeyboardInterrupt

class Watch(Callback):
    def before_fit(self, o): self.first = self.loss(o)
    def after_fit(self, o): self.last, self.error = self.loss(o), o.error
    @torch.no_grad()
    def loss(self, o): return o.compare(o.scene.draw()).item()

@pytest.fixture(scope='module')
def drawings(tmp_path_factory):
    path = tmp_path_factory.mktemp('drawings')
    for name, kw in (('scene', dict(preset='sketch')), ('svg', dict(preset='paint', crs=4))):
        scene = imageopt(PHOTO, iters=4, **{'lines': 9, **kw})
        scene.save(path/'scene.safetensors') if name == 'scene' else scene.save_svg(path/'svg.svg')
    return {None: None, 'scene': path/'scene.safetensors', 'svg': path/'svg.svg'}

def check(row, drawings, tmp_path):
    row = possible({k: CHOICES[k][i] for k, i in row.items()})
    strokes, sigma2 = row.pop('strokes'), row.pop('sigma2') or {}
    kw = {k: v for k, v in row.items() if v is not None} | strokes | sigma2
    kw['init'] = drawings[kw.pop('init', None)]
    draw = lambda *callbacks: imageopt(PHOTO, iters=7, callbacks=callbacks, **kw)
    watch, path = Watch(), tmp_path/'c.safetensors'
    scene = draw(watch)
    for k, v in scene.state_dict().items(): assert v.isfinite().all(), k
    assert all(abs(x) < 1e9 for x in scene.history) and len(scene.history) == 7 and watch.error is None
    # each width of a schedule is a search of its own
    if not sigma2 or 'opt_sigma2' in kw and kw['opt_sigma2']: assert watch.last <= watch.first*(1 + 1e-4) + 1e-7
    draw(Checkpoint(path, 3), Cut())
    again = draw(Checkpoint(path, 3))
    assert again.history == scene.history
    for a, b in zip(scene.state_dict().values(), again.state_dict().values()): assert torch.equal(a, b)
    save_all(scene, tmp_path/'all')
    scene.save(tmp_path/'s.safetensors')
    loaded, mine = (dict(o.named_parameters()) for o in (Scene.load(tmp_path/'s.safetensors'), scene))
    assert set(loaded) == set(mine) and all(torch.equal(v, mine[k]) for k, v in loaded.items())
    save_plot(scene, tmp_path/'plot.svg')
    with torch.no_grad(): save_film([scene.draw(), again.draw()], tmp_path/'film.gif')
    assert {o.name for o in tmp_path.iterdir()} >= {'all.png', 'all.svg', 'all.pdf', 'plot.svg', 'film.gif'}

@pytest.mark.parametrize('seed', range(4 if os.environ.get('DSKETCH_LONG') else 1))
def test_every_pair(seed, drawings, tmp_path):
    rows = table(seed)
    missing = [n for n in options(Settings) if n not in CHOICES and n not in
               'points lines beziers crs shapes crs_points iters init_sigma2 final_sigma2 sigma2_factor sigma2_step lr seed device'.split()]
    assert not missing, f'a new setting has no pairs yet: {missing}'
    wrong = {}
    for i, row in enumerate(rows):
        (folder := tmp_path/str(i)).mkdir()
        try: check(row, drawings, folder)
        except Exception as e: wrong[i] = f"{type(e).__name__} {str(e)[:300]} of {dict((k, CHOICES[k][v]) for k, v in row.items())}"
    assert not wrong, f'{len(wrong)} of {len(rows)} fail:\n' + '\n'.join(wrong.values())
