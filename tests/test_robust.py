"""Trying to break it: degenerate strokes, strange images, damaged files, many threads. DSKETCH_LONG=1 does each much longer."""
import io, math, os, random, threading
from functools import partial
from pathlib import Path

import numpy as np, pytest, torch
from PIL import Image
from hypothesis import given, settings, strategies as st

from dsketch_nb import compiled
from dsketch_nb.draw import draw
from dsketch_nb.optimise import Best, Cosine, ImageOptimiser
from dsketch_nb.imageopt import imageopt
from dsketch_nb.pictures import load_picture
from dsketch_nb.placement import random_scene
from dsketch_nb.losses import MSELoss
from dsketch_nb.runs import read_tensors, write_tensors
from dsketch_nb.scene import Scene

from launch import measured

LONG = bool(os.environ.get('DSKETCH_LONG'))

def degenerate(g, n, k):
    "Polylines with every kind of trouble planted."
    v = torch.rand(n, k, 2, generator=g)*3 - 1.5
    pick = lambda share: torch.rand(n, generator=g) < share
    v[pick(.2)] = v[0, 0].clone()                                         # all in one place
    still = pick(.2)
    v[still] = v[still][:, :1]                                            # no length
    v[pick(.1)] *= 1e4                                                    # far outside
    v[pick(.1), 0] = 0.                                                   # on the middle, where a pixel may lie
    v[pick(.1)] = 1.                                                      # on a corner
    return v

@pytest.mark.parametrize('compose', ['softor', 'ink', 'paint'])
def test_no_nan_in_value_or_gradient(compose):
    for seed in range(3400 if LONG else 60):
        g = torch.Generator().manual_seed(seed)
        n, k, h, w = (int(torch.randint(a, b, (1,), generator=g)) for a, b in ((1, 30), (1, 6), (2, 30), (2, 30)))
        v = degenerate(g, n, k).requires_grad_()
        sigma2 = (10**(torch.rand(n, generator=g)*10 - 8)).requires_grad_()
        colour = None if compose == 'softor' else torch.rand(n, 3, generator=g).round(decimals=1).requires_grad_()
        alpha = torch.rand(n, generator=g).round().requires_grad_()
        out = draw(v, (h, w), sigma2, colour, alpha, compose)
        assert out.isfinite().all() and -1e-6 <= out.min() and out.max() <= 1 + 1e-6, seed
        (out*torch.rand(out.shape, generator=g)).sum().backward()
        for x in (v, sigma2, colour, alpha): assert x is None or x.grad.isfinite().all(), seed

@pytest.mark.parametrize('compose', ['softor', 'ink', 'paint'])
def test_gradients_are_finite_differences(compose):
    "Along a random direction, in scenes of curves, segments and points that cross each other."
    for seed in range(700 if LONG else 20):
        g = torch.Generator().manual_seed(seed)
        n, k, h, w = (int(torch.randint(a, b, (1,), generator=g)) for a, b in ((1, 20), (1, 6), (1, 20), (1, 20)))
        rand = lambda *s: torch.rand(*s, generator=g, dtype=torch.float64)
        x = dict(vertices=rand(n, k, 2)*2 - 1, sigma2=10**(rand(n)*2 - 2.5), alpha=.1 + .8*rand(n), **({} if compose == 'softor' else {'colour': .1 + .8*rand(n, 3)}))
        seen, to = rand(3 if 'colour' in x else 1, h, w), {key: rand(*v.shape) - .5 for key, v in x.items()}
        def f(t): return (draw(size=(h, w), compose=compose, **{key: v + t*to[key] for key, v in x.items()})*seen).sum().item()
        leaves = {key: v.clone().requires_grad_() for key, v in x.items()}
        (draw(size=(h, w), compose=compose, **leaves)*seen).sum().backward()
        slope = sum((v.grad*to[key]).sum().item() for key, v in leaves.items())
        assert (f(1e-6) - f(-1e-6))/2e-6 == pytest.approx(slope, rel=1e-5, abs=1e-6), seed

def test_same_seed_same_result_for_any_number_of_threads(tmp_path):
    RAMP.save(tmp_path/'ramp.png')
    answers, before = [], compiled._threads
    try:
        for n in (1, 2, 2):
            compiled.set_threads(n)
            for preset in ('paint', 'sketch'): answers.append([p.detach().clone() for p in imageopt(tmp_path/'ramp.png', preset=preset, lines=300, iters=30, seed=3).parameters()])
    finally: compiled.set_threads(before)
    for a, b in zip(answers[:2]*2, answers[2:]):
        for x, y in zip(a, b, strict=True): assert torch.equal(x, y)

@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_read_and_drawn_in_full(dtype):
    v, g = (torch.rand(9, 3, 2)*2 - 1).to(dtype), torch.rand(1, 12, 13)
    colour, alpha, sigma2 = torch.rand(9, 3).to(dtype), torch.rand(9).to(dtype), (.01 + torch.rand(9)).to(dtype)
    half, full = [o.clone().requires_grad_() for o in (v, sigma2, colour, alpha)], [o.float().requires_grad_() for o in (v, sigma2, colour, alpha)]
    pictures = [draw(o[0], (12, 13), o[1], o[2], o[3], 'paint') for o in (half, full)]
    assert pictures[0].dtype == torch.float32 and torch.equal(*pictures)
    for p in pictures: (p*g).sum().backward()
    for a, b in zip(half, full): assert a.grad.dtype == dtype and torch.equal(a.grad, b.grad.to(dtype))
    with pytest.raises(TypeError, match='params is torch.*expected float32 or float64'): Scene(4, 4).add('segments', v[:, :2])

class Drawn(torch.utils.data.Dataset):
    "Draws what is asked for, where it is asked."
    def __len__(self): return 12
    def __getitem__(self, i): return draw(torch.rand(200, 2, 2, generator=torch.Generator().manual_seed(i))*2 - 1, (64, 64), 1e-3)

@pytest.mark.parametrize('how', ['fork', 'spawn', 'forkserver'])
def test_loaders_whose_workers_draw(how):
    "Though this process has drawn already, with threads that no child inherits."
    here = torch.stack([Drawn()[i] for i in range(12)])
    for _ in range(8 if LONG else 1):
        loader = torch.utils.data.DataLoader(Drawn(), batch_size=3, num_workers=2, multiprocessing_context=how, timeout=100)
        assert torch.equal(torch.cat(list(loader)), here)

@pytest.mark.parametrize('change, names', [
    (dict(vertices=torch.full((1, 2, 2), math.nan)), 'vertices'), (dict(vertices=torch.full((1, 2, 2), math.inf)), 'vertices'), (dict(vertices=torch.zeros(1, 2, 3)), 'vertices'),
    (dict(vertices=torch.zeros(1, 2, 2, dtype=torch.long)), 'vertices'), (dict(size=(0, 4)), 'size'), (dict(size=(4,)), 'size'), (dict(sigma2=-1.), 'sigma2'), (dict(sigma2=math.nan), 'sigma2'), (dict(compose='oil'), 'compose')])
def test_what_cannot_be_drawn_is_named(change, names):
    with pytest.raises((ValueError, TypeError), match=names): draw(**dict(dict(vertices=torch.zeros(1, 2, 2), size=(4, 4), sigma2=.1), **change))

def test_many_threads_at_once():
    n, strokes = (200, 5000) if LONG else (24, 500)
    scenes = [torch.rand(strokes, 2, 2, generator=torch.Generator().manual_seed(i))*2 - 1 for i in range(n)]
    def one(v):
        v = v.clone().requires_grad_()
        out = draw(v, (64, 64), 1e-3); out.sum().backward()
        return out.detach(), v.grad
    alone, together, todo = [one(v) for v in scenes], [None]*n, iter(range(n))
    lock = threading.Lock()
    def work():
        while True:
            with lock: i = next(todo, None)
            if i is None: return
            together[i] = one(scenes[i])
    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads: t.start()
    for t in threads: t.join(300)
    for a, b in zip(alone, together):
        for x, y in zip(a, b): assert torch.equal(x, y)

@pytest.mark.parametrize('what', ['drawings', 'an optimisation'])
def test_memory_stays_flat(what):
    psutil = pytest.importorskip('psutil')
    process, v = psutil.Process(), (torch.rand(100, 2, 2)*2 - 1).requires_grad_()
    scene = random_scene(64, 64, lines=100, colour=True, opacity=1.)
    o = ImageOptimiser(scene, torch.rand(3, 64, 64), MSELoss(), torch.optim.Adam(scene.parameters(), .01), [Best(), Cosine(.1)])
    for c in o.callbacks: c.before_fit(o)
    o.iters = 20_000
    def some(n):
        for _ in range(n):
            v.grad = None
            if what == 'drawings': draw(v, (64, 64), 1e-3).sum().backward()
            else: o.step()
        return process.memory_info().rss
    some(200)
    before = some(1)
    assert some(10_000 if LONG else 600) - before < 20e6

def save(im, how, **kw):
    f = io.BytesIO(); im.save(f, how, **kw)
    return f.getvalue()

RAMP = Image.linear_gradient('L').resize((40, 30))
PICTURES = {'palette.png': lambda: save(RAMP.convert('P'), 'PNG'), 'cmyk.jpg': lambda: save(RAMP.convert('CMYK'), 'JPEG'), 'alpha.png': lambda: save(Image.merge('LA', (RAMP, RAMP)), 'PNG'),
            'animated.gif': lambda: save(RAMP, 'GIF', save_all=True, append_images=[RAMP.rotate(180)]), 'deep.png': lambda: save(Image.fromarray((np.asarray(RAMP).astype(np.uint16)*257)), 'PNG'),
            'one.png': lambda: save(Image.new('L', (1, 1), 99), 'PNG'), 'webp.webp': lambda: save(RAMP.convert('RGB'), 'WEBP'), 'bits.png': lambda: save(RAMP.convert('1'), 'PNG')}

@pytest.mark.parametrize('name', PICTURES)
def test_images_of_every_kind(tmp_path, name):
    (tmp_path/name).write_bytes(PICTURES[name]())
    for colour, channels in ((True, 3), (False, 1)):
        x = load_picture(tmp_path/name, colour=colour)
        assert x.shape == (channels, *reversed(Image.open(tmp_path/name).size)) and x.isfinite().all() and 0 <= x.min() and x.max() <= 1
    if name != 'one.png': assert x[0, -1].mean() - x[0, 0].mean() > .3 or name == 'alpha.png'       # dark above, bright below
    scene = imageopt(tmp_path/name, lines=10, iters=3)
    assert scene.size == tuple(x.shape[1:])

def test_a_photograph_taken_sideways(tmp_path):
    exif = Image.Exif(); exif[0x0112] = 6
    RAMP.convert('RGB').save(tmp_path/'side.jpg', exif=exif)
    x = load_picture(tmp_path/'side.jpg')
    assert x.shape == (3, 40, 30) and x[0, :, 0].mean() > x[0, :, -1].mean() + .5                    # the bottom is now on the left

def test_too_many_pixels_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)                                             # as a real bomb does at its size
    RAMP.resize((80, 60)).save(tmp_path/'bomb.png')
    with pytest.raises(ValueError, match='bomb.png: not an image that can be read'): load_picture(tmp_path/'bomb.png')

def jpeg_or_png(path, side):
    im = Image.new('L', (side, side), 200)
    im.paste(20, (0, 0, side, side//2))
    im.save(path, **(dict(compress_level=1) if path.suffix == '.png' else dict(quality=70)))
    return path

def looks(path, **kw):
    x = load_picture(path, **kw)
    return tuple(x.shape), round(x[0, 0, 0].item(), 1), round(x[0, -1, -1].item(), 1)

@pytest.mark.parametrize('kind, side', [('png', 10_000), ('jpg', 10_000), *[('png', 13_000), ('jpg', 13_000)]*LONG])
def test_a_hundred_megapixels_do_not_fill_the_memory(tmp_path, kind, side):
    "A JPEG is read smaller, another kind of file is refused before it is unfolded."
    path = jpeg_or_png(tmp_path/f'huge.{kind}', side)
    for f in (partial(looks, width=200), *[looks]*(kind == 'png')):
        said, grown, seconds = measured(f, path)
        if kind == 'png': assert isinstance(said, ValueError) and f'huge.png: not an image that can be read ({side} x {side} pixels, more than 67,108,864: make it smaller)' in str(said)
        else: assert said == ((3, 200, 200), .1, .8), said
        assert grown < (20e6 if kind == 'png' else 400e6) and seconds < 20, (grown, seconds)

def damaged(data, rng):
    data, how = bytearray(data), rng.random()
    if how < .3: return bytes(data[:rng.randrange(len(data))])
    if how < .4: return bytes(data) + rng.randbytes(rng.randrange(1, 99))
    for _ in range(rng.randrange(1, 9)): data[rng.randrange(min(len(data), 400) if how < .7 else len(data))] = rng.randrange(256)
    return bytes(data)

def test_damaged_files_are_refused_or_read_and_nothing_else(tmp_path):
    rng = random.Random(3)
    torch.manual_seed(0)
    Scene(20, 30).add('segments', torch.rand(5, 2, 2), torch.rand(5, 3)).save(tmp_path/'scene.safetensors')
    write_tensors(tmp_path/'weights.safetensors', {'a': torch.rand(4, 5), 'b': torch.arange(3)}, {'what': 'a test'})
    originals = {'scene.safetensors': Scene.load, 'weights.safetensors': read_tensors, **{k: load_picture for k in ('deep.png', 'cmyk.jpg', 'animated.gif', 'webp.webp')}}
    for k in PICTURES.keys() & originals.keys(): (tmp_path/k).write_bytes(PICTURES[k]())
    for name, read in originals.items():
        whole, refused = (tmp_path/name).read_bytes(), 0
        for _ in range(600 if LONG else 40):
            path = tmp_path/f'bad-{name}'
            path.write_bytes(damaged(whole, rng))
            try: read(path)
            except (ValueError, FileNotFoundError) as e:
                refused += 1
                assert path.name in str(e), e
        assert refused > 0, name

@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([torch.float32, torch.float64]), st.integers(0, 3), st.integers(1, 3))
@settings(max_examples=300 if LONG else 30, deadline=None)
def test_every_shape_there_is(h, w, dtype, n, batch):
    v = (torch.rand(batch, n, 3, 2, dtype=dtype)*2 - 1)
    a = draw(v, (h, w), .05)
    assert a.shape == (batch, 1, h, w) and a.dtype == dtype
    torch.testing.assert_close(draw(v.transpose(0, 1).contiguous().transpose(0, 1), (h, w), .05), a)
    for i in range(batch): torch.testing.assert_close(draw(v[i], (h, w), .05), a[i])

def test_a_folder_of_every_kind_of_image_is_read_as_a_picture_is(tmp_path):
    from dsketch_nb.data import Folder
    want, names = torch.from_numpy(np.array(RAMP)).float()/255, ['deep.png', 'palette.png', 'webp.webp']
    for k in names: (tmp_path/k).write_bytes(PICTURES[k]())
    for k in names:
        for other in names: (tmp_path/k).with_name(f'{Path(other).stem}-{k}').write_bytes((tmp_path/other).read_bytes())
    split = Folder(tmp_path, size=40, valset_size_per_class=1)
    images = torch.cat([o.images for o in (split.train, split.val, split.test)])
    assert len(images) == 12 and not split.skipped
    for image in images: assert (image[0, 5:35] - want).abs().mean() < .02                   # 30 rows, padded to 40
