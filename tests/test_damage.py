"""Every kind of file that is read here, damaged: bytes changed, cut off, doubled, numbers and lengths that lie. What comes of it is the file, read, or one line that names it.

All kinds are read in a process of their own, with bounds on memory and on the time that a file may take (the processor's, not the clock's): a crash, a hang or a
flood ends that process and is seen from outside. Forty files a kind; DSKETCH_LONG=1 makes five hundred."""
import contextlib, io, json, os, random, resource, signal, subprocess, sys, tempfile, zipfile
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
N = 500 if os.environ.get('DSKETCH_LONG') else 40
SECONDS, MEMORY = 20, 3*2**30

# ---- what is damaged, and how it is read. `make` writes a sound file into a folder and names it, `read` is given that file

def scene(folder):
    import torch
    from dsketch_nb.scene import Scene
    g = torch.Generator().manual_seed(0)
    s = Scene(12, 14, 'paint').add('segments', torch.rand(5, 2, 2, generator=g), torch.rand(5, 3, generator=g), .05, .5)
    s.add('catmull_roms', torch.rand(2, 5, 2, generator=g), sigma2=torch.full((2,), .01)).save(folder/'drawn.safetensors')
    return folder/'drawn.safetensors'

def read_scene(path):
    from dsketch_nb.scene import Scene
    s = Scene.load(path)
    if s.height*s.width < 1e6 and all(g.params.abs().max() < 1e6 for g in s.groups if len(g)): s.to_svg()

def optimiser(**more):
    import torch
    from dsketch_nb.optimise import Best, ImageOptimiser, Sigma2Schedule
    from dsketch_nb.placement import random_scene
    s = random_scene(12, 12, lines=4)
    o = ImageOptimiser(s, torch.full((1, 12, 12), .5), torch.nn.MSELoss(), torch.optim.Adam([g.params for g in s.groups], .01), [Best(), Sigma2Schedule(1., .5, step=2)])
    o.iters = 3
    return o

def strokes(folder):
    o = optimiser()
    o.fit(3)
    o.save(folder/'strokes.safetensors')
    return folder/'strokes.safetensors'

def read_strokes(path):
    o = optimiser()
    for c in o.callbacks: c.before_fit(o)
    o.restore(path)
    o.step()

def trainer(folder, **more):
    import torch
    from torch import nn
    from dsketch_nb.data import Split
    from dsketch_nb.training import Trainer
    torch.manual_seed(0)
    split = Split(torch.rand(12, 1, 4, 4), torch.arange(12) % 3)
    def loss(model, images, labels): return nn.functional.cross_entropy(model(images), labels), {}
    return Trainer(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), loss, split, split, epochs=2, batch_size=5, learning_rate='.1*.5@[1,3]', output=folder/'trained', device='cpu')

def training(folder):
    trainer(folder).fit()
    return folder/'trained'/'checkpoint.safetensors'

def read_training(path):
    t = trainer(path.parent.parent)
    t.resume()
    if t.epoch < 5:
        t.epochs = t.epoch + 1
        t.output = None
        t.fit()

def autoencoder(folder):
    from dsketch_nb.experiments import train_autoencoder
    train_autoencoder(epochs=1, batch_size=600, encoder_hidden=3, decoder_hidden=3, decoder_hidden2=3, latent_size=2, npoints=3, num_reconstructions=1, num_workers=0, output=folder/'net')
    return folder/'net'/'model.safetensors'

def read_autoencoder(path):
    from dsketch_nb.experiments import load
    load(path)

def classifier(folder):
    from dsketch_nb.classifiers import MnistCNN
    from dsketch_nb.training import save_weights
    save_weights(folder/'reader.safetensors', MnistCNN((16, 16), 1, 3), {'epoch': 1, 'history': [], 'config': dict(model='MnistCNN', model_options={}, size=[16, 16], channels=1, classes=3)}, half=True)
    return folder/'reader.safetensors'

def read_classifier(path):
    from dsketch_nb.classifiers import load_classifier
    load_classifier(path)

def weights(folder):
    import torch
    torch.save({'features.0.weight': torch.rand(3, 2), 'features.0.bias': torch.rand(3)}, folder/'net.pth')
    return folder/'net.pth'

def read_weights(path):
    from dsketch_nb.perceptual import read_weights
    read_weights(path)

TINY = dict(lines=3, iters=2, width=8, preset='lines', init_sigma2=1.)
def run_of_images(folder):
    from PIL import Image
    from dsketch_nb.imageopt_command import imageopt_folder
    (folder/'photos').mkdir()
    for i in range(2): Image.linear_gradient('L').rotate(90*i).resize((9, 8)).save(folder/'photos'/f'{i}.png')
    imageopt_folder([folder/'photos'], folder/'run', **TINY)
    return folder/'run'/'config.json'

def read_run_of_images(path):
    from dsketch_nb.imageopt_command import imageopt_folder
    imageopt_folder([path.parent.parent/'photos'], path.parent, resume=True, **TINY)

def results(folder): return run_of_images(folder).with_name('results.csv')

def sketches(n):
    import numpy as np
    g = np.random.default_rng(0)
    return [np.concatenate([g.integers(-20, 20, (6, 2)), [[0], [1], [0], [0], [0], [1]]], 1).astype(np.int16) for _ in range(n)]

def npz(folder):
    import numpy as np
    def objects(rows):
        out = np.empty(len(rows), object)
        out[:] = rows
        return out
    np.savez_compressed(folder/'yoga.npz', **{k: objects(sketches(n)) for k, n in dict(train=6, valid=2, test=3).items()})
    return folder/'yoga.npz'

def plain_npz(folder):
    "The same, stored, so that the damage is to the pickle; its checksum is made right again."
    with zipfile.ZipFile(npz(folder)) as packed, zipfile.ZipFile(folder/'cat.npz', 'w') as z:
        for o in packed.namelist(): z.writestr(o, packed.read(o))
    return folder/'cat.npz'

def rasterised(parts):
    from dsketch_nb.data import Sketches
    for part in parts: Sketches(*part, 16, 1.)[range(2)]

def read_npz(path):
    from dsketch_nb.datafiles import read_npz
    rasterised(read_npz(path))

def read_plain_npz(path):
    import zlib
    data = bytearray(path.read_bytes())
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as z: infos = z.infolist()
        for o in infos:                                        # whoever damages on purpose does this too
            start = o.header_offset + 30 + int.from_bytes(data[o.header_offset+26:o.header_offset+28], 'little') + int.from_bytes(data[o.header_offset+28:o.header_offset+30], 'little')
            crc = zlib.crc32(data[start:start + o.file_size]).to_bytes(4, 'little')
            at = data.index(o.filename.encode(), infos[-1].header_offset + 30 + 1) - 46
            for i in range(len(data) - 4):
                if data[i:i+4] == o.CRC.to_bytes(4, 'little'): data[i:i+4] = crc
        path.write_bytes(data)
    except (zipfile.BadZipFile, ValueError, IndexError, NotImplementedError): pass
    read_npz(path)

def ndjson(folder):
    lines = [json.dumps({'word': 'loop', 'drawing': [[o[:, 0].tolist(), o[:, 1].tolist()] for o in sketches(2)]}) for _ in range(4)]
    (folder/'loops.ndjson').write_text('\n'.join(lines))
    return folder/'loops.ndjson'

def read_ndjson(path):
    from dsketch_nb.datafiles import read_ndjson
    rasterised(read_ndjson(path))

def archive(folder):
    with zipfile.ZipFile(folder/'alphabets.zip', 'w', zipfile.ZIP_DEFLATED) as z:
        for o in ('a/one.txt', 'a/two.txt', 'b/three.txt'): z.writestr(o, o*20)
        z.writestr(zipfile.ZipInfo('c/packed.txt'), 'x'*200, zipfile.ZIP_LZMA)
    return folder/'alphabets.zip'

def unpack(path):
    from dsketch_nb.datafiles import unpack
    with tempfile.TemporaryDirectory() as d: unpack(path, d)

def idx(folder):
    import struct
    raw = folder/'MNIST'/'raw'
    raw.mkdir(parents=True)
    for part in ('train', 't10k'):
        (raw/f'{part}-images-idx3-ubyte').write_bytes(struct.pack('>I3I', 0x803, 40, 28, 28) + bytes(range(256))*122 + bytes(128))
        (raw/f'{part}-labels-idx1-ubyte').write_bytes(struct.pack('>II', 0x801, 40) + bytes(i % 10 for i in range(40)))
    return raw/'train-images-idx3-ubyte'

def labels(folder): return idx(folder).with_name('train-labels-idx1-ubyte')

def mnist(path):
    from dsketch_nb.data import MNIST
    MNIST(path.parent.parent.parent, valset_size_per_class=1)

def picture(kind, **more):
    def make(folder):
        from PIL import Image
        image = Image.linear_gradient('L').resize((24, 20)).convert('RGB')
        image.save(folder/f'photo.{kind}', **more)
        return folder/f'photo.{kind}'
    return make

def load_picture(path):
    from dsketch_nb.pictures import load_picture
    load_picture(path, width=16)

def character(folder):
    from PIL import Image
    Image.linear_gradient('L').resize((105, 105)).convert('1').save(folder/'0001_01.png')
    return folder/'0001_01.png'

def read_character(path):
    from dsketch_nb.datafiles import read_character
    read_character(path)

def rounds(folder):
    sys.path.insert(0, str(root/'tests'))
    import test_oneshot
    return test_oneshot.rounds(folder)/'omniglot-one-shot'/'run01'/'class_labels.txt'

def read_rounds(path):
    from dsketch_nb.oneshot import read_run
    read_run(path.parent)

def svg(folder):
    (folder/'drawing.svg').write_text('''<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30" viewBox="0 0 40 30"><style>.a{stroke:#123;stroke-width:2}</style>
<g transform="rotate(10) translate(3 4)"><path class="a" fill="none" d="M1 2C3 4 5 6 7 8S9 9 10 3Q1 1 4 4A3 2 10 0 1 9 9Z"/><line x1="1" y1="2" x2="9" y2="7" stroke="rgb(10%,20%,30%)"/></g>
<polyline points="1,1 2,3 5,4" stroke="red" fill="none" stroke-width="1.5px" opacity=".5"/><use href="#a"/><circle id="a" cx="5" cy="6" r="2" stroke="blue"/></svg>''')
    return folder/'drawing.svg'

def read_svg(path):
    from dsketch_nb.scene import Scene
    import dsketch_nb.svg
    Scene.from_svg(path)

KINDS = {'scene': (scene, read_scene), 'checkpoint of strokes': (strokes, read_strokes), 'checkpoint of a network': (training, read_training),
         'auto-encoder': (autoencoder, read_autoencoder), 'classifier': (classifier, read_classifier), 'weights': (weights, read_weights),
         'config.json': (run_of_images, read_run_of_images), 'results.csv': (results, read_run_of_images),
         'npz': (npz, read_npz), 'npz, its pickle': (plain_npz, read_plain_npz), 'ndjson': (ndjson, read_ndjson), 'zip': (archive, unpack),
         'MNIST images': (idx, mnist), 'MNIST labels': (labels, mnist), 'character': (character, read_character), 'class_labels.txt': (rounds, read_rounds),
         'png': (picture('png'), load_picture), 'jpg': (picture('jpg'), load_picture), 'gif': (picture('gif'), load_picture), 'webp': (picture('webp'), load_picture),
         'tif': (picture('tif', compression='tiff_lzw'), load_picture), 'bmp': (picture('bmp'), load_picture), 'svg': (svg, read_svg)}

# ---- damage

LIES = [0, 1, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]
WORDS = [b'-1', b'0', b'1e999', b'99999999999', b'null', b'"x"', b'[]', b'{}', b'NaN', b'.', b'[' * 3000, b'-0.0', b'true', b'\xff', '\u2028'.encode(), b'']

def damaged(data, r):
    "(what was done, other bytes)."
    data = bytearray(data)
    how = r.choice(('flipped', 'cut', 'doubled', 'length', 'number', 'header'))
    if how == 'flipped':
        for _ in range(r.choice((1, 2, 8))): data[r.randrange(len(data))] ^= r.randrange(1, 256)
    elif how == 'cut': data = data[:r.randrange(len(data))]
    elif how == 'doubled':
        a = r.randrange(len(data)); b = r.randrange(a, len(data)) + 1
        at = r.choice((b, len(data), 0))
        data[at:at] = data[a:b] if r.random() < .7 else data
    elif how == 'length':
        size, order = r.choice((1, 2, 4, 8)), r.choice(('little', 'big'))
        lie, at = r.choice(LIES) % 2**(8*size), r.randrange(max(len(data) - size, 1))
        data[at:at + size] = lie.to_bytes(size, order)
    elif how == 'number':
        digits = [i for i in range(len(data)) if chr(data[i]).isdigit()] or [0]
        a = r.choice(digits); b = a
        while b < len(data) and chr(data[b]) in '0123456789.': b += 1
        data[a:b] = r.choice(WORDS)
    else:                                                      # where files say what they are
        for _ in range(r.choice((1, 3))): data[r.randrange(min(len(data), 64))] = r.randrange(256)
    return how, bytes(data)

# ---- the process that reads

class TooLong(BaseException): "A file took more of the processor than any needs."

def late(*_): raise TooLong

def judged(read, path):
    "'read', 'refused', or what is wrong."
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()): read(path)
        return 'read'
    except TooLong: return f'took more than {SECONDS} seconds'
    except BaseException as e:
        from dsketch_nb.perceptual import MissingWeights
        text = str(e)
        if not isinstance(e, (ValueError, OSError, MissingWeights)): return f'{type(e).__name__}: {text[:300]}'
        if '\n' in text or len(text) > 1500: return f'not one line: {text[:300]!r}'
        if path.name not in text and str(path.parent) not in text and 'MNIST' not in text and str(path.parent.parent.parent) not in text: return f'does not name the file: {text[:300]}'
        return 'refused'
    finally: signal.setitimer(signal.ITIMER_PROF, 0)

def child(n, kinds):
    import warnings
    warnings.simplefilter('ignore')
    signal.signal(signal.SIGPROF, late)
    out = os.fdopen(os.dup(1), 'w')
    def say(**o): print(json.dumps(o), file=out, flush=True)
    import torch
    torch.set_num_threads(1)
    for kind in kinds:
        make, read = KINDS[kind]
        with tempfile.TemporaryDirectory() as d:
            with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()): path = make(Path(d))
            whole = {o: o.read_bytes() for o in Path(d).rglob('*') if o.is_file()}
            say(kind=kind, case=-1, how='whole', what=judged(read, path))
            size = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
            for i in range(n):
                for o in [o for o in Path(d).rglob('*') if o.is_file() and o not in whole]: o.unlink()
                for o, data in whole.items(): o.write_bytes(data)
                how, data = damaged(whole[path], random.Random(f'{kind} {i}'))
                path.write_bytes(data)
                say(kind=kind, case=i, how=how)
                say(kind=kind, case=i, how=how, what=judged(read, path))
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

# ---- the tests

@pytest.fixture(scope='module')
def outcomes():
    "kind -> [(case, how, what)] of every kind; what ended the process is said of the file it was reading."
    found, left = {k: [] for k in KINDS}, list(KINDS)
    while left:
        p = subprocess.run([sys.executable, __file__, str(N), *left], cwd=root, env=os.environ | {'PYTHONPATH': str(root)}, capture_output=True, text=True)
        said = [json.loads(o) for o in p.stdout.splitlines()]
        for o in said:
            if 'what' in o: found[o['kind']].append((o['case'], o['how'], o['what']))
        if p.returncode == 0: break
        assert said, p.stderr[-2000:]
        last = said[-1]
        found[last['kind']].append((last['case'], last['how'], f'ended the process: {p.returncode} {p.stderr[-1000:]}'))
        left = left[left.index(last['kind']) + 1:]
    return found

@pytest.mark.parametrize('kind', KINDS)
def test_a_damaged_file_is_read_or_named(outcomes, kind):
    cases = outcomes[kind]
    assert cases[0][1:] == ('whole', 'read')
    assert not [o for o in cases if o[2] not in ('read', 'refused')]
    assert len(cases) == N + 1 and sum(o[2] == 'refused' for o in cases) > N/20, 'the damage does nothing'

if __name__ == '__main__': child(int(sys.argv[1]), sys.argv[2:])
