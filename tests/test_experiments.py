"""The command `autoencoder-experiment` from end to end: every class it offers, killed, launched twice, fed with broken files."""
import json, os, subprocess, sys, time
from pathlib import Path

import numpy as np
import pytest, torch
from PIL import Image
from sklearn.datasets import load_digits

from dsketch_nb.autoencoders import Decoder, Encoder
from dsketch_nb.data import DataSet
from dsketch_nb.experiments import about_autoencoder, load, main, train_autoencoder

SHELL = [sys.executable, '-c', 'from dsketch_nb.experiments import main; main()']

def call(capsys, *args):
    "Exit code, stdout and stderr of the command, run in this process."
    code = 0
    try: main(args)
    except SystemExit as e: code = e.code
    said = capsys.readouterr()
    return code, said.out.strip(), said.err.strip()

def idx(path, array):
    "One of MNIST's files."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + b''.join(n.to_bytes(4, 'big') for n in array.shape) + array.astype(np.uint8).tobytes())

@pytest.fixture(scope='session')
def world(tmp_path_factory):
    "A few real digits in the layout of every data set."
    root, digits = tmp_path_factory.mktemp('data'), load_digits()
    small = [Image.fromarray((o*15).astype(np.uint8)) for o in digits.images[:60]]
    pixels, labels = np.stack([np.asarray(o.resize((28, 28))) for o in small]), digits.target[:60]
    for name in ('MNIST', 'KMNIST'):
        for part, n in (('train', 60), ('t10k', 10)):
            idx(root/name/'raw'/f'{part}-images-idx3-ubyte', pixels[:n])
            idx(root/name/'raw'/f'{part}-labels-idx1-ubyte', labels[:n])
    for i, o in enumerate(small[:12]):
        for folder in (root/'omniglot-py/images_background/Digits'/f'character{i % 2 + 1:02d}', root/'pictures'):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(255 - np.asarray(o.resize((105, 105)))).save(folder/f'{i:02d}.png')
    (root/'QuickDraw').mkdir()
    strokes = [[[[0, 50 + i, 100], [0, 80, 10]], [[20, 90], [60, 60]]] for i in range(9)]
    (root/'QuickDraw/yoga.ndjson').write_text('\n'.join(json.dumps({'drawing': o}) for o in strokes))
    return root

OF = {'Digits': ['--valset-size-per-class', 80], 'Folder': ['--invert', '--valset-size-per-class', 2], 'QuickDraw': ['--size', 64, '--valset-size-per-class', 2],
      'MNIST': ['--valset-size-per-class', 1], 'KMNIST': ['--valset-size-per-class', 1], 'ScaledMNIST': ['--valset-size-per-class', 1]}

def step(capsys, world, out, dataset='Folder', *flags):
    "Train for an epoch of a step or two -> the folder."
    code, said, err = call(capsys, 'train', '--dataset', dataset, '--dataset-root', world/'pictures' if dataset == 'Folder' else world, *OF.get(dataset, []),
                           '--epochs', 1, '--num-reconstructions', 3, '--num-workers', 0, '--output', out, *flags)
    assert code == 0, err
    return out

def is_whole(out, root, images):
    "All is written, and both files draw what the other draws."
    have = {o.name for o in out.iterdir()}
    assert {'config.json', 'log.csv', 'checkpoint.safetensors', 'model.safetensors', 'reconstructions_0001.png', 'strokes_0001.svg'} <= have
    assert (out/'log.csv').read_text().startswith('epoch,loss,mse,val_loss,val_mse,lr\n1,')
    a, b = load(out/'model.safetensors'), load(out/'checkpoint.safetensors')
    with torch.no_grad(): x, y = a(images), b(images)
    assert torch.equal(x, y) and x.shape == images.shape and torch.isfinite(x).all()
    return a

def random_images(out):
    c, h, w = about_autoencoder(out/'model.safetensors')[0]['config']['shape']
    return torch.rand(2, c, h, w, generator=torch.Generator().manual_seed(0))

@pytest.mark.parametrize('decoder', sorted(Decoder.known))
@pytest.mark.parametrize('variational', [False, True], ids=['plain', 'variational'])
def test_every_decoder(capsys, world, tmp_path, decoder, variational):
    out = step(capsys, world, tmp_path/'run', 'Folder', '--decoder', decoder, *['--variational']*variational)
    model = is_whole(out, world, random_images(out))
    assert type(model.decoder).__name__ == decoder and (out/'samples_0001.png').exists() == variational

@pytest.mark.parametrize('encoder', sorted(Encoder.known))
def test_every_encoder(capsys, world, tmp_path, encoder):
    out = step(capsys, world, tmp_path/'run', 'Folder', '--encoder', encoder, '--decoder', 'RecurrentSimpleLineDecoder', '--steps', 2)
    model = is_whole(out, world, random_images(out))
    assert type(model.encoder).__name__ == type(model.decoder.canvas_encoder).__name__ == encoder

@pytest.mark.parametrize('dataset', sorted(DataSet.known))
def test_every_data_set(capsys, world, tmp_path, dataset):
    out = step(capsys, world, tmp_path/'run', dataset, '--decoder', 'SinglePassSimpleLineDecoder')
    is_whole(out, world, random_images(out))

def test_options_of_every_part_arrive(capsys, world, tmp_path):
    out = step(capsys, world, tmp_path/'run', 'Folder', '--colour', '--size', 20, '--encoder', 'StrokeNetEncoder', '--batchnorm', '--decoder', 'RecurrentCRSDecoder', '--steps', 2, '--npoints', 5,
               '--contrast', .8, '--loss', 'BlurredMSELoss', '--blur-sigma', 2, '--latent-size', 7, '--sigma2', .04, '--final-sigma2', .01, '--sigma2-step', 1)
    config = json.loads((out/'config.json').read_text())
    assert config['command'].startswith('autoencoder-experiment train --dataset Folder')
    assert {'shape': [3, 20, 20], 'batchnorm': True, 'steps': 2, 'npoints': 5, 'contrast': .8, 'blur_sigma': 2., 'latent_size': 7, 'init_sigma2': .04, 'sigma2_step': 1}.items() <= config['config'].items()
    model = load(out/'model.safetensors')
    assert (model.decoder.steps, model.decoder.contrast, model.decoder.latent_size, model.decoder.sigma2) == (2, .8, 7, .04)
    assert any(isinstance(o, torch.nn.BatchNorm2d) for o in model.encoder.modules())

def test_widths_follow_their_schedule(tmp_path):
    seen = []
    class Look(__import__('dsketch_nb.training', fromlist=['Callback']).Callback):
        def after_epoch(self, t): seen.append(t.model.decoder.sigma2)
    t = train_autoencoder('Digits', epochs=4, batch_size=400, init_sigma2=.04, final_sigma2=.015, sigma2_step=2, output=tmp_path/'run', callbacks=[Look()])
    assert seen == [.04, .04, .02, .02]
    assert t.model.decoder.sigma2 == load(tmp_path/'run/model.safetensors').decoder.sigma2 == .02
    longer = train_autoencoder('Digits', epochs=5, batch_size=400, init_sigma2=.04, final_sigma2=.015, sigma2_step=2, output=tmp_path/'run', resume=True)
    assert longer.model.decoder.sigma2 == load(tmp_path/'run/checkpoint.safetensors').decoder.sigma2 == .015

FLAGS = ['train', '--decoder', 'SinglePassSimpleBezierDecoder', '--nlines', '3', '--epochs', '3', '--batch-size', '4', '--num-reconstructions', '5', '--learning-rate', '0.002*inv1e-2,0.75B']

@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    out = tmp_path_factory.mktemp('runs')/'unbroken'
    main([*FLAGS, '--output', out])
    return out

def tensors(folder, name='checkpoint'): return about_autoencoder(folder/f'{name}.safetensors')[1]

def test_killed_in_mid_epoch_it_resumes_to_the_same_bits(unbroken, tmp_path, capsys):
    out = tmp_path/'run'
    p = subprocess.Popen([*SHELL, *FLAGS, '--output', out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not ((out/'log.csv').exists() and (out/'log.csv').read_text().count('\n') == 2):          # the second epoch has begun
        assert p.poll() is None and time.monotonic() < until
        time.sleep(.02)
    time.sleep(.1)
    p.kill(); p.wait()
    assert about_autoencoder(out/'checkpoint.safetensors')[0]['epoch'] == 1 and not (out/'model.safetensors').exists()
    code, said, err = call(capsys, 'train', '--output', out, '--resume')                               # its configuration is its own
    assert code == 0 and 'epoch 3' in said, err
    for name in ('checkpoint', 'model'):
        a, b = tensors(unbroken, name), tensors(out, name)
        assert set(a) == set(b)
        for k in a: assert torch.equal(a[k], b[k]), k
    assert (unbroken/'log.csv').read_text() == (out/'log.csv').read_text()

def test_two_processes_end_with_the_loss_of_one(unbroken, tmp_path):
    pytest.importorskip('accelerate')
    script = tmp_path/'command.py'
    script.write_text('from dsketch_nb.experiments import main\nif __name__ == "__main__": main()\n')
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    done = subprocess.run([sys.executable, '-m', 'accelerate.commands.launch', '--cpu', '--num_processes', '2', '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no',
                           '--main_process_port', '0', script, *FLAGS, '--output', tmp_path/'run'], capture_output=True, text=True, env=env, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('epoch 3') == 1
    last, one = (about_autoencoder(o/'model.safetensors')[0]['history'][-1] for o in (tmp_path/'run', unbroken))
    for k in ('loss', 'val_loss'): assert last[k] == pytest.approx(one[k], rel=1e-4), k

def contents(folder): return {o: o.read_bytes() for o in folder.rglob('*') if o.is_file() and o.name != '.lock'}

def one_line(capsys, *args):
    code, out, err = call(capsys, *args)
    assert code == 2 and 'Traceback' not in err
    line = err.split('\n')[-1]
    assert line.startswith('autoencoder-experiment'), err
    return line

@pytest.mark.parametrize('flags, says', [
    (['--dataset', 'MNIST', '--dataset-root', 'nowhere'], 'MNIST is not in nowhere'), (['--dataset', 'Folder', '--dataset-root', 'nowhere'], 'nowhere is no folder'),
    (['--dataset', 'Folder', '--dataset-root', 'empty'], 'empty is empty'), (['--dataset', 'Nothing'], "dataset 'Nothing' is not known"), (['--decoder', 'Quill', '--npoints', '5'], "decoder 'Quill'"),
    (['--learning-rate', 'quick'], "learning rate 'quick'"), (['--epochs', '0'], 'epochs 0'), (['--sigma2', '0'], 'sigma2 0'), (['--sigma2-step', '0'], 'sigma2_step 0'), (['--latent-size', '0'], 'latent_size 0'),
    (['--snapshot-interval', '0'], 'snapshot_interval 0'), (['--device', 'cuda:99'], 'cuda:99'), (['--npoint', '5'], '--npoint'), (['--num-reconstructions', '0'], 'num_reconstructions 0'), (['--seed', '-1'], 'seed -1')])
def test_bad_input_is_one_line_and_writes_nothing(capsys, tmp_path, monkeypatch, flags, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path/'empty').mkdir()
    assert says in one_line(capsys, 'train', '--output', 'run', *flags)
    assert contents(tmp_path) == {}

def test_a_run_is_not_overwritten(capsys, unbroken):
    before = contents(unbroken)
    assert 'holds a run already' in one_line(capsys, *FLAGS, '--output', unbroken)
    assert 'another configuration: its nlines is 3, now it is 4' in one_line(capsys, *FLAGS, '--nlines', 4, '--output', unbroken, '--resume')
    assert 'another configuration: its decoder' in one_line(capsys, 'train', '--decoder', 'SinglePassCRSDecoder', '--output', unbroken, '--resume')
    assert contents(unbroken) == before

@pytest.mark.parametrize('how', ['cut', 'noise', 'no checkpoint'])
def test_a_damaged_checkpoint_is_one_line_and_stays(capsys, unbroken, tmp_path, how):
    data = (unbroken/'checkpoint.safetensors').read_bytes()
    path = tmp_path/'checkpoint.safetensors'
    if how != 'no checkpoint': path.write_bytes(data[:len(data)//2] if how == 'cut' else os.urandom(1000))
    before = contents(tmp_path)
    assert 'checkpoint.safetensors' in one_line(capsys, *FLAGS, '--output', tmp_path, '--resume')
    assert contents(tmp_path) == before
