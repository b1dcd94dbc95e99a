"""The command `autoencoder-experiment` from end to end: every class it offers, killed, launched twice, fed with broken files."""
import io, json, math, os, re, subprocess, sys, time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest, resvg_py, torch
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree
from sklearn.datasets import load_digits

from dsketch_nb.autoencoders import Decoder, Encoder
from dsketch_nb.data import DataSet, Digits
from dsketch_nb.drawing_pad import DrawingPad, answer_pen, in_colours, pen_image, sharp_image
from dsketch_nb.experiments import about_autoencoder, draw_pictures, load, main, train_autoencoder
from dsketch_nb.from_paper import centred_ink, read_picture
from dsketch_nb.runs import provided
from dsketch_nb.training import Callback, save_weights

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
    class Look(Callback):
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
    *usage, line = err.split('\n')
    assert line.startswith('autoencoder-experiment') and (not usage or usage[0].startswith(('usage: ', 'skipped '))), err      # argparse's own complaints come with the usage
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

def as_png(svg, size): return np.asarray(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert('L').resize(size, Image.BOX), float)/255

@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    "Three digits of the test set as PNG files, bright on black."
    folder = tmp_path_factory.mktemp('pictures')
    images = Digits().test.images[:3]
    for i, o in enumerate(images): Image.fromarray((o[0]*255).round().byte().numpy()).save(folder/f'{i}.png')
    return folder, images

def test_drawings_look_like_the_reconstruction(capsys, unbroken, pictures, tmp_path):
    folder, images = pictures
    code, said, err = call(capsys, 'draw', '--weights', unbroken/'model.safetensors', folder, '--output', tmp_path/'out', '--png', '--profile', 'soft')
    assert code == 0 and err == '', err
    assert said.split('\n') == [str(tmp_path/f'out/{i}-strokes.svg') for i in range(3)]
    with torch.no_grad(): drawn = load(unbroken/'model.safetensors')((images*255).round()/255)
    for i, want in enumerate(1 - drawn[:, 0].numpy()):
        for seen in (as_png((tmp_path/f'out/{i}-strokes.svg').read_text(), (28, 28)), np.asarray(Image.open(tmp_path/f'out/{i}-strokes.png').resize((28, 28), Image.BOX), float)/255):
            assert ((seen - want)**2).mean() < .002 and ((seen - want)**2).mean() < .05 * ((1 - want)**2).mean()

def test_a_stroke_is_a_path(unbroken, pictures, tmp_path, capsys):
    folder, images = pictures
    assert call(capsys, 'draw', '--weights', unbroken/'model.safetensors', folder/'1.png', '--output', tmp_path, '--sigma2', .0025)[0] == 0
    svg = (tmp_path/'1-strokes.svg').read_text()
    assert svg.count('<path') == 3 and svg.count('C') == 3                      # three Bézier curves
    width = float(re.search(r'stroke-width="([\d.]+)"', svg)[1])
    assert width == pytest.approx((math.pi*.0025)**.5 * 27/2, rel=1e-3)         # pixels of 2/27

@pytest.mark.parametrize('paper', [(255, 255, 255), (240, 230, 210)])
def test_dark_ink_on_paper_is_understood(pictures, tmp_path, paper):
    folder, images = pictures
    ink = images[0, 0].numpy()[..., None]
    Image.fromarray((np.array(paper)*(1 - ink)).round().astype(np.uint8)).save(tmp_path/'paper.png')
    x = read_picture(tmp_path/'paper.png', (1, 28, 28))
    assert np.corrcoef(x.flatten(), images[0].flatten())[0, 1] > .99
    assert torch.equal(read_picture(tmp_path/'paper.png', (1, 28, 28), 'dark'), x) and not torch.equal(read_picture(tmp_path/'paper.png', (1, 28, 28), 'bright'), x)
    big = Image.open(tmp_path/'paper.png').resize((84, 84), Image.BICUBIC)
    page = Image.new('RGB', (200, 160), paper); page.paste(big, (100, 10))
    found = read_picture(page, (1, 28, 28), centre=True)
    assert np.corrcoef(found.flatten(), centred_ink(images[0], (28, 28)).flatten())[0, 1] > .95

def test_a_broken_picture_among_good_ones_is_named(capsys, unbroken, pictures, tmp_path):
    folder, _ = pictures
    (tmp_path/'broken.png').write_bytes((folder/'0.png').read_bytes()[:60])
    code, said, err = call(capsys, 'draw', '--weights', unbroken/'model.safetensors', folder/'0.png', tmp_path/'broken.png', tmp_path/'missing.png', folder/'2.png', '--output', tmp_path/'out')
    assert code == 0 and sorted(o.name for o in (tmp_path/'out').glob('[!.]*')) == ['0-strokes.svg', '2-strokes.svg']
    assert [line.startswith(f'skipped {tmp_path/name}') for line, name in zip(err.split('\n'), ('broken.png', 'missing.png'))] == [True, True]

def test_pictures_of_one_name_are_kept_apart(unbroken, pictures, tmp_path):
    folder, _ = pictures
    (tmp_path/'b').mkdir(); (tmp_path/'b/0.png').write_bytes((folder/'1.png').read_bytes())
    out = draw_pictures(unbroken/'model.safetensors', [folder/'0.png', tmp_path/'b/0.png'], tmp_path/'out')
    assert [o.name for o in out] == ['0-strokes.svg', '0-strokes-2.svg'] and out[0].read_text() != out[1].read_text()

@pytest.mark.parametrize('args, says', [
    (['--weights', 'nowhere', '0.png'], 'no file nowhere'), (['--weights', 'damaged', '0.png'], 'damaged'), (['--weights', 'classifier', '0.png'], 'holds no auto-encoder'), (['--weights', 'W', 'empty'], 'empty is empty'),
    (['--weights', 'W', 'damaged'], 'none of 1 images'), (['--weights', 'W', '0.png', '--scale', '0'], 'scale 0'), (['--weights', 'W', '0.png', '--ink', 'blue'], "ink 'blue'"), (['--weights', 'W', '0.png', '--profile', 'x'], "profile 'x'"),
    (['--weights', 'W', '0.png', '--sigma2', '-1'], 'sigma2 -1'), (['--weights', 'W'], 'images')])
def test_what_cannot_be_drawn_is_one_line(capsys, unbroken, pictures, tmp_path, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path/'empty').mkdir()
    (tmp_path/'0.png').write_bytes((pictures[0]/'0.png').read_bytes())
    (tmp_path/'W').write_bytes((unbroken/'model.safetensors').read_bytes())
    (tmp_path/'damaged').write_bytes((unbroken/'model.safetensors').read_bytes()[:5000])
    save_weights(tmp_path/'classifier', torch.nn.Linear(2, 2), {'config': {'model': 'Linear'}})
    before = contents(tmp_path)
    assert says in one_line(capsys, 'draw', *args, '--output', 'out')
    assert contents(tmp_path) == before

@pytest.fixture(scope='module')
def reader(tmp_path_factory):
    "A classifier of the digits, good enough to tell."
    from dsketch_nb.classifiers import train_classifier
    t = train_classifier('MnistCNN', 'Digits', tmp_path_factory.mktemp('reader')/'run', epochs=3, batch_size=20)
    assert t.test['accuracy'] > .85
    return t.output/'model.safetensors'

def test_eval_measures_what_it_says(capsys, unbroken, reader, tmp_path):
    weights = unbroken/'model.safetensors'
    code, said, err = call(capsys, 'eval', '--weights', weights, '--classifier-weights', reader, '--classifier-model', 'MnistCNN', '--output', tmp_path/'out', '--num-reconstructions', 7)
    assert code == 0, err
    got = {k: float(v) for k, v in (o.split() for o in said.split('\n'))}
    from dsketch_nb.classifiers import load_classifier
    model, data, net = load(weights), Digits().test, load_classifier(reader)
    with torch.no_grad(): drawn = model(data.images); logits = net(drawn)
    assert got['mse'] == pytest.approx((drawn - data.images).square().mean().item(), rel=1e-3)
    assert got['accuracy'] == pytest.approx((logits.argmax(1) == data.labels).float().mean().item(), abs=1e-3)
    far = np.array([distances_by_scipy(a[0].numpy(), b[0].numpy()) for a, b in zip(data.images, drawn)])
    assert (got['ink_chamfer'], got['modified_hausdorff']) == pytest.approx(tuple(far.mean(0)), rel=1e-3)
    assert got['images'] == 360 and got['without_ink'] == 0
    kept = json.loads((tmp_path/'out/eval.json').read_text())
    assert kept['mse'] == pytest.approx(got['mse'], rel=1e-3) and kept['command'].startswith('autoencoder-experiment eval --weights')
    assert {o.name for o in (tmp_path/'out').glob('[!.]*')} == {'eval.json', 'reconstructions_test.png', 'strokes_test.svg'}
    assert (tmp_path/'out/strokes_test.svg').read_text().count('<svg') == 1 + 7

def distances_by_scipy(a, b):
    "By distance transforms, and for the centred sets by a tree."
    a, b = a > a.max()/2, b > b.max()/2
    chamfer = (ndimage.distance_transform_edt(~b)[a].mean() + ndimage.distance_transform_edt(~a)[b].mean())/2
    p, q = (np.argwhere(o) - np.argwhere(o).mean(0) for o in (a, b))
    return chamfer, max(cKDTree(q).query(p)[0].mean(), cKDTree(p).query(q)[0].mean())

def test_eval_takes_other_options_that_change_no_weight(capsys, unbroken, world):
    weights = unbroken/'model.safetensors'
    mse = {}
    for s in (.01, .0004):
        code, said, err = call(capsys, 'eval', '--weights', weights, '--sigma2', s)
        assert code == 0 and 'there is no accuracy' in err
        mse[s] = float(said.split()[1])
    assert mse[.0004] > 1.1*mse[.01]
    code, said, err = call(capsys, 'eval', '--weights', weights, '--dataset', 'MNIST', '--dataset-root', world, '--valset-size-per-class', 1)
    assert code == 0 and 'images 10' in said, err

@pytest.mark.parametrize('args, says', [
    (['--decoder', 'SinglePassCRSDecoder'], 'another architecture'), (['--nlines', '4'], 'another architecture'), (['--encoder', 'Conv2DEncoder'], 'another architecture'), (['--latent-size', '3'], 'another architecture'),
    (['--dataset', 'Omniglot'], 'draws images of 1 x 28 x 28, Omniglot has 1 x 105 x 105'), (['--dataset', 'KMNIST', '--dataset-root', 'nowhere'], 'KMNIST is not in nowhere'),
    (['--classifier-weights', 'READER', '--classifier-model', 'LakeThesisCNN'], 'another architecture'), (['--classifier-weights', 'W'], 'holds no classifier'), (['--classifier-weights', 'LARGE'], 'images of 8 x 8 pixels, these have 28 x 28')])
def test_eval_refuses_what_does_not_fit(capsys, unbroken, request, world, tmp_path, args, says):
    weights = unbroken/'model.safetensors'
    reader = request.getfixturevalue('reader') if '--classifier-weights' in args else None
    if 'LARGE' in args: save_weights(tmp_path/'LARGE', torch.nn.Linear(1, 1), {'config': dict(model='MnistCNN', model_options={}, size=[8, 8], channels=1, classes=10)})
    args = [{'READER': reader, 'W': weights, 'LARGE': tmp_path/'LARGE'}.get(o, o) for o in args]
    if '--dataset-root' not in args: args += ['--dataset-root', world]
    assert says in one_line(capsys, 'eval', '--weights', weights, *args, '--output', tmp_path/'out')
    assert not (tmp_path/'out').exists()

WRITTEN = [[[[-.4, -.35], [-.65, 0], [-.4, .3], [0, .1], [.6, -.4], [.55, 0], [.6, .45]]],                 # two
           [[[-.55, -.4], [-.6, .4], [0, .1], [.65, -.1]]],                                                    # seven
           [[[-.6, .05], [-.3, -.35], [.2, -.4], [.6, -.05], [.3, .35], [-.2, .4], [-.6, .05]]],               # nought
           [[[-.6, -.2], [.1, -.35], [.1, .4]], [[-.6, .2], [.65, .15]]]]                                      # four

def test_the_provided_network_is_what_its_file_says():
    about, tensors = about_autoencoder('mnist-autoencoder')
    path = provided()['mnist-autoencoder']
    assert path.stat().st_size < 1_000_000 and all(v.dtype == torch.float16 for v in tensors.values() if v.is_floating_point())
    assert about['command'].startswith('autoencoder-experiment train --dataset MNIST') and about['config']['dataset'] == 'MNIST' and about['test']['images'] == 10_000
    assert about['test']['mse'] < .0116
    model = load('mnist-autoencoder')
    written = torch.stack([pen_image(o) for o in WRITTEN])             # crisp, and nobody's training data
    with torch.no_grad(): drawn = model(written)
    errors = (drawn[:, None] - written[None]).square().mean((2, 3, 4))
    assert errors.diagonal().max() < .02 and torch.equal(errors.argmin(1), torch.arange(len(written)))     # each drawing is like its own digit most
    scene = model.strokes(written[:1])[0]
    assert len(scene) == 2 and scene.groups[0].params.shape == (2, 10, 2)     # two strokes of three joined cubics
    for g in scene.groups[0].params.unbind(): assert torch.allclose(g[3] - g[2], g[4] - g[3], atol=1e-6)      # without corners

def test_the_provided_network_is_as_good_as_its_file_says(capsys):
    root = os.environ.get('DSKETCH_DATA', './data')
    if not Path(root, 'MNIST/raw').is_dir(): pytest.skip('MNIST is not in ./data nor in the folder that DSKETCH_DATA names')
    code, said, err = call(capsys, 'eval', '--weights', 'mnist-autoencoder', '--dataset-root', root)
    assert code == 0, err
    got = {k: float(v) for k, v in (o.split() for o in said.split('\n'))}
    assert got['images'] == 10_000 and got['mse'] == pytest.approx(about_autoencoder('mnist-autoencoder')[0]['test']['mse'], rel=1e-3)

def test_what_somebody_wrote_is_answered(capsys):
    model, seven = load('mnist-autoencoder'), [[[-.5, -.4], [-.55, .4], [.6, -.1]]]
    scene, seen = answer_pen(model, seven)
    assert seen.shape == (1, 28, 28)
    with torch.no_grad(): assert torch.equal(scene.groups[0].params, model.decoder.strokes(model.encode(seen[None])).params[0])
    where = torch.nonzero(seen[0] > .3)
    assert tuple((where.amax(0) - where.amin(0) + 1).tolist())[0] == pytest.approx(20, abs=1)       # as high as MNIST's digits
    larger, _ = answer_pen(model, [[[.1*r + .7, .1*c - .2] for r, c in seven[0]]])              # small, in a corner of the paper
    assert torch.allclose(larger.groups[0].params, scene.groups[0].params, atol=1e-3)
    pad = DrawingPad(model, seven)
    assert pad.answer == scene.to_svg(scale=10) and pad.still().size == (2*280 + 16, 280)
    strokes = replace(model.decoder.strokes(model.encode(seen[None])), ink=torch.ones(1, len(scene)))
    strokes.ink[0, 0], strokes.ink[0, 1] = 0, .5
    faint, = in_colours(strokes)                                       # a stroke without ink is none
    assert len(faint) == len(strokes.scenes()[0]) == len(scene) - 1
    assert np.asarray(sharp_image(faint)).mean() > np.asarray(sharp_image(in_colours(replace(strokes, ink=strokes.ink.ceil()))[0])).mean()
    pad.strokes = [[['x']]]
    assert 'Error' in pad.caption and pad.answer == scene.to_svg(scale=10)
    pad.strokes = [[[.2, .2]]]                                         # a dot
    assert 'Error' not in pad.caption and pad.answer != scene.to_svg(scale=10)

def test_in_a_browser_a_digit_is_drawn_by_mouse_and_by_keys(lab):
    cell = dict(cell_type='code', id='a', metadata={}, execution_count=None, outputs=[], source="from dsketch_nb.drawing_pad import DrawingPad; from dsketch_nb.experiments import load\npad = DrawingPad(load('mnist-autoencoder'))\npad")
    (lab.folder/'nbs/pad.ipynb').write_text(json.dumps(dict(cells=[cell], metadata={'kernelspec': dict(display_name='python3', language='python', name='python3')}, nbformat=4, nbformat_minor=5)))
    nb = lab.open('pad.ipynb')
    nb.run_all(120)
    shown = nb.output('pad = DrawingPad')
    paper, answer = shown.get_by_role('application'), shown.get_by_role('img', name='draw a digit')
    answer.wait_for()
    before = answer.get_attribute('src')
    nb.drag(paper, 0, 90)
    nb.until('len(pad.strokes)', lambda n: n == 1)
    stroke = nb.until('pad.strokes[0]', lambda s: len(s) > 3)
    assert stroke[0] == pytest.approx([0, 0], abs=.02) and stroke[-1] == pytest.approx([90/140, 0], abs=.02)
    shown.get_by_role('status').filter(has_text='1 stroke of the pen, answered with 2').wait_for()
    after = shown.locator('.pad-answer').get_attribute('src')
    assert after != before and after.startswith('data:image/svg+xml,')
    paper.focus()
    for key in (' ', 'ArrowLeft', 'ArrowLeft', 'Shift+ArrowUp', ' ', 'ArrowRight'): paper.press(key)
    keyed = nb.until('pad.strokes', lambda s: len(s) == 2 and len(s[1]) == 4)[1]
    assert [keyed[-1][i] - keyed[0][i] for i in (0, 1)] == pytest.approx([-.02, -.16], abs=1e-6)
    paper.press('Backspace')
    nb.until('len(pad.strokes)', lambda n: n == 1)
    nb.ask("pad.set_trait('strokes', [[[0., 0.], [.5, .5]], [[.1, .1], [.1, .2]]])")           # and the kernel draws too
    nb.page.wait_for_function("g => g.children.length === 2", arg=shown.locator('.pad-ink').element_handle())
    shown.get_by_role('button', name='clear').click()
    nb.until('pad.caption', lambda o: o == 'draw a digit')
    assert shown.locator('.pad-ink polyline').count() == 0 and not nb.errors

@pytest.mark.parametrize('profile', ['plain', 'soft', 'closest', 'fitted'])
def test_every_profile_of_a_scene_is_one_of_the_command(capsys, tmp_path, profile):
    Image.fromarray((255 - load_digits().images[3]*15).astype(np.uint8)).resize((28, 28)).save(tmp_path/'three.png')
    code, said, err = call(capsys, 'draw', '--weights', 'mnist-autoencoder', tmp_path/'three.png', '--output', tmp_path/profile, '--profile', profile)
    assert (code, Path(said).name) == (0, 'three-strokes.svg'), err
    code, _, err = call(capsys, 'draw', '--weights', 'mnist-autoencoder', tmp_path/'three.png', '--output', tmp_path/profile, '--profile', 'thick')
    assert code == 2 and "profile 'thick' is not one of plain, soft, closest, fitted" in err

def test_a_photograph_of_a_digit_needs_no_flag(capsys, tmp_path):
    "A dark seven, small and off the middle on beige paper: drawn as with --centre, unless that is refused; an image of the network's own size is taken as it is."
    paper = Image.new('RGB', (300, 400), '#e8dcc0')
    from PIL import ImageDraw
    ImageDraw.Draw(paper).line([(60, 80), (130, 76), (90, 190)], '#202030', 12)
    paper.save(tmp_path/'seven.png')
    def drawn(*more):
        code, said, err = call(capsys, 'draw', '--weights', 'mnist-autoencoder', tmp_path/'seven.png', '--output', tmp_path/'out', *more)
        assert code == 0, err
        return Path(said).read_text()
    assert drawn() == drawn('--centre') != drawn('--no-centre')
    model = load('mnist-autoencoder')
    small = Image.fromarray((load_digits().images[3]*15).astype(np.uint8)).resize((28, 28))
    small.save(tmp_path/'seven.png')
    assert drawn() == drawn('--no-centre')
