"""Pictures as the world has them: any range of numbers, other colours than sRGB, from files, pipes and memory, and of any shape."""
import io, os, subprocess, sys, threading

import numpy as np, pytest, torch
from PIL import Image, ImageCms

from dsketch_nb.pictures import LARGEST, image_files, in_srgb, load_picture, open_picture

RAMP = np.linspace(0, 1, 48).reshape(6, 8)

def tiff(a, mode=None):
    f = io.BytesIO()
    Image.fromarray(a, mode).save(f, 'TIFF')
    return f.getvalue()

RANGES = {'float to 1': RAMP.astype(np.float32), 'float to 255': (RAMP*255).astype(np.float32), 'float to 65535': (RAMP*65535).astype(np.float32),
          'int32 to 255': (RAMP*255).astype(np.int32), 'int32 to 65535': (RAMP*65535).astype(np.int32), 'int32 to 100000': (RAMP*100_000).astype(np.int32), 'uint16': (RAMP*65535).astype(np.uint16)}

@pytest.mark.parametrize('name', RANGES)
def test_a_tiff_of_any_range(name):
    for x in (load_picture(tiff(RANGES[name]), colour=False), load_picture(tiff(RANGES[name]))[1:2]):
        assert x.shape == (1, 6, 8) and np.abs(x[0].numpy() - RAMP).max() < .005

@pytest.mark.parametrize('a, words', [(np.full((2, 2), np.nan, np.float32), 'NaN'), (np.array([[-1, 1]], np.float32), 'reach from -1 to 1'), (np.array([[0, np.inf]], np.float32), 'infinity')])
def test_a_tiff_of_no_brightness_is_refused(tmp_path, a, words):
    (tmp_path/'x.tif').write_bytes(tiff(a))
    with pytest.raises(ValueError, match=f'x.tif.*{words}'): load_picture(tmp_path/'x.tif')

def profile(swap):
    "sRGB with its primaries exchanged: what says red means blue."
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes())
    if swap:
        at = {bytes(data[i:i+4]): i for i in range(132, 132 + 12*data[131], 12)}
        r, b = at[b'rXYZ'], at[b'bXYZ']
        data[r+4:r+12], data[b+4:b+12] = data[b+4:b+12], data[r+4:r+12]
    return bytes(data)

@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'P'])
def test_colours_are_those_that_the_file_means(kind, mode):
    if kind == 'JPEG' and mode != 'RGB' or kind == 'WEBP' and mode == 'P': pytest.skip('there is no such file')
    red = Image.new('RGB', (16, 16), (255, 0, 0)).convert(mode)
    for swap, want in ((True, [0, 0, 1]), (False, [1, 0, 0])):
        f = io.BytesIO()
        red.save(f, kind, icc_profile=profile(swap), **({'lossless': True} if kind == 'WEBP' else {}))
        assert np.allclose(load_picture(f.getvalue())[:, 8, 8], want, atol=.03), (swap, load_picture(f.getvalue())[:, 8, 8])

def test_a_profile_that_changes_nothing_changes_no_bit_and_a_damaged_one_is_ignored():
    im = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8))
    for data in (profile(False), b'rubbish', profile(True)[:200]):
        im.info['icc_profile'] = data
        assert in_srgb(im) is im
    grey = im.convert('L')
    grey.info['icc_profile'] = profile(True)                                     # of another kind of picture
    assert in_srgb(grey) is grey

@pytest.mark.parametrize('make', [
    lambda a: a, lambda a: a/255, lambda a: (a/255).astype(np.float16), lambda a: a.astype(np.uint16)*257, lambda a: a.astype(np.int64), lambda a: np.asfortranarray(a), lambda a: a[::1],
    lambda a: torch.from_numpy(a).movedim(-1, 0), lambda a: torch.from_numpy(a/255).movedim(-1, 0).requires_grad_(), lambda a: (torch.from_numpy(a/255).movedim(-1, 0)).float(),
    lambda a: Image.fromarray(a), lambda a: png(a), lambda a: io.BytesIO(png(a)), lambda a: bytearray(png(a))])
def test_whatever_is_an_image(make):
    a = np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    a[0, 0] = 0, 255, 128
    assert np.abs(load_picture(make(a)).numpy().transpose(1, 2, 0)*255 - a).max() <= 1

def png(a):
    f = io.BytesIO()
    Image.fromarray(a).save(f, 'PNG')
    return f.getvalue()

@pytest.mark.parametrize('value', [np.zeros((3, 40, 50)), torch.zeros(1, 3, 4, 5), np.zeros(0), np.zeros((0, 4)), np.zeros((2, 2, 5)), np.array([['a']]), np.zeros((2, 2), complex), np.full((2, 2), np.nan), torch.randn(3, 4, 5), {}, None, 3.5])
def test_what_is_none_is_named(value):
    with pytest.raises((ValueError, TypeError), match='image'): load_picture(value)

@pytest.mark.parametrize('data, words', [(b'', 'empty'), (b'%PDF-1.4', 'PDF'), (b'<svg xmlns="http://www.w3.org/2000/svg"/>', '--init'), (b'\0\0\0\x18ftypheic' + bytes(90), 'pillow-heif'), (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n', 'PNG')])
def test_files_that_are_no_images_come_with_a_cure(tmp_path, data, words):
    (tmp_path/'x.png').write_bytes(data)
    with pytest.raises(ValueError, match=f'x.png: not an image .*{words}'): load_picture(tmp_path/'x.png')
    with pytest.raises(ValueError, match=f'folder'): load_picture(tmp_path)

def test_a_pipe_is_an_image(tmp_path):
    os.mkfifo(tmp_path/'pipe')
    data = png(np.full((4, 5, 3), 99, np.uint8))
    t = threading.Thread(target=(tmp_path/'pipe').write_bytes, args=(data,))
    t.start()
    assert load_picture(tmp_path/'pipe').shape == (3, 4, 5)
    t.join()
    code = "from dsketch_nb.pictures import load_picture; print(*load_picture('-').shape)"
    for shell in ('cat x.png | {}', '{} < x.png'):
        (tmp_path/'x.png').write_bytes(data)
        done = subprocess.run(['bash', '-c', shell.format(f'{sys.executable} -c "{code}"')], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.strip() == '3 4 5', done.stderr

@pytest.mark.parametrize('size', [(1, 100_000), (100_000, 1), (3, 10_000), (10_000, 3)])
def test_thin_images_are_bounded(size):
    im = Image.new('L', size, 200)
    x = load_picture(im, max_side=384)
    assert max(x.shape) == 384 and min(x.shape[1:]) >= 1
    if size[0] < 9:
        with pytest.raises(ValueError, match='width 40000 makes'): load_picture(im, width=40_000)
    assert 40_000*40_000 > LARGEST

def test_only_what_can_be_read_is_an_image_of_a_folder(tmp_path):
    kinds = {'.png': True, '.JPG': True, '.tif': True, '.pdf': False, '.eps': False, '.txt': False, '.svg': False, '.heic': True, '.h5': False, '.mpg': False}
    for o in kinds: (tmp_path/f'x{o}').write_bytes(b'?')
    assert {o.suffix for o in image_files(tmp_path)} == {k for k, v in kinds.items() if v}
