"""The training loop under hard conditions: killed, launched twice, fed with broken files."""
import json, os, runpy, signal, subprocess, sys

import pytest, torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.utils.data import Dataset

from dsketch_nb.runs import Callback, read_tensors, write_tensors
from dsketch_nb.training import Schedule, Trainer, _Batches, evaluate, load_weights, save_weights

# a run as a user's script: it draws digits, and may dawdle and say in which epoch it is
SCRIPT = '''
import json, os, sys, time
import torch, torch.nn.functional as F
from sklearn.datasets import load_digits
from dsketch_nb.autoencoders import AutoEncoder
from dsketch_nb.command import stoppable
from dsketch_nb.decoders import SinglePassPolyLineDecoder
from dsketch_nb.encoders import SimpleMLPEncoder
from dsketch_nb.losses import MSELoss
from dsketch_nb.runs import Callback
from dsketch_nb.training import DecoderWidths, Trainer

class Memory(torch.utils.data.Dataset):
    def __init__(self, images): self.images = images
    def __len__(self): return len(self.images)
    def __getitems__(self, i): return self.images[i], torch.zeros(len(i))

class Say(Callback):
    def __init__(self, dawdle): self.dawdle = dawdle
    def after_step(self, t):
        if t.main_process and self.dawdle: print(t.epoch, flush=True)
        time.sleep(self.dawdle)

def loss(model, images, labels):
    loss, drawing = model.loss_and_reconstruction(images, MSELoss())
    return loss, {'mse': F.mse_loss(drawing.detach(), images)}

def run(out, dawdle=0., resume=False):
    images = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16
    torch.manual_seed(1)
    model = AutoEncoder(SimpleMLPEncoder((8, 8), 1, 8), SinglePassPolyLineDecoder(8, (8, 8), 1))
    t = Trainer(model, loss, Memory(images[:325]), Memory(images[400:451]), 3, 48, output=out, threads=1, learning_rate='0.002*inv1e-2,0.75B',
                callbacks=[DecoderWidths(.04, .02, .5, 1), Say(dawdle)], device='cpu')
    with stoppable(): t.fit(resume)
    return t

if __name__ == '__main__':
    if 'RANK' in os.environ: open(sys.argv[1] + '/process' + os.environ['RANK'], 'w').close()
    t = run(sys.argv[1], float(sys.argv[2]))
    if t.main_process: print('stopped' if t.stopped else json.dumps(t.history[-1]))
'''

@pytest.fixture(scope='module')
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp('script')/'draws.py'
    path.write_text(SCRIPT)
    return path

@pytest.fixture(scope='module')
def run(script): return runpy.run_path(script)['run']

@pytest.fixture(scope='module')
def unbroken(script, run): return run(script.parent/'unbroken')

@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM])
def test_ended_in_mid_epoch_it_resumes_to_the_same_bits(script, run, unbroken, tmp_path, how):
    p = subprocess.Popen([sys.executable, script, tmp_path, '.05'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in p.stdout:
        if line.startswith('1'): break                       # the second epoch has begun
    p.send_signal(how)
    out, err = p.communicate(timeout=60)
    if how == signal.SIGTERM: assert p.returncode == 0 and 'stopped after 1 of 3 epochs' in err and out.strip().endswith('stopped'), err
    assert read_tensors(tmp_path/'checkpoint.safetensors')[0]['epoch'] == 1
    run(tmp_path, resume=True)
    a, b = (read_tensors(o/'checkpoint.safetensors')[1] for o in (unbroken.output, tmp_path))
    assert set(a) == set(b) and any(k.startswith('optimiser.') for k in a)
    for k in a: assert torch.equal(a[k], b[k]), k
    assert (unbroken.output/'log.csv').read_text() == (tmp_path/'log.csv').read_text()

def test_two_processes_end_with_the_loss_of_one(script, unbroken, tmp_path):
    pytest.importorskip('accelerate')
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    done = subprocess.run([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', script, tmp_path, '0'], capture_output=True, text=True, env=env, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {o.name for o in tmp_path.glob('process*')} == {'process0', 'process1'}
    last = json.loads(done.stdout.strip().split('\n')[-1])
    for k in ('loss', 'val_loss', 'lr'): assert last[k] == pytest.approx(unbroken.history[-1][k], rel=1e-4), k
    assert read_tensors(tmp_path/'model.safetensors')[0]['epoch'] == 3

def test_launched_without_accelerate_is_one_line(monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setitem(sys.modules, 'accelerate', None)
    with pytest.raises(ValueError, match='pip install accelerate'): small()

class OneByOne(Dataset):
    "Not in memory, one image at a time, and each changed by lot."
    def __len__(self): return 25
    def __getitem__(self, i): return torch.full((1, 2, 2), float(i)) + torch.rand(1, 2, 2), 0

class Memory(Dataset):
    def __init__(self, n): self.images = torch.arange(float(n)).view(n, 1, 1, 1).expand(n, 1, 2, 2) / n
    def __len__(self): return len(self.images)
    def __getitem__(self, i): return self.images[i], 0

def squares(model, images, labels):
    out = model(images)
    return (out - images.flatten(1).mean(1, keepdim=True)).square().mean(), {'first': out[0, 0].detach()}

def small(split=None, **kw):
    torch.manual_seed(0)
    return Trainer(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), squares, split or Memory(20), **dict(dict(epochs=2, batch_size=6, threads=1, device='cpu'), **kw))

def test_worker_processes_change_nothing():
    a, b = small(OneByOne()), small(OneByOne(), num_workers=2)
    assert a.fit() == b.fit()
    assert torch.equal(a.model[1].weight, b.model[1].weight)

def test_evaluation_counts_each_image_once():
    model, split = nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), Memory(7)
    whole = squares(model, split.images, None)[0].item()
    for n in (1, 2, 3, 5, 7, 100): assert evaluate(model, squares, split, n)['loss'] == pytest.approx(whole, rel=1e-6)
    with pytest.raises(ValueError, match='empty'): evaluate(model, squares, Memory(0))

@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 5), st.booleans(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_processes_share_out_every_batch(n, batch_size, of, shuffle, seed):
    shares = [_Batches(n, batch_size, shuffle, False, seed, rank, of) for rank in range(of)]
    for epoch in range(2):
        for s in shares: s.epoch = epoch
        seen = []
        for i, batch in enumerate(zip(*shares, strict=True)):
            counts = [s.weight(i) for s in shares]
            assert sum(mine for mine, _ in counts) == counts[0][1] == min(batch_size, n - i*batch_size)
            for (mine, _), (_, *indices) in zip(counts, batch): seen += indices[:mine]
        assert sorted(seen) == list(range(n))

@given(st.text('0123456789.e-*@[],every plateauinvB', max_size=20))
@settings(max_examples=200, deadline=None)
def test_a_learning_rate_is_a_schedule_or_one_clear_line(text):
    try: s = Schedule(text)
    except ValueError as e: assert 'learning rate' in str(e) and '\n' not in str(e)
    else: assert s.initial > 0

def run_of(tmp_path, **kw):
    small(output=tmp_path/'run', **kw).fit()
    return tmp_path/'run'/'checkpoint.safetensors'

def spoil(path, how):
    data = path.read_bytes()
    about, tensors = read_tensors(path)
    if how == 'cut': path.write_bytes(data[:len(data)//2])
    if how == 'noise': path.write_bytes(os.urandom(len(data)))
    if how == 'empty': path.write_bytes(b'')
    if how == 'no header': path.write_bytes(data.replace(b'"format', b'"farmot'))
    if how == 'weights only': write_tensors(path, tensors, {'config': about['config']})
    if how == 'newer': write_tensors(path, tensors, about | {'format': 99})
    if how == 'a tensor less': write_tensors(path, {k: v for k, v in tensors.items() if k != 'model.1.bias'}, about)
    if how == 'gone': path.unlink()

@pytest.mark.parametrize('how', ['cut', 'noise', 'empty', 'no header', 'weights only', 'newer', 'a tensor less', 'gone'])
def test_a_damaged_checkpoint_is_one_line_and_stays(tmp_path, how):
    path = run_of(tmp_path)
    spoil(path, how)
    before = {o: o.read_bytes() for o in path.parent.iterdir()}
    with pytest.raises((ValueError, OSError), match='checkpoint.safetensors') as e: small(output=path.parent, epochs=3).fit(resume=True)
    assert '\n' not in str(e.value)
    assert {o: o.read_bytes() for o in path.parent.iterdir()} == before

@pytest.mark.parametrize('other, says', [(dict(batch_size=5), 'batch_size'), (dict(learning_rate='0.01'), 'learning_rate'), (dict(seed=2), 'seed'), (dict(optimiser='SGD'), 'optimiser'),
                                         (dict(config={'depth': 3}), 'depth')])
def test_another_configuration_does_not_resume(tmp_path, other, says):
    path = run_of(tmp_path)
    with pytest.raises(ValueError, match=f'another configuration: its {says}'): small(output=path.parent, **other).fit(resume=True)

def test_another_architecture_does_not_resume(tmp_path):
    path = run_of(tmp_path)
    other = Trainer(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), squares, Memory(20), batch_size=6, output=path.parent, device='cpu')
    with pytest.raises(ValueError, match='another architecture.*1.weight'): other.fit(resume=True)

@pytest.mark.parametrize('bad, says', [(dict(epochs=0), 'epochs 0'), (dict(batch_size=2.5), 'batch_size 2.5'), (dict(seed=-1), 'seed -1'), (dict(optimiser='Adamant'), 'Adamant'), (dict(learning_rate='1e99'), 'loss is'),
                                       (dict(learning_rate='quick'), 'quick'), (dict(batch_size=30, drop_last=True), 'less than one batch'), (dict(device='cuda:99'), 'cuda:99')])
def test_bad_input_is_one_line(bad, says):
    with pytest.raises(ValueError, match=says) as e: small(**{'epochs': 5} | bad).fit()
    assert '\n' not in str(e.value)

def test_a_run_is_not_overwritten(tmp_path):
    path = run_of(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match='holds a run already'): small(output=path.parent).fit()
    assert path.read_bytes() == before

def test_a_finished_run_can_go_on(tmp_path):
    run_of(tmp_path)
    longer, whole = small(output=tmp_path/'run', epochs=4), small(epochs=4)
    assert longer.fit(resume=True) == whole.fit()
    assert torch.equal(longer.model[1].weight, whole.model[1].weight)

def test_half_weights_keep_whole_numbers(tmp_path):
    model = nn.BatchNorm1d(3)
    model(torch.randn(4, 3))
    save_weights(tmp_path/'w.safetensors', model, {}, half=True)
    other = nn.BatchNorm1d(3)
    load_weights(other, tmp_path/'w.safetensors')
    assert other.num_batches_tracked == 1 and torch.equal(other.running_mean, model.running_mean.half().float())

def test_a_folder_is_used_by_one_run(tmp_path):
    refused = []
    class Second(Callback):
        def after_step(self, t):
            with pytest.raises(ValueError, match='in use by another run') as e: small(output=tmp_path/'run').fit(resume=True)
            refused.append(e)
    small(output=tmp_path/'run', callbacks=[Second()], epochs=1).fit()
    assert refused
    small(output=tmp_path/'run').fit(resume=True)                       # and free again

def test_resuming_what_never_was_makes_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='no file'): small(output=tmp_path/'run').fit(resume=True)
    assert not (tmp_path/'run').exists()

# ---- threads

def test_a_resumed_run_takes_as_many_threads_as_it_had(tmp_path):
    "Sums in another order end in other bits: a run that began with two threads goes on with two."
    from dsketch_nb.classifiers import train_classifier
    def run(output, epochs, threads, resume=False):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try: return train_classifier('MnistCNN', 'Digits', output, resume, epochs=epochs, batch_size=200, num_workers=0)
        finally:
            assert torch.get_num_threads() == threads                       # and the caller's number is untouched
            torch.set_num_threads(before)
    whole, other = run(tmp_path/'whole', 2, 2), run(None, 2, 1)
    run(tmp_path/'run', 1, 2)
    again = run(tmp_path/'run', 2, 1, resume=True)
    same = [torch.equal(a, b) for a, b in zip(again.model.parameters(), whole.model.parameters(), strict=True)]
    assert all(same) and again.history == whole.history and again.test == whole.test
    assert read_tensors(tmp_path/'run'/'checkpoint.safetensors')[0]['threads'] == 2
    # where one and two threads do not differ, this shows nothing
    assert not all(torch.equal(a, b) for a, b in zip(other.model.parameters(), whole.model.parameters()))
