"""The loop over strokes: one aim, one width, several fits, runs that fail, checkpoints by name."""
import math

import pytest, torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import nn

from dsketch_nb.imageopt import Settings, first_scene, imageopt, preset_values
from dsketch_nb.losses import Loss, MSELoss
from dsketch_nb.optimise import (Best, Callback, Checkpoint, Cosine, Frames, ImageOptimiser, LearnWidths, Progress,
    Reseed, Restarts, Sigma2Schedule)
from dsketch_nb.placement import random_scene
from dsketch_nb.scene import Scene

g = torch.Generator().manual_seed(0)
TARGET = F.interpolate(torch.rand(1, 3, 4, 5, generator=g), (20, 24), mode='bilinear')[0]
PHOTO = Image.fromarray((TARGET.movedim(0, -1)*255).round().byte().numpy())

def optimiser(*callbacks, lines=30, lr=.02, loss=None, widths=False, **kw):
    scene = random_scene(20, 24, lines=lines, sigma2=1., opacity=1., colour=True, compose='paint')
    groups = [dict(params=[g.params for g in scene.groups]), dict(params=[g.colour for g in scene.groups], lr=2*lr)]
    if widths:
        callbacks = [*callbacks, LearnWidths(scene, .3, 9.)]
        groups.append(dict(params=callbacks[-1].parameters))
    return ImageOptimiser(scene, TARGET, loss or MSELoss(), torch.optim.Adam(groups, lr=lr), callbacks, **kw)

class Sees(Callback):
    "What a callback knows at the end."
    def after_fit(self, o): self.error, self.stopped = o.error, o.stopped

# ---- one aim

@pytest.mark.parametrize('kw', [dict(preset='sketch', lines=200, iters=60), dict(preset='paint', lines=60, iters=60),
                                dict(preset='paper', lines=60, iters=2, start='edges', colour=True)])
def test_drawing_the_negative_is_as_good_as_drawing(kw):
    "With invert_sketch the drawing should look like the negative: start, re-seeding and PSNR must know it."
    def drawn(image, **more):
        seen = Seen()
        scene = imageopt(image, callbacks=[seen], **kw, **more)
        return scene.history, seen.psnr
    class Seen(Callback):
        def after_fit(self, o): self.psnr = o.psnr()
    flipped, plain = drawn(PHOTO, invert_sketch=True), drawn(ImageOps.invert(PHOTO))
    assert flipped[0][0] == pytest.approx(plain[0][0], rel=1e-3)
    assert flipped[1] == pytest.approx(plain[1], abs=1.)

def test_psnr_is_about_what_the_drawing_should_show():
    o = optimiser(invert_sketch=True)
    o.target = 1 - o.scene.draw().detach()
    assert o.psnr() > 100 and o.compare(o.scene.draw()).item() < 1e-9
    assert torch.equal(o.aim, 1 - o.target) and torch.equal(optimiser().aim, TARGET)

# ---- one width

@pytest.mark.parametrize('kw', [dict(preset='sketch'), dict(preset='sketch', crs=10), dict(preset='paint', opt_sigma2=False)])
def test_new_strokes_get_the_width_in_force(kw):
    scene = imageopt(PHOTO, **dict(lines=60, iters=60, init_sigma2=4., final_sigma2=.5, sigma2_step=10, reseed=.2) | kw)
    widths = torch.cat([g.sigma2 for g in scene.groups]) / scene.pitch**2
    torch.testing.assert_close(widths, torch.full_like(widths, .5))

def test_without_a_schedule_new_strokes_are_as_wide_as_others():
    o = optimiser(Reseed(.2, 1))
    with torch.no_grad(): o.scene.groups[0].sigma2.fill_(7.)
    o.step()
    assert o.scene.groups[0].sigma2.unique().tolist() == [7.]
    o = optimiser(Restarts(every=1), widths=True)
    with torch.no_grad(): o.callbacks[-1].parameters[0][::3] = -30.
    o.step()
    assert o.callbacks[0].count == 10 and torch.allclose(o.scene.groups[0].sigma2, o.scene.groups[0].sigma2[1], rtol=.2)

# ---- fit, step, save in any order

CALLBACKS = {'Best': lambda: [Best()], 'Sigma2Schedule': lambda: [Sigma2Schedule(2., 1., step=4)], 'Cosine': lambda: [Cosine(.1)],
             'Progress': lambda: [Progress()], 'Frames': lambda: [Frames(3)], 'Reseed': lambda: [Reseed(.1, 3)], 'LearnWidths': lambda: [],
             'Restarts': lambda: [Restarts(every=2)], 'all': lambda: [Best(), Cosine(.1), Restarts(every=2), Reseed(.1, 3), Progress(), Frames(3)]}

@pytest.mark.parametrize('name', CALLBACKS)
def test_step_save_restore_and_two_fits(name, tmp_path):
    path, widths = tmp_path/'run.safetensors', name in ('LearnWidths', 'Restarts', 'all')
    new = lambda: optimiser(*CALLBACKS[name](), widths=widths)
    o = new()
    o.save(path)
    o.step()
    o.save(path)
    other = new()
    other.restore(path)
    for x in (o, other):
        x.fit(5)
        x.step()
        x.fit(4)
        assert x.iteration == 11 and x.iters == 11 and len(x.history) == 11 and not x.error and not x.stopped
        for g in x.scene.groups: assert not g.sigma2.requires_grad and not hasattr(g, 'parametrizations')
    assert o.history == other.history
    for a, b in zip(o.scene.state_dict().values(), other.scene.state_dict().values()): assert torch.equal(a, b)
    o.scene.save(tmp_path/'scene.safetensors')
    assert len(Scene.load(tmp_path/'scene.safetensors')) == 30

def test_two_fits_go_on_where_one_of_the_same_length_would():
    "Learning rates of the second fit are those of an unbroken run from there on, and start once from the first."
    seen = []
    class Rates(Callback):
        def after_step(self, o): seen.append([g['lr'] for g in o.optimiser.param_groups])
    o = optimiser(Cosine(.1), Rates())
    o.fit(4)
    assert seen[-1] == pytest.approx([.002, .004])
    o.fit(4)
    assert seen[-1] == pytest.approx([.002, .004])
    whole = optimiser(Cosine(.1), Rates())
    whole.fit(8)
    for a, b in zip(seen[4:8], seen[12:16]): assert a == pytest.approx(b)

def test_best_is_of_the_width_in_force_and_survives_reseeding():
    "Re-ordered strokes of several widths are no new width of a schedule."
    o = optimiser(Best(), Reseed(.1, 2))
    with torch.no_grad(): o.scene.groups[0].sigma2.mul_(torch.linspace(.5, 2, 30))
    o.fit(12)
    assert F.mse_loss(o.scene.draw(), TARGET).item() == pytest.approx(min(o.history), rel=1e-5)

def test_an_empty_group_disturbs_nothing():
    scene = Scene(20, 24, 'paint').add('points', torch.zeros(0, 1, 2), torch.zeros(0, 3), alpha=torch.zeros(0))
    for g in random_scene(20, 24, lines=20, opacity=1., colour=True, compose='paint').groups: scene.add(g)
    adam = torch.optim.Adam([p for g in scene.groups for p in (g.params, g.colour)], lr=.02)
    o = ImageOptimiser(scene, TARGET, MSELoss(), adam, [Best(), Sigma2Schedule(2., 1., step=3), Reseed(.2, 2), Restarts(every=2), Cosine(.5)])
    o.fit(8)
    assert o.history[-1] < o.history[0]
    with pytest.raises(ValueError, match='no strokes'): ImageOptimiser(Scene(2, 2), TARGET, MSELoss(), None)

# ---- a run that fails

class Bursts(nn.Module):
    "Not a number from the n-th call on."
    def __init__(self, n=5):
        super().__init__()
        self.n = n
    def forward(self, a, b):
        self.n -= 1
        return (a - b).square().mean() * (1 if self.n > 0 else math.nan)

def test_callbacks_can_tell_how_it_ended():
    sees, frames = Sees(), Frames()
    class Stops(Callback):
        def after_step(self, o):
            if o.iteration == 3: raise KeyboardInterrupt
    with pytest.raises(ValueError, match='the loss is nan at iteration 4'): optimiser(sees, frames, loss=Bursts(), widths=True).fit(9)
    assert isinstance(sees.error, ValueError) and not sees.stopped and all(i < 9 for i, _ in frames.frames)
    optimiser(sees, Stops()).fit(9)
    assert sees.error is None and sees.stopped
    optimiser(sees).fit(2)
    assert sees.error is None and not sees.stopped

def test_each_callback_ends_even_if_another_fails_to():
    class Breaks(Callback):
        def after_fit(self, o): raise OSError('the pipe is broken')
    class Late(Callback):
        def before_fit(self, o): raise ValueError('cannot begin')
    sees, never = Sees(), Sees()
    with pytest.raises(OSError, match='pipe'): optimiser(Breaks(), sees).fit(2)
    assert sees.error is None
    with pytest.raises(ValueError, match='cannot begin'): optimiser(sees, Late(), never, widths=True).fit(2)
    assert isinstance(sees.error, ValueError) and not hasattr(never, 'error')

def test_a_command_that_fails_leaves_files_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(Loss, 'known', dict(Loss.known))
    from dsketch_nb import imageopt_command
    monkeypatch.chdir(tmp_path)
    PHOTO.save('photo.png')
    for name in ('f.png', 'f.pdf', 'f.svg', 's.safetensors'): (tmp_path/name).write_text('precious')
    class BurstingLoss(Loss):
        def __init__(self):
            super().__init__()
            self.bursts = Bursts()
        def compare(self, a, b): return self.bursts(a, b)
    flags = '--loss BurstingLoss --lines 20 --iters 9'.split()
    with pytest.raises(SystemExit) as e:
        imageopt_command.main(['photo.png', *flags, '--final-raster', 'f.png', '--final-pdf', 'f.pdf', '--scene', 's.safetensors'])
    assert e.value.code == 2
    for name in ('f.png', 'f.pdf', 'f.svg', 's.safetensors'): assert (tmp_path/name).read_text() == 'precious'
    with pytest.raises(SystemExit): imageopt_command.main(['photo.png', *flags, '--output', 'run'])
    assert not [o.name for o in (tmp_path/'run').iterdir() if o.name.startswith('photo')]

@pytest.mark.parametrize('stderr', ['absent', 'closed', 'broken'])
def test_nobody_reads_the_progress_bar(stderr, monkeypatch, tmp_path):
    class Broken:
        encoding, closed = 'utf-8', stderr == 'closed'
        def write(self, text): raise ValueError('I/O on closed file') if self.closed else BrokenPipeError(32, 'Broken pipe')
        flush = isatty = lambda self: self.write('')
        def fileno(self): raise OSError('none')
    monkeypatch.setattr('sys.stderr', None if stderr == 'absent' else Broken())
    class Stops(Callback):
        def after_step(self, o):
            if o.iteration == 25: raise KeyboardInterrupt
    sees = Sees()
    optimiser(Progress(), Stops(), sees).fit(30)
    assert sees.stopped and not sees.error

# ---- state by name

def test_state_goes_by_the_name_of_the_class(tmp_path):
    path = tmp_path/'run.safetensors'
    one = optimiser(Best(), Reseed(.1, 2, seed=1), Cosine(.1), Reseed(.1, 3, seed=2))
    one.fit(5)
    one.save(path)
    # another order, and a callback that knows nothing, are no matter
    other = optimiser(Progress(), Reseed(.1, 2, seed=5), Reseed(.1, 3, seed=6), Best(), Cosine(.1))
    other.restore(path)
    for i, j in ((1, 1), (3, 2)): assert torch.equal(one.callbacks[i].g.get_state(), other.callbacks[j].g.get_state())
    assert other.callbacks[3].loss == one.callbacks[0].loss
    for callbacks, says in (([Best(), Reseed(.1)], 'written with Reseed 2, which this run lacks'),
                            ([Best(), Reseed(.1), Reseed(.1), Restarts()], 'written without Restarts, which this run has')):
        before = optimiser(*callbacks)
        with pytest.raises(ValueError, match=says) as e: before.restore(path)
        assert '\n' not in str(e.value) and 'run.safetensors' in str(e.value) and before.iteration == 0

def test_a_second_fit_does_not_go_back_to_its_checkpoint(tmp_path):
    o = optimiser(Checkpoint(tmp_path/'run.safetensors', 2))
    o.fit(5)
    o.fit(5)
    assert o.iteration == 10

# ---- what is not the run's stays as it is

def test_the_caller_keeps_his_random_numbers_and_objects():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3, 1, 1))
        def forward(self, a, b): return (self.w*(a - b) + torch.rand(())*1e-3).square().mean()
    loss, init = Own(), random_scene(20, 24, lines=9, colour=True, opacity=1.)
    before = {k: v.clone() for k, v in init.state_dict().items()}
    torch.manual_seed(123)
    want = torch.rand(1)
    torch.manual_seed(123)
    runs = [imageopt(PHOTO, loss, 'paint', init=init, iters=4) for _ in range(2)]
    assert torch.equal(torch.rand(1), want) and runs[0].history == runs[1].history
    assert loss.w.grad is None and loss.w.tolist() == torch.ones(3, 1, 1).tolist() and loss.training
    assert all(torch.equal(v, before[k]) for k, v in init.state_dict().items())

def same(a, b): return len(a) == len(b) and all(torch.equal(x, y) and x.dtype == y.dtype for x, y in zip(a.parameters(), b.parameters()))

HOW = [dict(preset='paint', lines=30), dict(preset='sketch', crs=5, points=4, beziers=3), dict(preset='lines', lines=20, colour=True),
       dict(preset='plotter', lines=30), dict(preset='paint', lines=20, restarts=True, loss='PyrMSELoss')]

@pytest.mark.parametrize('kw', HOW)
def test_what_holds_outside_changes_nothing(kw):
    draw = lambda: imageopt(PHOTO, iters=12, **kw)
    want = draw()
    for context in (torch.no_grad, torch.inference_mode, lambda: torch.device('meta')):
        with context(): got = draw()
        assert same(got, want), context
    torch.set_default_dtype(torch.float64)
    try: got = draw()
    finally: torch.set_default_dtype(torch.float32)
    assert same(got, want)

# ---- presets

def test_each_preset_runs_as_it_stands_and_draws_a_positive():
    "A dark disc on white: where it is dark there is ink. A large picture is scaled."
    disc = Image.new('L', (700, 500), 255)
    disc.paste(0, (200, 100, 500, 400))
    for preset in ('paint', 'lines', 'sketch', 'plotter'):
        kw = {'iters': 6}
        scene = imageopt(disc, preset=preset, **kw)
        assert max(scene.size) == 384 and len(scene) >= 1000, preset
        small = imageopt(disc.resize((35, 25)), preset=preset, iters=60, lines=150).draw().mean(0)
        assert small[9:16, 13:22].mean() < small[:4].mean() - .2, preset

def test_strokes_of_one_kind_replace_those_of_the_preset():
    assert len(imageopt(PHOTO, crs=7, iters=1)) == 7 and len(imageopt(PHOTO, preset='lines', points=3, lines=2, iters=1)) == 5

def test_a_named_loss_is_the_papers_scheme_and_long_runs_are_said(capsys, monkeypatch):
    s = Settings(**preset_values(None, 'MSELoss')[1])
    assert (s.iters, s.width, s.max_side, s.lines, s.init_sigma2, s.final_sigma2, s.invert, s.lr) == (8000, None, None, 0, .3025, .3025, False, .01)
    monkeypatch.setattr(ImageOptimiser, 'fit', lambda self, iters: self.scene)
    imageopt(Image.new('RGB', (4000, 3000)), 'MSELoss', lines=5)
    assert '8,000 iterations at 4000 x 3000 pixels take long' in capsys.readouterr().err
    imageopt(Image.new('RGB', (4000, 3000)), 'MSELoss', 'lines', lines=5)
    assert not capsys.readouterr().err

@pytest.mark.parametrize('preset', ['paint', 'sketch', 'lines', 'shapes'])
def test_a_drawing_goes_on_from_where_it_is(preset):
    "Its own result is not shaken: the fifth step is hardly worse, the result is no worse, and short runs are better."
    first = imageopt(PHOTO, preset=preset, **({'shapes': 60} if preset == 'shapes' else {'lines': 60}), iters=150)
    class Watch(Callback):
        def before_fit(self, o): self.all = [o.psnr()]
        def after_step(self, o): self.all.append(o.psnr())
        def after_fit(self, o): self.end = o.psnr()
    w = Watch()
    imageopt(PHOTO, preset=preset, init=first, iters=20, callbacks=[w])
    assert min(w.all) > w.all[0] - 3 and w.end >= w.all[0] - 1e-3
