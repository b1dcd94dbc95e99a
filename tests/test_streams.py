"""Output streams that end before the work does: it is finished and written all the same, for every command. DSKETCH_LONG=1 does each stream in each way."""
import os, signal, subprocess, sys, time
from pathlib import Path

import pytest
from PIL import Image

from dsketch_nb import __version__
from dsketch_nb.command import COMMANDS

from launch import call, ends
from test_oneshot import rounds
from test_stopped import LINES, check_after, pictures, visible

LONG = bool(os.environ.get('DSKETCH_LONG'))
WORK = {**{k: (command, argv) for k, (command, argv, _) in LINES.items()},
        'eval': ('autoencoder-experiment', 'eval --weights mnist-autoencoder --dataset Digits --output run --num-reconstructions 3'.split()),
        'draw': ('autoencoder-experiment', 'draw --weights mnist-autoencoder photos/0.png --output run'.split()),
        'one shot': ('evaluate_one_shot', ['--model', 'Hausdorff'])}
SHORT = {'--iters': '12', '--epochs': '1', '--barlow-epochs': '1'}
HOW = 'closed', 'none', 'pipe', 'full', 'ascii'
# both streams at once, and each alone
ENDS = [(1, 2), *[(1,), (2,)]*LONG]

def shorter(argv):
    return [SHORT.get(argv[i - 1], o) if i else o for i, o in enumerate(argv)]

@pytest.mark.parametrize('how', HOW if LONG else ['closed', 'pipe', 'full'])
@pytest.mark.parametrize('name', WORK if LONG else ['one image', 'a folder of images', 'draw', 'one shot'])
@pytest.mark.parametrize('which', ENDS, ids=str)
def test_the_work_is_finished(tmp_path, name, how, which):
    command, argv = WORK[name]
    pictures(tmp_path)
    if name == 'one shot': argv = [*argv, '--dataset-root', str(rounds(tmp_path/'runs'))]
    code, out, err = call(command, *shorter(argv), cwd=tmp_path, setup=[(ends, fd, how) for fd in which])
    assert code == 0 and 'Traceback' not in err, (code, err)
    if name == 'one image': assert {'f.png', 'f.pdf', 'f.svg', 's.safetensors'} <= {str(o) for o in visible(tmp_path)}
    elif name != 'one shot': assert any(o.suffix in ('.safetensors', '.svg', '.json') for o in (tmp_path/'run').iterdir())
    if name == 'a folder of images': assert (tmp_path/'run'/'results.csv').is_file()
    if name != 'one shot': check_after(tmp_path)

def shell(line, **more):
    env = os.environ | more
    return subprocess.run(['bash', '-c', line], capture_output=True, env=env, timeout=500)

def run(command, *args): return f"{sys.executable} -c \"from dsketch_nb.command import start; start('{command}')\" {' '.join(args)}"

@pytest.mark.parametrize('encoding', ['ascii', 'cp932', *['cp1251', 'latin-1', 'utf-16']*LONG])
@pytest.mark.parametrize('command', ['imageopt', *[k for k in COMMANDS if k != 'imageopt']*LONG])
def test_help_on_a_console_that_knows_few_letters(command, encoding):
    "A Japanese Windows console has no é."
    done = shell(run(command, '--help'), PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert 'usage' in done.stdout.decode(encoding)
    if command == 'imageopt': assert 'Bezier' in done.stdout.decode(encoding).replace('é', 'e')

@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_says_its_version(command):
    assert shell(run(command, '--version')).stdout.decode().strip() == f'dsketch_nb {__version__}'

def test_ctrl_c_while_importing_is_one_line():
    "At once, at a module that takes its time, and with the handler that a shell gives a command in the foreground."
    code = ("import signal, sys, types; signal.signal(signal.SIGINT, signal.default_int_handler); import dsketch_nb.command as c\n"
            "class Slow:\n    def find_spec(self, name, *a):\n        if name == 'torch': print('importing', flush=True); import time; time.sleep(100)\n"
            "sys.meta_path.insert(0, Slow()); c.start('imageopt', ['x.png'])")
    p = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.stdout.readline() == 'importing\n'
    p.send_signal(signal.SIGINT)
    assert p.communicate(timeout=60)[1] == 'imageopt: stopped\n' and p.returncode == 130

def test_a_closed_stream_is_not_the_next_files(tmp_path):
    "With stderr closed, the next file opened would be number 2, and complaints of C libraries would be written into it."
    code = "import os; from dsketch_nb.command import steady_streams\nwith steady_streams():\n    f = open('mine', 'wb'); assert f.fileno() > 2, f.fileno()\n    os.write(2, b'a complaint')"
    done = subprocess.run(['bash', '-c', f'{sys.executable} -c "$1" 2>&- >&- <&-', '_', code], cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path/'mine').read_bytes() == b''

def test_a_lost_stdout_is_told_on_stderr():
    done = shell(run('imageopt', '--help') + ' > /dev/full')
    assert done.returncode == 0 and b'stdout is lost' in done.stderr and b'Traceback' not in done.stderr

def test_a_warning_is_one_line(tmp_path):
    "Not the line of our code that gave it."
    Image.linear_gradient('L').resize((9, 8)).save(tmp_path/'x.png')
    done = shell(f"cd {tmp_path}; {run('imageopt', *'x.png --preset plotter --lines 4 --iters 2 --pens black crimson --plot a.svg'.split())}")
    said = [o for o in done.stderr.decode().splitlines() if 'crimson' in o]
    assert done.returncode == 0 and len(said) == 1 and said[0].startswith('imageopt: plot: nothing for the pen crimson') and b'.py:' not in done.stderr, done.stderr

def test_a_traceback_for_those_who_ask(tmp_path):
    line = run('imageopt', str(tmp_path/'nowhere.png'))
    plain, full = shell(line), shell(line, DSKETCH_TRACEBACK='1')
    assert plain.returncode == 2 and b'Traceback' not in plain.stderr and full.returncode == 1 and b'Traceback' in full.stderr

@pytest.mark.parametrize('more', [{'HOME': '/proc/nope'}, {'HOME': '/dev/null'}], ids=str)
def test_no_home(tmp_path, more):
    Image.linear_gradient('L').resize((9, 8)).save(tmp_path/'x.png')
    done = shell(f"cd {tmp_path}; {run('imageopt', 'x.png', '--lines', '4', '--iters', '2')}", **more)
    assert done.returncode == 0 and b'Traceback' not in done.stderr, done.stderr
    assert (tmp_path/'x-strokes.pdf').is_file()

def test_weights_come_out_of_a_zip(tmp_path):
    import dsketch_nb, zipfile
    root = Path(dsketch_nb.__file__).parent
    with zipfile.ZipFile(tmp_path/'app.zip', 'w') as z:
        for o in root.rglob('*'):
            if o.is_file() and o.suffix in ('.py', '.safetensors', '.js', '.css'): z.write(o, Path('dsketch_nb')/o.relative_to(root))
    code = "import dsketch_nb; assert 'app.zip' in dsketch_nb.__file__\nfrom dsketch_nb.runs import provided, read_tensors\nprint(*provided()); assert read_tensors('mnist-autoencoder')[1]"
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=os.environ | {'PYTHONPATH': str(tmp_path/'app.zip')}, cwd=tmp_path)
    assert done.returncode == 0 and 'mnist-autoencoder' in done.stdout, done.stderr
