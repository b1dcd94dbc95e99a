"""Many images: killed, stopped, launched twice, and fed with files that are none."""
import csv, os, random, shutil, signal, subprocess, sys, time
from pathlib import Path

import pytest, torch
from PIL import Image

from dsketch_nb.imageopt import imageopt
from dsketch_nb.imageopt_command import imageopt_folder, main
from dsketch_nb.runs import claimed
from dsketch_nb.scene import Scene

command = [sys.executable, '-c', 'from dsketch_nb.command import imageopt; imageopt()']
FLAGS = '--width 40 --lines 60 --iters 150 --checkpoint-steps 20 --seed 5'.split()

@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    from sklearn.datasets import load_sample_images
    folder = tmp_path_factory.mktemp('photos')
    for i, a in enumerate(load_sample_images().images):
        for j in (0, 1): Image.fromarray(a).crop((j*300, 0, j*300 + 300, 300)).resize((60, 60)).save(folder/f'{i}{j}.png')
    (folder/'broken.jpg').write_bytes(b'no picture')
    (folder/'notes.txt').write_text('no picture either')
    return folder

@pytest.fixture(scope='module')
def unbroken(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp('unbroken')/'out'
    r = run(photos, '--output', out, *FLAGS)
    assert r.returncode == 0 and 'broken.jpg' in r.stderr and 'notes' not in r.stderr, r.stderr
    return out

def run(*args, command=command, **kw): return subprocess.run([*command, *map(str, args)], capture_output=True, text=True, timeout=300, **kw)

def same(a, b):
    strokes = lambda o: {p.name: [x for x in Scene.load(p).parameters()] for p in sorted(o.glob('*.safetensors'))}
    one, two = strokes(a), strokes(b)
    assert list(one) == list(two) == ['00.safetensors', '01.safetensors', '10.safetensors', '11.safetensors']
    for k in one:
        for x, y in zip(one[k], two[k], strict=True): assert torch.equal(x, y), k
    rows = lambda o: sorted((r['image'], r['loss'], r['psnr'], r['iterations']) for r in csv.DictReader((o/'results.csv').open()))
    assert rows(a) == rows(b) and len(rows(a)) == 4

def test_a_folder(unbroken):
    visible = sorted(o.name for o in unbroken.iterdir() if not o.name.startswith('.'))
    assert visible == sorted(['config.json', 'results.csv'] + [f'{i}{k}' for i in ('00', '01', '10', '11') for k in ('.png', '.svg', '.pdf', '.safetensors')])
    assert not list(unbroken.glob('.*checkpoint*'))
    for r in csv.DictReader((unbroken/'results.csv').open()): assert float(r['psnr']) > 15 and r['iterations'] == '150' and r['strokes'] == '60'

@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM])
def test_ended_at_any_moment_it_resumes_to_the_same_bits(photos, unbroken, tmp_path, how):
    p = subprocess.Popen([*command, photos, '--output', tmp_path/'out', *FLAGS], stderr=subprocess.PIPE, text=True)
    for _ in range(1000):
        if list((tmp_path/'out').glob('.*checkpoint*')) or p.poll() is not None: break
        time.sleep(.05)
    time.sleep(random.random())
    p.send_signal(how)
    err = p.communicate(timeout=300)[1]
    if how != signal.SIGKILL and 'stopped after' in err:
        assert p.returncode == 0 and '--resume' in err, err
        assert list((tmp_path/'out').glob('*.png')), 'the best so far is written'
    for o in (tmp_path/'out').glob('[!.]*.png'): Image.open(o).load()
    for o in (tmp_path/'out').glob('[!.]*.safetensors'): Scene.load(o)
    r = run(photos, '--output', tmp_path/'out', *FLAGS, '--resume')
    assert r.returncode == 0, r.stderr
    same(unbroken, tmp_path/'out')

def test_stopped_before_anything_is_kept(photos, unbroken, tmp_path, monkeypatch, capsys):
    "In the first image, before its first checkpoint: no complaint that none can be read, and the run goes on."
    from dsketch_nb import imageopt_command
    def stop(self, o):
        if o.iteration == 5: raise KeyboardInterrupt
    args = [str(o) for o in (photos, '--output', tmp_path/'out', *FLAGS)]
    with monkeypatch.context() as m:
        m.setattr(imageopt_command.Checkpoint, 'after_step', stop)
        main(args)
    said = capsys.readouterr().err
    assert 'go on with --resume' in said and 'can be read' not in said, said
    main([*args, '--resume'])
    same(unbroken, tmp_path/'out')

def test_two_processes_share_the_work(photos, unbroken, tmp_path):
    pytest.importorskip('accelerate')
    program = tmp_path/'program.py'
    program.write_text(f"import os; open({str(tmp_path)!r} + '/process' + os.environ['RANK'], 'w').close()\nfrom dsketch_nb.command import imageopt; imageopt()")
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2']
    r = run(program, photos, '--output', tmp_path/'out', *FLAGS, command=launch, env=dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''))
    assert r.returncode == 0, r.stderr[-2000:]
    assert {o.name for o in tmp_path.glob('process*')} == {'process0', 'process1'}
    same(unbroken, tmp_path/'out')

@pytest.fixture
def refused(capsys):
    def one_line(args, what):
        with pytest.raises(SystemExit) as e: main([str(a) for a in args])
        err = capsys.readouterr().err.strip()
        assert e.value.code == 2 and what in err.split('\n')[-1], err
    return one_line

def test_what_cannot_be_done_is_one_line_and_changes_nothing(photos, unbroken, tmp_path, refused):
    copy = tmp_path/'copy'
    shutil.copytree(unbroken, copy)
    before = {o.name: o.read_bytes() for o in copy.iterdir() if not o.name.startswith('.')}
    (tmp_path/'empty').mkdir(); (tmp_path/'a file').write_text('')
    with claimed(copy): refused([photos, '--output', copy, *FLAGS, '--resume'], 'in use by another run')
    refused([photos, '--output', copy, *FLAGS], 'holds a run already')
    refused([photos, '--output', copy, *FLAGS, '--resume', '--lines', 61], 'its lines is 60, now it is 61')
    refused([tmp_path/'empty', '--output', tmp_path/'new', *FLAGS], 'holds no image')
    refused([photos, *FLAGS], 'say --output FOLDER')
    refused([photos, '--output', tmp_path/'new', *FLAGS, '--resume'], 'holds no run to resume')
    refused(['sample:china', *FLAGS, '--resume'], 'resume needs --output')
    refused([photos, photos/'..'/photos.name/'00.png', '--output', tmp_path/'new', *FLAGS], 'would both be written as 00')
    refused([photos, '--output', tmp_path/'new', *FLAGS, '--final-raster', 'x.png'], 'final-raster names one file')
    refused([photos, '--output', tmp_path/'new', *FLAGS, '--lines', -1], 'lines -1')
    refused([photos, '--output', tmp_path/'new', *FLAGS, '--checkpoint-steps', 0], 'checkpoint_steps 0')
    refused([photos, '--output', tmp_path/'a file', *FLAGS], f"cannot make folder {tmp_path/'a file'}: file exists; choose one")
    assert not (tmp_path/'new').exists()
    (copy/'config.json').write_text('{')
    refused([photos, '--output', copy, *FLAGS, '--resume'], 'config.json is damaged')
    assert before == {o.name: o.read_bytes() for o in copy.iterdir() if not o.name.startswith('.')} | {'config.json': before['config.json']}

def test_a_damaged_checkpoint_is_named(photos, tmp_path, monkeypatch):
    class Enough(Exception): pass
    import dsketch_nb.optimise as module
    real, saved = module.ImageOptimiser.save, []
    def once(self, path):
        real(self, path); saved.append(Path(path))
        raise Enough
    monkeypatch.setattr(module.ImageOptimiser, 'save', once)
    how = dict(output=tmp_path/'out', width=20, lines=10, iters=30, checkpoint_steps=10)
    with pytest.raises(Enough): imageopt_folder(photos/'00.png', **how)
    data = saved[0].read_bytes()
    for bad in (data[:len(data)//2], b'', data[:8] + b'\xff'*40 + data[48:]):
        saved[0].write_bytes(bad)
        with pytest.raises(ValueError, match='damaged|does not say'): imageopt_folder(photos/'00.png', **how, resume=True)
    monkeypatch.undo()
    saved[0].write_bytes(data)
    assert imageopt_folder(photos/'00.png', **how, resume=True)[0]['iterations'] == '30'

@pytest.mark.parametrize('preset', [None, 'lines', 'shapes'])
@pytest.mark.parametrize('loss', [None, 'MSELoss', 'PyrMSELoss'])
def test_an_image_in_a_folder_is_drawn_as_it_is_alone(tmp_path, preset, loss):
    "Whatever preset and loss are named, or neither; and with gradients switched off by whoever calls."
    how = dict(preset=preset, loss=loss, width=24, iters=3, **(dict(shapes=4) if preset == 'shapes' else dict(lines=8)))
    with torch.no_grad(): rows = imageopt_folder('sample:china', tmp_path/'run', **how)
    assert float(rows[0]['loss']) == pytest.approx(min(imageopt('sample:china', **how).history), rel=1e-6)
    assert imageopt_folder('sample:china', tmp_path/'run', resume=True, **how) == rows
