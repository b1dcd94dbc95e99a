"""The command `imageopt` from end to end."""
import re, signal, subprocess, sys, time
from pathlib import Path

import pytest, torch
from PIL import Image

from dsketch_nb.optimise import Callback, Checkpoint
from dsketch_nb.imageopt import imageopt
from dsketch_nb.pictures import load_picture
from dsketch_nb.losses import MSELoss
from dsketch_nb.placement import redrawable
from dsketch_nb.scene import Group, Scene

command = Path(sys.executable).parent/'imageopt'

def run(*args, cwd=None, **kw):
    return subprocess.run([command, *map(str, args)], capture_output=True, text=True, cwd=cwd, **kw)

base = ['sample:china', '--loss', 'MSELoss', '--lines', 20, '--width', 40, '--iters', 3]

def test_everything_it_can_write(tmp_path):
    r = run(*base, '--colour', '--crs', 3, '--points', 4, '--target-raster', 't.png', '--init-raster', 'i.png', '--final-raster', 'f.png', '--init-pdf', 'i.pdf', '--final-pdf', 'f.pdf',
            '--animation', 'a.gif', '--film', 'a.svg', '--scene', 's.safetensors', '--snapshots-path', 'on/the/way', '--snapshots-steps', 2, cwd=tmp_path)
    assert r.returncode == 0, r.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.gif', 'a.svg', 'f.pdf', 'f.png', 'f.svg', 'i.pdf', 'i.png', 'i.svg', 'on', 's.safetensors', 't.png']
    assert sorted(p.name for p in (tmp_path/'on/the/way').glob('[!.]*')) == ['snapshot_000002.pdf', 'snapshot_000002.png', 'snapshot_000002.svg']
    assert len(Scene.load(tmp_path/'s.safetensors')) == 27
    assert Image.open(tmp_path/'f.png').size == Image.open(tmp_path/'t.png').size == (40, 27)
    assert (tmp_path/'f.pdf').read_bytes().startswith(b'%PDF') and Image.open(tmp_path/'a.gif').n_frames > 1

@pytest.mark.parametrize('change, names', [
    (['nowhere.jpg'], 'nowhere.jpg'), ([__file__], 'not an image'), (['--lines', 0], 'no strokes'), (['--lines', -5], 'lines -5'), (['--width', 0], 'width 0'),
    (['--init-sigma2', 0], 'sigma2 0'), (['--crs', 2, '--crs-points', 1], 'crs_points 1'), (['--loss', 'NoLoss'], 'NoLoss'), (['--optimiser', 'NoOptimiser'], 'NoOptimiser'), (['--optimiser', 'LBFGS'], 'LBFGS'), (['--optimiser', 'SparseAdam'], 'SparseAdam'),
    (['--final-raster', 'no/folder/x.png'], 'no/folder'), (['--device', 'cuda:99'], 'cuda:99'), (['--device', 'meta'], 'device meta'), (['--device', 'xpu:9'], 'device xpu:9'), (['--iters', 0], 'iters 0'), (['--lr', -1], 'lr -1'), (['--restarts'], 'opt_sigma2'), (['--colours'], '--colours'), (['--preset', 'oils'], 'oils'), (['--film', 'a.txt'], 'a.txt'), (['--animation', 'a.svg'], 'a.svg')])
def test_bad_input_is_one_clear_line(tmp_path, change, names):
    (tmp_path/'keep.png').write_bytes(b'precious')
    args = [*change, *base[1:]] if not str(change[0]).startswith('-') else [*base, *change]
    r = run(*args, '--final-raster', 'keep.png', cwd=tmp_path) if '--final-raster' not in change else run(*args, cwd=tmp_path)
    assert r.returncode == 2 and 'Traceback' not in r.stderr
    assert names in r.stderr.strip().split('\n')[-1]
    assert (tmp_path/'keep.png').read_bytes() == b'precious' and len(list(tmp_path.iterdir())) == 1

@pytest.mark.parametrize('sig', [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_writes_the_best_so_far(tmp_path, sig):
    p = subprocess.Popen([command, 'sample:china', '--loss', 'MSELoss', '--lines', '200', '--width', '60', '--iters', '1000000', '--colour',
                          '--init-raster', 'i.png', '--final-raster', 'f.png', '--snapshots-path', 'way', '--snapshots-steps', '150'], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))      # a shell's background jobs ignore it, and so would their children
    # 150 iterations are done, however long they took
    while not (tmp_path/'way'/'snapshot_000150.svg').exists() and p.poll() is None: time.sleep(.05)
    p.send_signal(sig)
    try: err = p.communicate(timeout=300)[1]
    finally: p.kill()
    assert p.returncode == 0 and 'stopped after' in err, err
    target = load_picture('sample:china', 60)
    error = lambda f: (load_picture(tmp_path/f) - target).square().mean()
    assert error('f.png') < .5*error('i.png')

def test_a_photograph_in_300_iterations():
    "25 dB with 2,000 strokes of ink, on the photograph that is always there."
    scene = imageopt('sample:china', preset='lines', width=200, lines=2000, iters=300, init_sigma2=1., final_sigma2=1., colour=True)
    with torch.no_grad(): psnr = -10*(scene.draw() - load_picture('sample:china', 200)).square().mean().log10()
    assert psnr > 25

def test_same_seed_same_bits_and_best_is_kept():
    losses = []
    class Watch(Callback):
        def after_loss(self, o): losses.append(o.loss)
    scenes = [imageopt('sample:flower', preset='lines', width=50, lines=60, crs=5, iters=30, colour=True, seed=3, callbacks=[Watch()]) for _ in range(2)]
    for a, b in zip(*(s.parameters() for s in scenes)): assert torch.equal(a, b)
    with torch.no_grad(): final = (scenes[0].draw() - load_picture('sample:flower', 50)).square().mean().item()
    assert final == pytest.approx(min(losses), rel=1e-5)

def test_a_drawing_to_start_from_and_a_file_for_the_plotter(tmp_path):
    r = run('sample:china', '--preset', 'plotter', '--width', 60, '--lines', 80, '--iters', 20, cwd=tmp_path)
    assert r.returncode == 0 and sorted(o.name for o in tmp_path.iterdir()) == ['china-plot.svg', 'china-strokes.pdf', 'china-strokes.png', 'china-strokes.svg'], r.stderr
    assert 'width="180mm"' in (tmp_path/'china-plot.svg').read_text()
    imageopt('sample:china', preset='paint', width=60, lines=80, iters=60).save(tmp_path/'start.safetensors')
    how = ['sample:china', '--width', 60, '--iters', 30]
    for start in ('start.safetensors', 'china-strokes.svg'):
        r = run(*how, '--init', start, '--init-raster', 'i.png', '--final-raster', 'f.png', '--scene', 's.safetensors', '--plot', 'p.svg', '--plot-width', 100, '--pens', 'black', 'red', '--pen', .5, cwd=tmp_path)
        assert r.returncode == 0, r.stderr
        assert len(Scene.load(tmp_path/'s.safetensors')) == 80
        target = load_picture('sample:china', 60)
        error = lambda f: (load_picture(tmp_path/f) - target).square().mean()
        assert error('f.png') < error('i.png')
        assert 'width="100mm"' in (tmp_path/'p.svg').read_text() and '2 red' in (tmp_path/'p.svg').read_text()
    (tmp_path/'empty.svg').write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    for flags, what in ((['--init', 'nowhere.svg'], 'nowhere.svg'), (['--init', 'empty.svg'], 'no strokes'), (['--init', 'f.png'], 'f.png'), (['--plot', 'q.svg', '--pen', 0], 'pen 0')):
        r = run(*how, *flags, cwd=tmp_path)
        assert r.returncode == 2 and 'Traceback' not in r.stderr and what in r.stderr.strip().split('\n')[-1], r.stderr
    assert not (tmp_path/'q.svg').exists()

def test_a_mistyped_option_leaves_no_folder_behind(tmp_path):
    for flags, what in ((['--paper', 'wihte'], 'wihte'), (['--preset', 'paint', '--opacity', 2], '2'), (['--loss', 'BlurredMSELoss', '--lines', 9, '--blur-sigma', -1], '-1')):
        r = run('sample:china', '--output', 'run', *flags, cwd=tmp_path)
        assert r.returncode == 2 and 'Traceback' not in r.stderr and what in r.stderr.strip().split('\n')[-1], r.stderr
        assert not list(tmp_path.iterdir())

def test_a_loss_that_is_an_object_takes_no_options():
    with pytest.raises(ValueError, match='no option itres, blur'): imageopt('sample:china', MSELoss(), lines=3, width=20, itres=5, blur=3)

def test_chains_of_curves_stay_where_they_are():
    chains = Scene(27, 40).add('segments', torch.zeros(0, 2, 2)).add('beziers', torch.rand(4, 7, 2) - .5, sigma2=1e-9)
    scene = imageopt('sample:china', 'MSELoss', init=chains, width=40, iters=100, opt_sigma2=True, sigma2_lr=1e-9, restarts=True)       # widths that vanish
    assert [g.params.shape for g in scene.groups] == [(4, 7, 2)]

def jpg(path, size): Image.linear_gradient('L').resize(size).convert('RGB').save(path, quality=80); return path

@pytest.mark.parametrize('make, size', [
    (lambda p: jpg(p/'big.jpg', (4000, 3000)), (384, 288)),                                        # 12 megapixels, scaled with a word about it
    (lambda p: Image.new('RGB', (50, 40), (9, 120, 200)).save(p/'flat.png'), (50, 40)),
    (lambda p: Image.new('RGB', (1, 1), 'red').save(p/'one.png'), (1, 1)),
    (lambda p: Image.linear_gradient('L').resize((60, 30)).point(lambda v: 255*(v > 128)).convert('1').save(p/'scan.tif'), (60, 30))], ids=['12 megapixels', 'flat', 'one pixel', 'black and white'])
def test_any_image_alone(tmp_path, make, size):
    make(tmp_path)
    name = next(tmp_path.iterdir()).name
    r = run(name, '--iters', 60, '--lines', 100, cwd=tmp_path)
    assert r.returncode == 0, r.stderr
    assert ('4000 x 3000 pixels are scaled to 384 on the longer side' in r.stderr) == (name == 'big.jpg')
    out = tmp_path/f'{Path(name).stem}-strokes.png'
    assert Image.open(out).size == size
    a, b = load_picture(out), load_picture(tmp_path/name, size[0])
    assert (a - b).square().mean() < max(.75*b.var(), .002)

def test_the_vectors_of_a_painting_look_like_its_picture(tmp_path):
    resvg, io, np = (pytest.importorskip(m) for m in ('resvg_py', 'io', 'numpy'))
    r = run('sample:china', '--width', 120, '--lines', 200, '--iters', 60, '--init-pdf', 'i.pdf', '--final-pdf', 'f.pdf', '--final-raster', 'f.png', '--snapshots-path', 'way', '--snapshots-steps', 30, cwd=tmp_path)
    assert r.returncode == 0, r.stderr
    for name in ('f', 'way/snapshot_000030', 'way/snapshot_000060'):
        if name != 'f': assert (tmp_path/f'{name}.pdf').is_file()
        shown = np.asarray(Image.open(io.BytesIO(bytes(resvg.svg_to_bytes(svg_string=(tmp_path/f'{name}.svg').read_text())))).convert('RGB'))/255
        drawn = np.asarray(Image.open(tmp_path/f'{name}.png').convert('RGB'))/255
        assert -10*np.log10(np.square(shown - drawn).mean()) > 26, name

def test_no_sheet_and_a_page_of_any_size(tmp_path):
    "--transparent and --svg-width reach every PNG, SVG and PDF of a drawing, and leave films, pages, plots and targets alone."
    r = run(*base, '--colour', '--transparent', '--svg-width', '80mm', '--target-raster', 't.png', '--init-raster', 'i.png', '--final-raster', 'f.png', '--init-pdf', 'i.pdf', '--final-pdf', 'f.pdf', '--animation', 'a.gif', '--film', 'a.svg',
            '--live', 'l.html', '--plot', 'p.svg', '--hide', '--scene', 's.safetensors', '--snapshots-path', 'way', '--snapshots-steps', 2, cwd=tmp_path)
    assert r.returncode == 0 and 'none is written' not in r.stderr, r.stderr
    for name in ('i.png', 'f.png', 'way/snapshot_000002.png'):
        with Image.open(tmp_path/name) as im: assert im.mode == 'RGBA' and im.size == (40, 27) and im.getextrema()[3][0] == 0, name
    with Image.open(tmp_path/'t.png') as im: assert im.mode == 'RGB'
    for name in ('i.svg', 'f.svg', 'a.svg', 'way/snapshot_000002.svg'):
        text = (tmp_path/name).read_text()
        assert '<rect' not in text and 'width="80mm" height="54mm" viewBox="0 0 40 27"' in text, name
    for name in ('i.pdf', 'f.pdf', 'way/snapshot_000002.pdf'):
        side = re.search(rb'/MediaBox \[ 0 0 ([\d.]+)', (tmp_path/name).read_bytes())[1]
        assert abs(float(side) - 80/25.4*72) < .1, name
    assert 'width="180mm"' in (tmp_path/'p.svg').read_text() and Scene.load(tmp_path/'s.safetensors').size == (27, 40) and (tmp_path/'l.html').stat().st_size > 9999
    for flags, said in ((['--svg-width', '3in'], '--svg-width is for SVG and PDF'), (['--transparent'], '--transparent is for PNG')):
        r = run(*base, *flags, '--scene', 's.safetensors', cwd=tmp_path)
        assert r.returncode == 0 and said in r.stderr, r.stderr

def test_a_folder_without_sheets(tmp_path):
    how = [*base, '--output', 'out', '--transparent', '--svg-width', '3in']
    assert run(*how, cwd=tmp_path).returncode == 0
    text = (tmp_path/'out'/'china.svg').read_text()
    assert '<rect' not in text and 'width="3in"' in text and Image.open(tmp_path/'out'/'china.png').mode == 'RGBA'
    assert run(*how, '--resume', cwd=tmp_path).returncode == 0
    r = run(*how[:-1], '4in', '--resume', cwd=tmp_path)
    assert r.returncode == 2 and "its svg_width is '3in', now it is '4in'" in r.stderr
    r = run(*base, '--output', 'other', '--svg-width', 'wide', cwd=tmp_path)
    assert r.returncode == 2 and "svg_width 'wide'" in r.stderr and not (tmp_path/'other').exists()

@pytest.mark.parametrize('width', ['0', '-3mm', '80parsec', 'wide', 'nan', '', '1e3', '99999999999mm'])
def test_no_width_of_a_page(tmp_path, width):
    "Told before the work, with a file that is there as it was."
    (tmp_path/'f.svg').write_text('precious')
    r = run('sample:china', '--iters', 10**9, f'--svg-width={width}', '--final-pdf', 'f.pdf', cwd=tmp_path, timeout=300)
    assert r.returncode == 2 and 'Traceback' not in r.stderr and f'svg_width {width!r} is no width above 0' in r.stderr.strip().split('\n')[-1]
    assert [p.name for p in tmp_path.iterdir()] == ['f.svg'] and (tmp_path/'f.svg').read_text() == 'precious'

def test_a_strict_start(tmp_path):
    "Bad values of a start are named and left out; with --strict-svg they are refused, and nothing is written."
    (tmp_path/'bad.svg').write_text('<svg xmlns="http://www.w3.org/2000/svg" width="40" height="27" stroke="red" stroke-linecap="round"><path d="M5 5L30 20"/><path id="p" d="M NaN 3"/><path d="M5 9h9" stroke-width="4px;"/></svg>')
    how = ['sample:china', '--width', 40, '--iters', 2, '--init', 'bad.svg', '--scene', 's.safetensors']
    r = run(*how, cwd=tmp_path)
    assert r.returncode == 0 and "path data holds" in r.stderr and 'stroke-width left out' in r.stderr and len(Scene.load(tmp_path/'s.safetensors')) == 2, r.stderr
    (tmp_path/'s.safetensors').unlink()
    r = run(*how, '--strict-svg', cwd=tmp_path)
    assert r.returncode == 2 and "path #p: path data holds 'M NaN 3'" in r.stderr.strip().split('\n')[-1] and [p.name for p in tmp_path.iterdir()] == ['bad.svg'], r.stderr
    (tmp_path/'bad.svg').write_text((tmp_path/'bad.svg').read_text().replace('NaN', '9').replace('px;', 'px'))
    assert run(*how, '--strict-svg', cwd=tmp_path).returncode == 0
    for more in ([], ['--init', 's.safetensors'], ['--output', 'out']):
        r = run('sample:china', '--iters', 2, '--strict-svg', *more, cwd=tmp_path)
        assert r.returncode == 2 and 'say --init DRAWING.svg' in r.stderr and 'Traceback' not in r.stderr

def test_what_is_covered_is_not_plotted_if_asked(tmp_path):
    "--hide of the command is plot_svg's: a wide stroke on a thin one."
    start = Scene(27, 40, 'paint').add('segments', [[[0., -1.2], [0., 1.2]]], 'black', (.5*2/26)**2).add('segments', [[[-.9, 0.], [.9, 0.]]], 'red', (6*2/26)**2)
    start.save(tmp_path/'start.safetensors')
    for name, more in (('a.svg', []), ('b.svg', ['--hide'])):
        r = run('sample:china', '--width', 40, '--iters', 1, '--lr', 1e-9, '--sigma2-lr', 1e-9, '--colour-lr', 1e-9, '--init', 'start.safetensors', '--plot', name, *more, cwd=tmp_path)
        assert r.returncode == 0, r.stderr
    assert [(tmp_path/n).read_text().count('<path') for n in ('a.svg', 'b.svg')] == [2, 3]

SHAPES = dict(preset='shapes', width=80, shapes=40, iters=40, sigma2_step=3)

def test_a_photograph_in_shapes():
    "It beats its start, and its SVG is what was drawn: sharp fills have no softness to lose."
    db = lambda a, b: -10*(a - b).square().mean().log10().item()
    class Start(Callback):
        def before_fit(self, o): self.psnr = o.psnr()
    start, target = Start(), load_picture('sample:china', 80)
    scene = imageopt('sample:china', **SHAPES, callbacks=[start])
    with torch.no_grad(): raster = scene.draw()
    assert db(raster, target) > start.psnr + 3 and db(raster, target) > 18
    assert [(g.kind, len(g), redrawable(g)) for g in scene.groups] == [('shapes', 40, True)]
    svg = scene.to_svg()
    assert svg.count('<path') == 40 and 'stroke-width' not in svg
    again = Scene.from_svg(svg, raster.shape[1:])
    with torch.no_grad(): assert db(again.draw(), raster) > 30

def test_shapes_of_other_makes_stay_where_they_are():
    g = lambda kind, n, **kw: Group(kind, torch.rand(2, n, 2), sigma2=.01, **kw)
    assert redrawable(g('shapes', 12)) and not redrawable(g('shapes', 9)) and not redrawable(g('shapes', 12, paths=[0, 2])) and not redrawable(g('polygons', 4))

def test_shapes_stopped_and_resumed_are_the_same(tmp_path):
    "With fills, a blur on schedule and re-seeding, a run that went on from a checkpoint ends in the bits of one without a stop."
    class Stop(Callback):
        def after_step(self, o):
            if o.iteration == 22: raise RuntimeError('stopped')
    how = SHAPES | dict(width=48, shapes=20, reseed=.1)
    whole = imageopt('sample:china', **how)
    with pytest.raises(RuntimeError, match='stopped'): imageopt('sample:china', **how, callbacks=[Checkpoint(tmp_path/'c.safetensors', 10), Stop()])
    assert (tmp_path/'c.safetensors').is_file()
    resumed = imageopt('sample:china', **how, callbacks=[Checkpoint(tmp_path/'c.safetensors', 10)])
    assert resumed.history == whole.history and len(whole.history) == 40
    for p, q in zip(whole.parameters(), resumed.parameters(), strict=True): assert torch.equal(p, q)

def test_shapes_from_the_command_line(tmp_path):
    "All files that the preset writes by itself, and others; the page of strokes is refused before the work."
    few = ['sample:china', '--preset', 'shapes', '--shapes', 30, '--width', 60, '--iters', 10]
    r = run(*few, '--final-raster', 'a.png', '--final-pdf', 'a.pdf', '--plot', 'plot.svg', '--film', 'film.gif', '--scene', 's.safetensors', cwd=tmp_path)
    assert r.returncode == 0, r.stderr
    assert {p.name for p in tmp_path.iterdir()} == {'a.png', 'a.pdf', 'a.svg', 'plot.svg', 'film.gif', 's.safetensors'}
    assert (tmp_path/'a.svg').read_text().count('Z"') == len(Scene.load(tmp_path/'s.safetensors')) == 30
    r = run(*few, cwd=tmp_path)
    assert r.returncode == 0 and any(p.name.endswith('-strokes.svg') for p in tmp_path.iterdir()), r.stderr
    r = run(*few, '--live', cwd=tmp_path)
    assert r.returncode == 2 and r.stderr.strip() == 'imageopt: error: live makes a page that draws strokes, and no shapes: leave it out'

def test_a_poster_and_a_sheet_from_the_command_line(tmp_path):
    "The preset flattens to six colours, a flag to as many as it says; a folder too, which is resumed with the same number only."
    few = ['--preset', 'poster', '--shapes', 30, '--width', 60, '--iters', 10]
    colours = lambda scene: {tuple(c.tolist()) for g in scene.groups for c in g.colour} | {tuple(torch.tensor(scene.paper).tolist())}
    r = run('sample:china', *few, '--final-raster', 'a.png', '--scene', 's.safetensors', '--sheet', 'sheet.svg', cwd=tmp_path)
    assert r.returncode == 0 and '30 shapes, 60 x 40' in r.stderr, r.stderr
    assert 2 <= len(colours(Scene.load(tmp_path/'s.safetensors'))) <= 6
    sheet = (tmp_path/'sheet.svg').read_text()
    assert '<text' in sheet and 3 <= sheet.count('<rect') <= 7
    r = run('sample:china', *few, '--flat-colours', 3, '--scene', 't.safetensors', cwd=tmp_path)
    assert r.returncode == 0 and len(colours(Scene.load(tmp_path/'t.safetensors'))) <= 3, r.stderr
    r = run('sample:china', *few, '--flat-colours', 0, '--scene', 'u.safetensors', cwd=tmp_path)
    assert r.returncode == 0 and len(colours(Scene.load(tmp_path/'u.safetensors'))) > 6, r.stderr
    r = run('sample:china', '--lines', 40, '--width', 60, '--iters', 5, '--flat-colours', 4, '--scene', 'v.safetensors', cwd=tmp_path)    # strokes of paint, too
    assert r.returncode == 0 and len(colours(Scene.load(tmp_path/'v.safetensors'))) <= 4, r.stderr
    r = run('sample:china', '--output', 'many', *few, cwd=tmp_path)
    assert r.returncode == 0 and 2 <= len(colours(Scene.load(tmp_path/'many'/'china.safetensors'))) <= 6, r.stderr
    r = run('sample:china', '--output', 'many', *few, '--resume', '--flat-colours', 4, cwd=tmp_path)
    assert r.returncode == 2 and 'flat_colours' in r.stderr
    for wrong in (-1, 65):
        r = run('sample:china', *few, '--flat-colours', wrong, cwd=tmp_path)
        assert r.returncode == 2 and f'flat_colours {wrong}' in r.stderr and 'Traceback' not in r.stderr

def test_a_drawing_of_fills_is_refined(tmp_path):
    "Somebody's SVG of fills and strokes, towards a photograph: its rule and its hole stay, and it comes nearer."
    (tmp_path/'d.svg').write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 40" width="60" height="40"><rect width="60" height="40" fill="#cde"/><path fill-rule="evenodd" d="M10 10h20v20h-20z M15 15h10v10h-10z" fill="#a33"/><circle cx="45" cy="20" r="9" fill="#262" stroke="black" stroke-linecap="round"/></svg>')
    first, last = (imageopt('sample:china', preset='paint', init=tmp_path/'d.svg', width=60, iters=n) for n in (1, 60))
    assert [(k.rule, len(k.more)) for k in last.strokes()] == [('evenodd', 1), ('nonzero', 0), (None, 0)]
    target = load_picture('sample:china', width=60)
    def off(s): return (s.draw().detach() - target).square().mean().item()
    assert off(last) < .8*off(first)
