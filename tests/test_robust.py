"""Trying to break it: degenerate strokes, strange images, damaged files, many threads. DSKETCH_LONG=1 does each much longer."""
import io, math, os, random, threading
from pathlib import Path

import numpy as np, pytest, torch
from PIL import Image
from hypothesis import given, settings, strategies as st

from dsketch_nb.draw import draw
from dsketch_nb.imageopt import imageopt, load_picture
from dsketch_nb.runs import read_tensors, write_tensors
from dsketch_nb.scene import Scene

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

def test_memory_stays_flat():
    psutil = pytest.importorskip('psutil')
    process, v = psutil.Process(), (torch.rand(100, 2, 2)*2 - 1).requires_grad_()
    def some(n):
        for _ in range(n):
            v.grad = None
            draw(v, (64, 64), 1e-3).sum().backward()
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
