"""What a file can do here is be read: nothing is unpickled, nothing is written but where it was asked for, nobody is called."""
import ast, io, os, pickle, re, stat, zipfile
from pathlib import Path

import numpy as np, pytest, torch
from PIL import Image

import dsketch_nb
from dsketch_nb import oneshot, perceptual
from dsketch_nb.classifiers import load_classifier
from dsketch_nb.data import MNIST, Omniglot
from dsketch_nb.datafiles import read_npz, unpack
from dsketch_nb.experiments import load
from dsketch_nb.imageopt import imageopt
from dsketch_nb.pictures import load_picture
from dsketch_nb.oneshot import one_shot_folder
from dsketch_nb.perceptual import MissingWeights, read_weights
from dsketch_nb.runs import read_tensors
from dsketch_nb.scene import Scene

from launch import call, watch
from test_stopped import LINES, pictures
from test_oneshot import rounds

package = Path(dsketch_nb.__file__).parent
LONG = bool(os.environ.get('DSKETCH_LONG'))

# what the source says

def calls():
    "(file, function, name called, its keywords) of every call in the package."
    for path in sorted(package.glob('*.py')):
        tree = ast.parse(path.read_text(encoding='utf-8'))
        where = {}
        for f in ast.walk(tree):
            if isinstance(f, (ast.FunctionDef, ast.ClassDef)): where |= {id(o): f.name for o in ast.walk(f)}
        for o in ast.walk(tree):
            if isinstance(o, ast.Call): yield path.stem, where.get(id(o), ''), ast.unparse(o.func), {k.arg: ast.unparse(k.value) for k in o.keywords}

def test_the_source_has_one_door_for_each_danger():
    doors = {}
    for module, f, name, keywords in calls():
        assert name.split('.')[-1] not in ('eval', 'exec', 'system', 'popen', '__import__', 'execfile') or name.endswith(('.eval', 'net.eval')), (module, f, name)
        if re.search(r'(^|\.)(load|loads)$', name) and name not in ('json.loads', 'opened.load'): doors.setdefault('load', set()).add((module, f, name))
        if name == 'torch.load': assert keywords.get('weights_only') == 'True'
        assert 'allow_pickle' not in keywords or keywords['allow_pickle'] == 'False'
        for door in ('urlopen', 'urlretrieve', 'extractall', 'extract', 'Popen', 'run', 'rmtree'):
            if name.endswith(f'.{door}') and name.split('.')[0] in ('urllib', 'z', 'zipfile', 'tarfile', 'subprocess', 'shutil', 'tv'): doors.setdefault(door, set()).add((module, f))
        assert not name.startswith(('socket.', 'requests.', 'http.', 'ftplib.')) , (module, f, name)
    theirs = {o for o in doors.pop('load') if o[2] not in ('load', 'Scene.load', 'builder.load', 'tl.load')}                              # ours read safetensors
    assert theirs == {('perceptual', 'read_weights', 'torch.load'),                                                # tensors only
                      ('perceptual', '_clip_encoder', 'clip.load')}                                                # the package clip, where somebody has installed it
    assert doors == {'urlopen': {('perceptual', 'fetch_weights')}, 'extractall': {('datafiles', 'unpack')}, 'Popen': {('animation', '_ffmpeg')}}

def test_every_download_has_a_checksum(monkeypatch, tmp_path):
    "The addresses in the source are those of the named downloads, and whatever is fetched is compared with a checksum."
    known = {'https://storage.googleapis.com/quickdraw_dataset/sketchrnn/': 'the one that the server says', perceptual.CLIP_URL: 'SHA-256 in its path', oneshot.ONE_SHOT_URL: 'MD5 in the source'}
    text = ''.join(o.read_text(encoding='utf-8') for o in package.glob('[!_]*.py'))
    urls = {u.split('{')[0] for u in re.findall(r"https?://[^\s'\")\\]+", text)}
    documents = ('http://www.w3.org', 'https://github.com/openai/CLIP', 'https://github.com/rgeirhos', 'https://www.robots.ox.ac.uk', 'http://www.inkscape.org')      # names, and where to fetch by hand
    assert {u for u in urls if not u.startswith(documents)} == set(known)
    for net in ('vgg', 'alex', 'squeeze'): assert re.search(r'-[0-9a-f]{8}\.pth$', perceptual._imagenet_url(net))
    from torchvision import datasets as tv
    for kind in (tv.MNIST, tv.KMNIST): assert all(len(md5) == 32 for _, md5 in kind.resources)
    class Wrong(io.BytesIO):
        headers = __import__('email').message_from_string('Content-Length: 5\nx-goog-hash: crc32c=AAAA,md5=XUFAKrxLKna5cZ2REBfFkg==\n')      # of 'hello'
    for body, fits in ((b'hello', True), (b'hallo', False)):
        monkeypatch.setattr(perceptual.urllib.request, 'urlopen', lambda *a, **k: Wrong(body))
        for fetch in (lambda: perceptual.fetch_weights('https://storage.googleapis.com/quickdraw_dataset/sketchrnn/cat.npz', tmp_path/str(fits)),):
            if fits: assert fetch().read_bytes() == body
            else:
                with pytest.raises(MissingWeights, match='its MD5 is not'): fetch()
        with pytest.raises(MissingWeights, match='SHA-256|MD5'): perceptual.fetch_weights(perceptual.CLIP_URL, tmp_path/'clip')
        with pytest.raises(FileNotFoundError): one_shot_folder(tmp_path/'runs')
        with pytest.raises(FileNotFoundError): Omniglot(tmp_path/'characters')
    assert [o.name for o in tmp_path.rglob('*') if o.is_file()] == ['cat.npz']

# what the commands do

WATCHED = {**{k: (command, argv) for k, (command, argv, _) in LINES.items()},
           'film': ('imageopt', 'sample:flower --width 24 --lines 20 --iters 20 --film a.svg --animation b.gif --plot c.svg --snapshots-path run/way --snapshots-steps 10'.split()),
           'train, variational': ('autoencoder-experiment', 'train --variational --dataset Folder --dataset-root photos --valset-size-per-class 1 --epochs 1 --num-workers 0 --num-reconstructions 1 --output run'.split()),
           'eval': ('autoencoder-experiment', 'eval --weights mnist-autoencoder --dataset Digits --output run --num-reconstructions 3'.split()),
           'draw': ('autoencoder-experiment', 'draw --weights mnist-autoencoder photos/0.png --output run --png'.split()),
           'one-shot': ('evaluate_one_shot', 'Hausdorff'.split())}
EVENTS = 'pickle.', 'socket.', 'urllib.', 'subprocess.', 'os.system', 'os.exec', 'os.spawn', 'os.posix_spawn', 'os.fork', 'os.remove', 'os.rename', 'os.rmdir', 'os.mkdir', 'os.link', 'os.symlink', 'os.chmod', 'os.truncate', 'shutil.', 'ftplib.', 'http.', 'webbrowser.', 'ctypes.dlopen.never'

@pytest.mark.parametrize('name', WATCHED)
def test_a_command_writes_where_it_was_told_and_calls_nobody(tmp_path, name):
    command, argv = WATCHED[name]
    where, log = tmp_path/'where', tmp_path/'log'
    where.mkdir()
    pictures(where)
    for i in range(4): Image.linear_gradient('L').rotate(90*i).save(where/'photos'/f'more{i}.png')
    if name == 'one-shot': argv = ['--model', 'Hausdorff', '--dataset-root', str(rounds(tmp_path/'runs'))]
    code, out, err = call(command, *argv, cwd=where, setup=[(watch, log, *EVENTS)])
    assert code == 0, err
    said = log.read_text().splitlines()
    assert name == 'one-shot' or any('.dsketch-' in o for o in said if o.startswith('open ')), 'the watch sees nothing'
    for line in said:
        event, args = line.split(' ', 1)
        if re.match(r'os.chmod \(\d', line): continue                                  # filelock's own file, by its number
        assert event in ('open', 'os.remove', 'os.rename', 'os.mkdir', 'os.truncate'), line            # no pickle, no socket, no program
        path = re.search(r"'([^']*)'", args)
        assert path, line
        full = (where/path[1]).resolve()
        assert full.is_relative_to(where) or str(full) == '/dev/null' or 'numba' in line or '__pycache__' in line, line
        if full.is_relative_to(where): assert full.parent in (where, where/'run', where/'run/barlow', where/'run/way') or full in (where/'run', where/'run/way'), line
    assert {o.name for o in where.iterdir()} <= {'photos', 'run', 'said.out', 'said.err', 'f.png', 'f.pdf', 'f.svg', 'i.png', 's.safetensors', 'a.svg', 'b.gif', 'c.svg'}

# what files can do

def trap(flag):
    class Trap:
        def __reduce__(self): return Path.write_text, (flag, 'executed')
    return pickle.dumps(Trap()), Trap()

READERS = {'a scene': (Scene.load, 'x.safetensors'), 'tensors': (read_tensors, 'x.safetensors'), 'a classifier': (load_classifier, 'x.safetensors'), 'an auto-encoder': (load, 'x.safetensors'),
           'weights': (read_weights, 'x.pth'), 'a drawing to start from': (lambda p: imageopt('sample:china', init=p, width=20, iters=1), 'x.safetensors'), 'a picture': (load_picture, 'x.png'),
           'strokes in an archive': (read_npz, 'x.npz')}

@pytest.mark.parametrize('name', READERS)
def test_a_pickle_is_not_executed(tmp_path, name):
    flag, (read, file) = tmp_path/'flag', READERS[name]
    plain, trapped = trap(flag)
    made = {'plain': lambda p: p.write_bytes(plain), 'torch': lambda p: torch.save({'a': trapped}, p), 'old torch': lambda p: torch.save({'a': trapped}, p, _use_new_zipfile_serialization=False)}
    if file == 'x.npz': made['numpy'] = lambda p: np.savez(p, train=np.array([trapped], object), test=np.array([trapped], object))
    for make in made.values():
        make(tmp_path/file)
        with pytest.raises(Exception) as e: read(tmp_path/file)
        assert not flag.exists() and not isinstance(e.value, (SystemExit, KeyboardInterrupt, AssertionError))
    pickle.loads(plain)
    assert flag.exists()                                                        # the trap works

def test_a_data_sets_old_cache_is_no_program(tmp_path):
    "torchvision still looks for files that its first versions wrote."
    flag = tmp_path/'flag'
    old = tmp_path/'MNIST'/'processed'
    old.mkdir(parents=True)
    for o in ('training.pt', 'test.pt'): torch.save(trap(flag)[1], old/o)
    with pytest.raises(Exception): MNIST(tmp_path)
    assert not flag.exists()

def zipped(path, *names, link=None, **more):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as z:
        for o in names: z.writestr(o, 'evil')
        for o, data in more.items(): z.writestr(o, data)
        if link:
            info = zipfile.ZipInfo('run02')
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            z.writestr(info, str(link))
    return path

def test_an_archive_stays_below_its_folder(tmp_path):
    out = tmp_path/'deep'/'out'
    out.mkdir(parents=True)
    outside = tmp_path/'outside'
    outside.mkdir()
    unpack(zipped(tmp_path/'a.zip', '../evil', '../../evil', '/tmp/dsketch-evil', 'run01/../../../evil', 'run01/fine', '.dsketch-x/y', link=outside), out)
    assert (out/'run01'/'fine').is_file() and not Path('/tmp/dsketch-evil').exists()
    everything = {o for o in tmp_path.rglob('*') if o.is_file()}
    assert all(o.is_relative_to(out) for o in everything - {tmp_path/'a.zip'}) and not any(o.is_symlink() for o in tmp_path.rglob('*'))
    assert not [o for o in out.glob('.dsketch-*') if o.name != '.dsketch-x']

def test_an_archive_is_whole_or_absent_and_bounded(tmp_path):
    (tmp_path/'out').mkdir()
    with pytest.raises(ValueError, match='b.zip unfolds into more than 1,000,000 bytes'): unpack(zipped(tmp_path/'b.zip', bomb=b'0'*2_000_000), tmp_path/'out', 10**6)
    whole = zipped(tmp_path/'c.zip', 'run01/a', 'run02/b').read_bytes()
    bad = bytearray(whole)
    bad[whole.index(b'run02/b') + 9] ^= 255                                        # the second entry is damaged
    (tmp_path/'c.zip').write_bytes(bad)
    with pytest.raises(ValueError, match='c.zip is damaged'): unpack(tmp_path/'c.zip', tmp_path/'out')
    assert not list((tmp_path/'out').glob('[!.]*'))
    where = tmp_path/'omniglot-one-shot'
    where.mkdir()
    (where/'all_runs.zip').write_bytes(bad)
    with pytest.raises(ValueError, match='all_runs.zip is damaged'): one_shot_folder(tmp_path)
    assert [o.name for o in where.iterdir()] == ['all_runs.zip']
