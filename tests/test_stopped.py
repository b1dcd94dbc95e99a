"""Every command, ended in every way: by hand, by the system, at once, by a full disk. Nothing half-written, and --resume ends where an unbroken run ends.

DSKETCH_LONG=1 does each at twenty random moments, and at every single file that is written."""
import csv, io, json, os, random, shutil, signal, subprocess, sys, time
from xml.etree import ElementTree

import pytest, torch
from PIL import Image
from safetensors import safe_open

from launch import Started, call, dies, file_limit, humble

LONG = bool(os.environ.get('DSKETCH_LONG'))

def pictures(cwd):
    from sklearn.datasets import load_sample_images
    (cwd/'photos').mkdir()
    for i, a in enumerate(load_sample_images().images): Image.fromarray(a).crop((200, 100, 440, 340)).resize((48, 48)).save(cwd/'photos'/f'{i}.png')

SMALL = '--width 32 --lines 40 --iters 120 --seed 5'.split()
LEARN = '--model ScaledMnistCNN --dataset Digits --batch-size 700 --epochs 2 --snapshot-epochs 1 --seed 5 --output run'.split()
# what is typed; what goes on with it; whether a kill may cost the run's work
LINES = {'one image': ('imageopt', ['sample:china', *SMALL, '--iters', '600', '--final-raster', 'f.png', '--final-pdf', 'f.pdf', '--scene', 's.safetensors', '--init-raster', 'i.png'], False),
         'a folder of images': ('imageopt', ['photos', *SMALL, '--output', 'run', '--checkpoint-steps', '20'], True),
         'autoencoder-experiment': ('autoencoder-experiment', 'train --nlines 3 --decoder SinglePassSimpleBezierDecoder --epochs 3 --batch-size 200 --num-reconstructions 4 --snapshot-interval 1 --output run'.split(), True),
         'train_classifiers': ('train_classifiers', LEARN, True),
         'train_classifiers_barlow': ('train_classifiers_barlow', [*LEARN, '--barlow-epochs', '2', '--barlow-batch-size', '600'], True)}
# with weights kept on the way
SHORT = ('train_classifiers_barlow', '--model ScaledMnistCNN --dataset Digits --batch-size 700 --epochs 1 --barlow-epochs 1 --barlow-batch-size 600 --snapshot-epochs 1 --seed 5 --output run'.split(), True)
RESUMED = [k for k, (*_, resumed) in LINES.items() if resumed]

def visible(cwd): return {o.relative_to(cwd): o for o in sorted(cwd.rglob('*')) if o.is_file() and not o.name.startswith(('.', 'said.')) and 'photos' not in o.parts}

def some(folder, *patterns): return any(o for p in patterns for o in folder.glob(p))

def check_whole(path):
    "A file under its final name is all there."
    data, kind = path.read_bytes(), path.suffix
    assert data, f'{path} is empty'
    if kind == '.safetensors':
        with safe_open(path, 'pt') as f: assert all(f.get_tensor(k).isfinite().all() for k in f.keys())
    elif kind in ('.png', '.gif'): Image.open(io.BytesIO(data)).load()
    elif kind == '.json': json.loads(data)
    elif kind == '.svg': ElementTree.fromstring(data)
    elif kind == '.pdf': assert data.startswith(b'%PDF') and data.rstrip().endswith(b'%%EOF')
    elif kind == '.csv': assert data.endswith(b'\n') and len({len(r) for r in csv.reader(io.StringIO(data.decode()))}) == 1
    else: raise AssertionError(f'who wrote {path}?')

def content(path):
    "What a file says, but for the clock and the words of the command."
    if path.suffix == '.safetensors':
        with safe_open(path, 'pt') as f: return {k: f.get_tensor(k) for k in f.keys()}
    if path.suffix == '.csv': return [{k: v for k, v in r.items() if k != 'seconds'} for r in csv.DictReader(path.open())]
    if path.suffix == '.json': return json.loads(path.read_text())['config'] if 'config' in json.loads(path.read_text()) else json.loads(path.read_text())
    return path.read_bytes()

def check_same(a, b):
    one, two = visible(a), visible(b)
    assert set(one) == set(two)
    for name in one:
        x, y = content(one[name]), content(two[name])
        if isinstance(x, dict) and name.suffix == '.safetensors':
            assert set(x) == set(y), name
            for k in x: assert torch.equal(x[k], y[k]), (name, k)
        else: assert x == y, name

def check_after(cwd):
    "After any end: only whole files under final names, and no file of anybody else's."
    for o in visible(cwd).values(): check_whole(o)

@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    "Each command's run as it should be: its folder, and how long it took."
    known = {}
    def of(name):
        if name not in known:
            command, argv, _ = (LINES | {'short': SHORT})[name]
            for _ in range(1 + LONG):                                               # the first may have to compile
                cwd = tmp_path_factory.mktemp('unbroken')
                pictures(cwd)
                p = Started(command, *argv, cwd=cwd)
                code, out, err = p.end()
                assert code == 0, err
            check_after(cwd)
            known[name] = cwd, p.seconds
        return known[name]
    return of

def go_on(name, cwd):
    "--resume; from the start where nothing was kept yet."
    command, argv, resumed = (LINES | {'short': SHORT})[name]
    code, out, err = call(command, *argv, *['--resume']*resumed, cwd=cwd)
    if code == 2 and ('no file' in err or 'no run to resume' in err):
        assert not visible(cwd), err                                                 # it was killed before it had written anything
        code, out, err = call(command, *argv, cwd=cwd)
    assert code == 0, err
    assert not (resumed and list(cwd.rglob('.dsketch-*'))), 'what a killed run left half-written is swept away'
    return err

MOMENTS = 20 if LONG else 1

@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
@pytest.mark.parametrize('name', LINES)
@pytest.mark.parametrize('moment', range(MOMENTS))
def test_ended_at_a_random_moment(unbroken, tmp_path, name, how, moment):
    (whole, seconds), (command, argv, resumed) = unbroken(name), LINES[name]
    pictures(tmp_path)
    p = Started(command, *argv, cwd=tmp_path)
    if LONG: time.sleep(random.Random(f'{name} {how} {moment}').random()*seconds)
    else:                                                                            # while it is at work
        p.until(lambda: some(tmp_path, 'i.png', 'run/.*checkpoint*', 'run/checkpoint*', 'run/barlow/checkpoint*'))
        time.sleep(min(.1*seconds, .3))
    p.send(how)
    code, out, err = p.end()
    check_after(tmp_path)
    if how == signal.SIGKILL: assert code in (-9, 0)
    else:
        at_work = 'stopped after' in err
        assert code in (0, 130, -how) and 'Traceback' not in err or not visible(tmp_path), err
        assert LONG or code == 0, err
        if at_work:                                                                  # the best so far is there
            files = {str(o) for o in visible(tmp_path)}
            if name == 'one image': assert {'f.png', 'f.pdf', 'f.svg', 's.safetensors'} <= files
            elif name == 'a folder of images': assert any(o.endswith('.safetensors') for o in files)
            else: assert any(o.endswith('checkpoint.safetensors') for o in files)
    go_on(name, tmp_path)
    check_same(whole, tmp_path)

@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
@pytest.mark.parametrize('moment', range(MOMENTS))
def test_ended_while_it_compiles(tmp_path, how, moment):
    "On a machine that has compiled nothing yet: the compiler calls Python from where no exception comes out."
    argv = [*LINES['autoencoder-experiment'][1], '--epochs', '1000']
    code = f'import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from dsketch_nb.experiments import main; main({argv})'
    p = subprocess.Popen([sys.executable, '-c', code], cwd=tmp_path, env={**os.environ, 'NUMBA_CACHE_DIR': str(tmp_path/'compiled')}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = ''
    while 'compiling' not in said:
        said += (more := p.stderr.readline())
        assert more, said
    time.sleep(random.Random(f'{how} {moment}').random()*3)
    p.send_signal(how)
    said += p.communicate(timeout=60)[1]
    assert p.returncode == 0 and 'stopped after' in said and 'Traceback' not in said, said

@pytest.mark.parametrize('name', RESUMED if LONG else ['short'])
def test_dead_at_each_file_it_writes(unbroken, tmp_path, name):
    whole, (command, argv, _) = unbroken(name)[0], (LINES | {'short': SHORT})[name]
    for n in range(1, 999):
        for after in (False, True) if LONG else (n % 2 == 0,):                       # before the file is there, or just after
            cwd = tmp_path/f'{n}{after}'
            cwd.mkdir()
            pictures(cwd)
            code, out, err = call(command, *argv, cwd=cwd, setup=[(dies, n, after)])
            if code == 0: break
            assert code == 137, err
            check_after(cwd)
            go_on(name, cwd)
            check_same(whole, cwd)
        if code == 0: break
    assert n > 9

@pytest.mark.parametrize('name', RESUMED)
def test_a_second_process_is_refused_by_name(tmp_path, name):
    command, argv, _ = LINES[name]
    pictures(tmp_path)
    other = tmp_path/'other'
    other.mkdir()
    flags = [str(tmp_path/'run') if o == 'run' else str(tmp_path/'photos') if o == 'photos' else o for o in argv]
    flags[flags.index('--iters' if '--iters' in flags else '--epochs') + 1] = '100000'
    p = Started(command, *flags, cwd=tmp_path)
    try:
        p.until(lambda: some(tmp_path, 'run/.*checkpoint*', 'run/checkpoint*', 'run/barlow/checkpoint*'))
        code, out, err = call(command, *flags, '--resume', cwd=other)
        assert code == 2 and f"{tmp_path/'run'}" in err and 'is in use by another run' in err and 'Traceback' not in err, err
    finally:
        p.send(signal.SIGKILL)
        p.end()
    check_after(tmp_path)

def one_line(err):
    last = err.strip().split('\n')[-1]
    assert 'Traceback' not in err and 'error:' in last, err
    return last

@pytest.mark.parametrize('name', LINES)
def test_a_disk_that_fills(unbroken, tmp_path, name):
    "No file may grow beyond what is left: the one that would is named, those that are there stay whole, and with room again the run goes on."
    (whole, _), (command, argv, _) = unbroken(name), LINES[name]
    sizes = {str(k): o.stat().st_size for k, o in visible(whole).items()}
    rng, largest = random.Random(name), max(sizes.values())
    early = [sizes['i.png'] - 1] if 'i.png' in sizes else []                        # before the first iteration
    for room in [0, *early, *(rng.randrange(largest) for _ in range(20))] if LONG else [*early, largest - 1]:
        cwd = tmp_path/str(room)
        cwd.mkdir()
        pictures(cwd)
        code, out, err = call(command, *argv, cwd=cwd, setup=[(file_limit, max(room, 1))])
        if room > 999: assert code == 2 and 'cannot write' in one_line(err) and 'too large' in err, err         # below that, there is no room for the complaint
        else: assert code
        check_after(cwd)
        assert not list(cwd.rglob('.dsketch-*')), 'what does not fit is taken away'
        go_on(name, cwd)
        check_same(whole, cwd)

@pytest.fixture
def small_disk(tmp_path):
    "A file system of so many bytes."
    made = []
    def make(size):
        where = tmp_path/'disk'
        where.mkdir()
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', where], capture_output=True, text=True)
        if done.returncode: pytest.skip('only root may mount: ' + done.stderr.strip())
        made.append(where)
        return where
    yield make
    for o in made: subprocess.run(['umount', o], check=True)

@pytest.mark.parametrize('name', LINES if LONG else ['a folder of images'])
def test_a_real_disk_that_fills(unbroken, tmp_path, small_disk, name):
    (whole, _), (command, argv, _) = unbroken(name), LINES[name]
    total = sum(o.stat().st_size for o in visible(whole).values())
    disk = small_disk(int(.6*total)//4096*4096)
    (tmp_path/'photos').mkdir()
    pictures(tmp_path/'photos')
    argv = [str(tmp_path/'photos/photos') if o == 'photos' else str(disk/o) if o == 'run' or '.' in o and argv[i-1].startswith(('--final', '--init', '--scene')) else o for i, o in enumerate(argv)]
    code, out, err = call(command, *argv, cwd=tmp_path)
    assert code == 2 and 'cannot write' in one_line(err) and 'no space left' in err, err
    check_after(disk)

@pytest.mark.parametrize('name', LINES)
def test_a_folder_that_one_may_not_write_to(tmp_path, name):
    command, argv, resumed = LINES[name]
    pictures(tmp_path)
    for o in ('run', 'run/barlow'): (tmp_path/o).mkdir()
    closed = [tmp_path, tmp_path/'run', tmp_path/'run/barlow']
    for o in ('said.out', 'said.err'): (tmp_path/o).touch()
    try:
        for o in closed: o.chmod(0o555)
        code, out, err = call(command, *argv, cwd=tmp_path, setup=[(humble,)])
    finally:
        for o in closed: o.chmod(0o755)
    assert code == 2 and 'cannot write' in one_line(err) and 'choose' in err, err
    assert not visible(tmp_path)
    shutil.rmtree(tmp_path/'run')
    (tmp_path/'run').write_text('a file')                                          # and where a file has the name
    if resumed:
        code, out, err = call(command, *argv, cwd=tmp_path)
        assert code == 2 and 'run' in one_line(err) and ('file exists' in err or 'not a directory' in err) and 'choose' in err, err
        assert (tmp_path/'run').read_text() == 'a file'
