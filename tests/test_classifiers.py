"""Classifiers under hard conditions: commands end to end, killed and resumed, fed with what they must refuse."""
import json, os, shutil, signal, subprocess, sys

import pytest, torch
from hypothesis import example, given, settings, strategies as st
from PIL import Image
from torch import nn

from dsketch_nb.classifiers import (Classifier, barlow_loss, cross_correlation, load_classifier, main, main_barlow,
                                    ink_features, train_classifier, train_classifier_barlow, view)
from dsketch_nb.data import DataSet, Digits, Split
from dsketch_nb.runs import read_tensors, write_tensors

@pytest.fixture(autouse=True, scope='module')
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

class Few(DataSet):
    "Two classes of noise, one of them brighter: quick to learn."
    def read(self):
        g = torch.Generator().manual_seed(0)
        labels = torch.arange(80) % 2
        images = torch.rand(80, 1, 28, 28, generator=g) * (.2 + .6*labels)[:, None, None, None]
        return Split(images[:60], labels[:60]), Split(images[60:], labels[60:])
    classes = 2

Few.known.pop('Few')                                         # only for these tests, where it is given as an object

@pytest.fixture(scope='module')
def few(): return Few(valset_size_per_class=2)

def params(net): return {k: v.clone() for k, v in net.state_dict().items()}

# the six networks

@pytest.mark.parametrize('name, size, features', [
    ('MnistCNN', (28, 28), 50), ('ScaledMnistCNN', (256, 256), 50), ('ScaledMnistCNN', (64, 40), 50), ('LakeThesisCNN', (28, 28), 400), ('LakeThesisCNN', (105, 105), 400),
    ('OmniglotCNN', (28, 28), 3000), ('MNISTBetterCNN', (28, 28), 1024), ('OmniglotBetterCNN', (105, 105), 1024)])
@pytest.mark.parametrize('channels', [1, 3])
def test_each_network_answers_for_each_class(name, size, features, channels):
    with torch.device('meta'): net = Classifier.find(name)(size, channels, 7)
    x = torch.empty(2, channels, *size, device='meta')
    assert net.features(x).shape == (2, features) and net(x).shape == (2, 7)
    with pytest.raises(ValueError, match='resize them'): net(x[:, :, 1:])

def test_the_weights_are_those_of_the_networks_they_are_named_after():
    "Counted by hand from the layers: 30@5x5, 15@5x5, 128, 50, 10; at stride 2; 200@10x10, 400; 120@5x5, 300@5x5, 3000; 4 x 64@3x3, 1024."
    def n(name, size, classes):
        with torch.device('meta'): return sum(p.numel() for p in Classifier.find(name)(size, 1, classes).parameters())
    decide = (128+1)*50 + (50+1)*10
    assert n('MnistCNN', (28, 28), 10) == 26*30 + (750+1)*15 + (15*20*20+1)*128 + decide
    assert n('ScaledMnistCNN', (256, 256), 10) == 26*30 + (750+1)*15 + (15*61*61+1)*128 + decide
    assert n('LakeThesisCNN', (28, 28), 964) == 101*200 + (200*9*9+1)*400 + 401*964
    assert n('OmniglotCNN', (28, 28), 964) == 26*120 + (3000+1)*300 + (300*10*10+1)*3000 + 3001*964
    for name, classes in (('MNISTBetterCNN', 10), ('OmniglotBetterCNN', 964)):
        assert n(name, (28, 28), classes) == 10*64 + 3*577*64 + 4*2*64 + (64*64+1)*1024 + 1025*classes

@example(top=0, height=1, left=2, width=1, kernel=1, stride=3, channels=1)             # ink that no detector sees
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_around_the_ink_is_everywhere(top, height, left, width, kernel, stride, channels):
    "Wherever the ink is: the same maps, and the same gradients, as of the whole image."
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(channels, 3, (kernel+1, kernel), stride), nn.ReLU(), nn.Conv2d(3, 2, kernel, (1, stride)), nn.Sigmoid()).double()
    x = torch.zeros(2, channels, 41, 37, dtype=torch.float64)
    x[:, :, top:top+height, left:left+width] = torch.randn(x[:, :, top:top+height, left:left+width].shape, dtype=torch.float64)
    a, b = layers(x), ink_features(layers, x)
    torch.testing.assert_close(a, b)
    by = torch.randn_like(a)
    for p, q in zip(*(torch.autograd.grad(o, list(layers.parameters()), by) for o in (a, b)), strict=True): torch.testing.assert_close(p, q)

@pytest.mark.parametrize('cls', [c for n, c in sorted(Classifier.known.items()) if n != 'OmniglotCNN'], ids=lambda c: c.__name__)
def test_each_network_learns_and_comes_back_the_same(cls, few, tmp_path):
    t = train_classifier(cls, few, tmp_path/'run', epochs=1, batch_size=14, learning_rate='0.0003')
    again = load_classifier(tmp_path/'run'/'model.safetensors', size=(28, 28), channels=1, classes=2)
    assert type(again) is cls and torch.equal(again(few.test.images), t.model(few.test.images))

def test_training_falls(few):
    t = train_classifier('ScaledMnistCNN', few, epochs=8, batch_size=14)
    assert t.history[-1]['loss'] < .5*t.history[0]['loss'] and t.test['accuracy'] == 1

# Barlow Twins

@given(st.integers(2, 6), st.integers(8, 40), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_barlow_is_its_formula(d, n, seed):
    "Against the definition, one sum after another, in float64."
    torch.manual_seed(seed)
    a, b = torch.randn(2, n, d, dtype=torch.float64)
    want = [0., 0.]
    for i in range(d):
        for j in range(d):
            x, y = a[:, i] - a[:, i].mean(), b[:, j] - b[:, j].mean()
            c = (x*y).sum() / ((x*x).sum() * (y*y).sum()).sqrt()
            assert cross_correlation(a, b)[i, j] == pytest.approx(c.item(), abs=1e-3)
            if i == j: want[0] += (1 - c)**2
            else: want[1] += .005 * c**2
    got = barlow_loss(a, b)
    assert [o.item() for o in got] == pytest.approx([float(o) for o in want], rel=2e-3, abs=1e-6)
    a.requires_grad_(); b.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sum(barlow_loss(a, b, .1)), (a, b))

def test_a_dead_feature_is_no_accident():
    "A feature that is the same for all images has no correlation, and a finite gradient."
    a = torch.randn(8, 3); a[:, 1] = 0
    a.requires_grad_()
    loss = sum(barlow_loss(a, a))
    assert loss.item() == pytest.approx(1, abs=.2)
    assert torch.autograd.grad(loss, a)[0].isfinite().all()

def test_views_differ_and_stay_images():
    x = Digits().test.images[:5]
    a, b = view(x), view(x)
    assert a.shape == x.shape and not torch.equal(a, b) and 0 <= a.min() and a.max() <= 1
    assert (a.sum((1, 2, 3)) / x.sum((1, 2, 3)) - 1).abs().max() < .5                    # still the same things

def test_the_head_alone_or_everything(few, tmp_path):
    kw = dict(barlow_epochs=2, barlow_batch_size=30, epochs=2, batch_size=14)
    frozen = train_classifier_barlow('MNISTBetterCNN', few, tmp_path/'a', **kw)
    tuned = train_classifier_barlow('MNISTBetterCNN', few, tmp_path/'b', finetune=True, **kw)
    for where, t, moves in (('a', frozen, False), ('b', tuned, True)):
        learned = load_classifier(tmp_path/where/'barlow'/'model.safetensors', undecided=True).state_dict()
        changed = {k for k, v in t.model.state_dict().items() if not torch.equal(v, learned[k])}
        assert 'head.1.weight' in changed and any(k.startswith('backbone') for k in changed) == moves
    with pytest.raises(ValueError, match='no classes yet'): load_classifier(tmp_path/'a'/'barlow'/'model.safetensors')

# ended and resumed

# a command that says in which epoch it is, and dawdles
SLOW = '''
import sys, time
from dsketch_nb import classifiers
class Say(classifiers.EpochProgress):
    def after_step(self, t):
        print('barlow' if t.config.get('barlow') else 'labels', t.epoch, flush=True)
        time.sleep(.05)
classifiers.EpochProgress = Say
getattr(classifiers, sys.argv[1])(sys.argv[2:])
'''
LINE = '--model ScaledMnistCNN --dataset Digits --batch-size 300 --epochs 3 --seed 5 --learning-rate 0.002*0.5@every1'.split()
BARLOW = [*LINE, '--barlow-epochs', '2', '--barlow-batch-size', '400']

@pytest.mark.parametrize('f, line, until, how', [('main', LINE, 'labels 1', signal.SIGKILL), ('main', LINE, 'labels 1', signal.SIGTERM), ('main_barlow', BARLOW, 'barlow 1', signal.SIGKILL),
                                                 ('main_barlow', BARLOW, 'barlow 1', signal.SIGTERM), ('main_barlow', BARLOW, 'labels 1', signal.SIGKILL)])
def test_ended_in_mid_epoch_it_resumes_to_the_same_bits(tmp_path, f, line, until, how, capsys):
    env = dict(os.environ, OMP_NUM_THREADS='1')
    p = subprocess.Popen([sys.executable, '-c', SLOW, f, *line, '--output', tmp_path/'run'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    for said in p.stdout:
        if said.startswith(until): break
    p.send_signal(how)
    out, err = p.communicate(timeout=600)
    if how == signal.SIGTERM: assert p.returncode == 0 and 'stopped after 1 of' in err and 'accuracy' not in out, err
    command = {'main': main, 'main_barlow': main_barlow}[f]
    command([*line, '--output', str(tmp_path/'run'), '--resume'])
    resumed = capsys.readouterr().out
    command([*line, '--output', str(tmp_path/'whole')])
    assert resumed == capsys.readouterr().out and resumed.startswith('accuracy')
    for name in ('checkpoint.safetensors', 'model.safetensors', *(['barlow/checkpoint.safetensors'] if f == 'main_barlow' else [])):
        a, b = (read_tensors(tmp_path/o/name)[1] for o in ('run', 'whole'))
        assert set(a) == set(b)
        for k in a: assert torch.equal(a[k], b[k]), (name, k)
    assert (tmp_path/'run'/'log.csv').read_text() == (tmp_path/'whole'/'log.csv').read_text()

# the commands

def test_the_command_leaves_what_it_promises(tmp_path, capsys):
    run = tmp_path/'run'
    line = f'--model ScaledMnistCNN --dataset Digits --epochs 4 --snapshot-epochs 2 --optimiser SGD --momentum 0.8 --learning-rate 0.05 --half --valset-size-per-class 5 --output {run}'
    main(line.split())
    out = capsys.readouterr().out
    assert sorted(o.name for o in run.glob('[!.]*')) == ['checkpoint.safetensors', 'config.json', 'log.csv', 'model.safetensors', 'weights_0002.safetensors', 'weights_0004.safetensors']
    config = json.loads((run/'config.json').read_text())
    assert config['command'] == f'train_classifiers {line}' and config['settings']['momentum'] == .8 and config['config']['dataset_options']['valset_size_per_class'] == 5
    assert config['config']['optimiser'] == 'SGD with momentum 0.8' and len((run/'log.csv').read_text().splitlines()) == 5
    about, tensors = read_tensors(run/'model.safetensors')
    assert {v.dtype for v in tensors.values()} == {torch.float16} and about['test']['images'] == 360
    assert out == 'accuracy {accuracy:.4f}, loss {loss:.4f} on the 360 images of the test set\n'.format(**about['test'])
    net, test = load_classifier(run/'model.safetensors'), Digits().test
    with torch.no_grad(): right = (net(test.images).argmax(1) == test.labels).float().mean().item()
    assert right == pytest.approx(about['test']['accuracy'], abs=1e-6) and right > .5
    assert load_classifier(run/'weights_0002.safetensors').size == (28, 28)

def test_barlow_from_the_command_line(tmp_path, capsys):
    main_barlow(f'--model ScaledMnistCNN --dataset Digits --barlow-epochs 3 --barlow-batch-size 64 --epochs 8 --learning-rate 0.005 --output {tmp_path}/run'.split())
    right = float(capsys.readouterr().out.split()[1].rstrip(','))
    assert right > .4 and (tmp_path/'run'/'barlow'/'log.csv').read_text().startswith('epoch,loss,invariance,redundancy,')
    config = json.loads((tmp_path/'run'/'config.json').read_text())['config']
    assert (config['barlow_epochs'], config['barlow_batch_size'], config['finetune']) == (3, 64, False)

def test_help_names_every_flag(capsys):
    for f, more in ((main, ()), (main_barlow, ('--barlow-epochs', '--barlow-batch-size', '--finetune'))):
        with pytest.raises(SystemExit): f(['--model', 'MnistCNN', '--dataset', 'QuickDraw', '--help'])
        said = capsys.readouterr().out
        for flag in ('--model', '--dataset', '--epochs', '--snapshot-epochs', '--optimiser', '--momentum', '--learning-rate', '--weight-decay', '--batch-size', '--num-workers', '--device', '--seed',
                     '--output', '--resume', '--half', '--dataset-root', '--dataset-seed', '--valset-size-per-class', '--skeleton', '--group', '--stroke-width', *more): assert flag in said, flag
        assert 'command' not in [o.lstrip('-') for o in said.split() if o.startswith('--')] and '--callbacks' not in said

def folder(root, broken=0, per_class=8, empty=False):
    "A folder of images, a folder for each of two classes."
    for i, name in enumerate(('dark', 'light')):
        (root/name).mkdir(parents=True)
        for n in range(0 if empty else per_class): Image.new('L', (20, 20), 40 + 150*i + n).save(root/name/f'{n}.png')
    for n in range(broken): (root/'dark'/f'broken{n}.png').write_bytes(b'no picture')
    return root

@pytest.mark.parametrize('more, says', [
    ('--dataset Digits --model Nobody', "classifier 'Nobody' is not known"), ('--dataset Nothing --model MnistCNN', "dataset 'Nothing' is not known"),
    ('--dataset Omniglot --model MnistCNN --dataset-root {}/nowhere', 'put it at'), ('--dataset Folder --model MnistCNN --dataset-root {}/empty', 'is empty'),
    ('--dataset Folder --model MnistCNN --dataset-root {}/loose --valset-size-per-class 1', 'has no classes'), ('--dataset Folder --model MnistCNN --dataset-root {}/absent', 'is no folder'),
    ('--dataset Folder --model MnistCNN --dataset-root {}/two --size 6 --valset-size-per-class 1', 'too small for MnistCNN'),
    ('--dataset Digits --model MnistCNN --epochs 0', 'epochs 0'), ('--dataset Digits --model MnistCNN --optimiser Adamant', 'Adamant'), ('--dataset Digits --model MnistCNN --momentum 1', 'momentum 1'),
    ('--dataset Digits --model MnistCNN --learning-rate fast', "learning rate 'fast'"), ('--dataset Digits --model MnistCNN --snapshot-epochs 0', 'snapshot_epochs 0'),
    ('--dataset Digits --model MnistCNN --device cuda:99', 'cuda:99'), ('--dataset Digits --model MnistCNN --resume', 'checkpoint.safetensors'), ('--dataset Digits --model MnistCNN --seed -1', 'seed')])
@pytest.mark.parametrize('f', [main, main_barlow])
def test_bad_input_is_one_line(tmp_path, capsys, monkeypatch, f, more, says):
    monkeypatch.setattr('dsketch_nb.perceptual.urllib.request.urlopen', lambda *a, **k: (_ for _ in ()).throw(OSError('no network')))
    (tmp_path/'empty').mkdir(); (tmp_path/'loose').mkdir()
    for n in range(6): Image.new('L', (20, 20), n).save(tmp_path/'loose'/f'{n}.png')
    folder(tmp_path/'two')
    with pytest.raises(SystemExit) as e: f([*more.format(tmp_path).split(), '--output', str(tmp_path/'run')])
    err = capsys.readouterr().err.strip().split('\n')
    assert e.value.code == 2 and says in err[-1] and len(err) == 1, err
    assert not (tmp_path/'run').exists()

def test_one_broken_image_is_named_and_left_out(tmp_path, capsys):
    main(f'--model ScaledMnistCNN --dataset Folder --dataset-root {folder(tmp_path/"two", broken=1)} --valset-size-per-class 1 --epochs 1 --output {tmp_path}/run'.split())
    said = capsys.readouterr()
    assert 'skipped' in said.err and 'broken0.png' in said.err and 'on the 2 images of the test set' in said.out

@pytest.mark.parametrize('f', [main, main_barlow])
def test_a_run_is_not_overwritten_and_not_mixed_up(tmp_path, capsys, f):
    line = ['--dataset', 'Digits', '--epochs', '1', '--batch-size', '600', '--output', str(tmp_path/'run')]
    f([*line, '--model', 'ScaledMnistCNN'])
    before = {o: o.read_bytes() for o in (tmp_path/'run').rglob('*') if o.is_file()}
    capsys.readouterr()
    for more, says in ((['--model', 'ScaledMnistCNN'], 'holds a run already'), (['--model', 'MnistCNN', '--resume'], "its model is 'ScaledMnistCNN'"),
                       (['--model', 'ScaledMnistCNN', '--resume', '--skeleton'], 'dataset_options'), (['--model', 'ScaledMnistCNN', '--resume', '--seed', '2'], 'its seed is 1')):
        with pytest.raises(SystemExit) as e: f([*line, *more])
        assert e.value.code == 2 and says in capsys.readouterr().err.strip().split('\n')[-1]
        assert {o: o.read_bytes() for o in (tmp_path/'run').rglob('*') if o.is_file()} == before

def test_the_data_may_have_moved(tmp_path, capsys):
    line = f'--model ScaledMnistCNN --dataset Folder --valset-size-per-class 1 --output {tmp_path}/run --dataset-root'.split()
    main([*line, str(folder(tmp_path/'here')), '--epochs', '1'])
    shutil.move(tmp_path/'here', tmp_path/'there')
    main([*line, str(tmp_path/'there'), '--epochs', '2', '--resume'])
    assert len((tmp_path/'run'/'log.csv').read_text().splitlines()) == 3

# loading

@pytest.fixture(scope='module')
def weights(few, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights')/'run'
    train_classifier('ScaledMnistCNN', few, path, epochs=1)
    return path/'model.safetensors'

@pytest.mark.parametrize('how, says', [('cut', 'damaged'), ('noise', 'damaged'), ('gone', 'no file'), ('a tensor less', 'another architecture'), ('another shape', 'another architecture'),
                                       ('stranger', 'holds no classifier'), ('unknown class', "classifier 'Nobody', which is not defined here")])
def test_what_cannot_judge_is_refused(weights, tmp_path, how, says):
    path = tmp_path/'w.safetensors'
    data, (about, tensors) = weights.read_bytes(), read_tensors(weights)
    path.write_bytes(data)
    if how == 'cut': path.write_bytes(data[:len(data)//2])
    if how == 'noise': path.write_bytes(os.urandom(1000))
    if how == 'gone': path.unlink()
    if how == 'a tensor less': write_tensors(path, {k: v for k, v in tensors.items() if 'head' not in k}, about)
    if how == 'another shape': write_tensors(path, {k: v[:1] for k, v in tensors.items()}, about)
    if how == 'stranger': write_tensors(path, tensors, {'config': {'encoder': 'SimpleMLPEncoder'}})
    if how == 'unknown class': write_tensors(path, tensors, about | {'config': about['config'] | {'model': 'Nobody'}})
    with pytest.raises((ValueError, OSError), match=says) as e: load_classifier(path)
    assert '\n' not in str(e.value)

@pytest.mark.parametrize('asked, says', [(dict(size=(105, 105)), '28 x 28 pixels, these have 105 x 105'), (dict(channels=3), '1 channels, here are 3'), (dict(classes=10), '2 classes, here are 10'),
                                         (dict(model='MnistCNN'), 'another architecture')])
def test_a_judge_of_other_things_is_refused(weights, asked, says):
    with pytest.raises(ValueError, match=says): load_classifier(weights, **asked)
    assert load_classifier(weights, size=(28, 28), channels=1, classes=2, model='ScaledMnistCNN').training is False

def test_a_checkpoint_is_as_good_as_weights(weights):
    a, b = (load_classifier(weights.with_name(o)).state_dict() for o in ('model.safetensors', 'checkpoint.safetensors'))
    for k in a: assert torch.equal(a[k], b[k])

def test_options_that_nobody_has_are_named(few):
    with pytest.raises(ValueError, match='no option momentums here: expected one of epochs'): train_classifier('MnistCNN', few, momentums=.9)
