"The losses that look through a network, mostly an untrained one: structure, gradients, caching, and every way in which weights can be missing."
import http.server, os, socket, sys, threading, types, warnings
from pathlib import Path
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch.autograd import gradcheck
from dsketch_nb import perceptual as P
from dsketch_nb.losses import Loss

@pytest.fixture(scope='module', autouse=True)
def one_thread():
    "Small images: sharing them out costs more than it saves."
    n = torch.get_num_threads(); torch.set_num_threads(1); torch.manual_seed(0); yield; torch.set_num_threads(n)

SQUEEZE = Path(torch.hub.get_dir())/'checkpoints'/'squeezenet1_1-b8a52dc0.pth'
needs_squeeze = pytest.mark.skipif(not SQUEEZE.exists(), reason=f'needs {SQUEEZE.name} where PyTorch keeps weights')

@pytest.fixture(scope='module')
def untrained():
    torch.manual_seed(0)
    aug = P.AugConsistencyLoss('vgg16', 1, 'random'); aug.net = aug.net[:10]              # at 224 x 224 the whole of it is slow
    return dict(squeeze=P.LPIPSLoss('squeeze', 'random'), alex=P.LPIPSLoss('alex', 'random'), maps=P.FeatureMapLoss(weights='random'), aug=aug)

@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    "No weights on this machine and no way to get any: an answer at once."
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path/'hub')); monkeypatch.setattr(Path, 'home', lambda: tmp_path)
    def unreachable(url, timeout=None): raise OSError('Name or service\nnot known')
    monkeypatch.setattr(P.urllib.request, 'urlopen', unreachable)
    return tmp_path

def _one_line(error): assert '\n' not in str(error.value); return str(error.value)

# ---- weights

@pytest.mark.parametrize('make,file', ((lambda: P.LPIPSLoss(), 'vgg16-397923af.pth'), (lambda: P.LPIPSLoss('alex'), 'alexnet-owt-7be5be79.pth'),
    (lambda: P.LPIPSLoss('squeeze'), 'squeezenet1_1-b8a52dc0.pth'), (lambda: P.FeatureMapLoss(), 'vgg16-397923af.pth'), (lambda: P.AugConsistencyLoss('vgg16'), 'vgg16-397923af.pth')))
def test_missing(make, file, no_weights, capsys):
    with pytest.raises(P.MissingWeights) as e: make()
    text = _one_line(e)
    assert text.startswith(f'{file} is needed and could not be fetched (Name or service not known): download https://download.pytorch.org/models/{file} and put it at ')
    assert text.endswith(str(no_weights/'hub'/'checkpoints'/file)) and capsys.readouterr().out == ''
    assert not list(no_weights.rglob('*.p*'))
    assert isinstance(e.value, RuntimeError)

@pytest.mark.parametrize('net,file', (('sin', 'vgg16_train_60_epochs'), ('face', 'vgg_face_dag.pth')))
def test_weights_only_the_user_has(net, file):
    with pytest.raises(P.MissingWeights, match=f"net '{net}' needs a file of weights: download {file}.* give its path as weights") as e: P.FeatureMapLoss(net)
    _one_line(e)

def test_files_that_are_not_weights(tmp_path):
    (tmp_path/'a.pth').write_bytes(b'no weights'); torch.save({'features.0.weight': torch.zeros(3)}, tmp_path/'b.pth'); torch.save(torch.zeros(3), tmp_path/'c.pth'); torch.save(os.getcwd, tmp_path/'d.pth')
    for make in (lambda w: P.LPIPSLoss('squeeze', w), lambda w: P.FeatureMapLoss('imnet', weights=w), lambda w: P.FeatureMapLoss('face', weights=w), lambda w: P.AugConsistencyLoss('vgg16', weights=w)):
        for name, says in (('a', 'cannot be read as weights'), ('b', 'holds other weights than this network needs'), ('c', 'holds other weights'), ('d', 'cannot be read as weights'), ('none', 'does not exist')):
            with pytest.raises(P.MissingWeights, match=says) as e: make(str(tmp_path/f'{name}.pth'))
            _one_line(e)

def test_weights_from_a_file(tmp_path, untrained):
    "torchvision's, a parallel model's and VGG-Face's names; the classifier in the file is ignored."
    torch.manual_seed(1); vgg = P.vgg16_features(); x, t = torch.rand(1, 3, 20, 24), torch.rand(1, 3, 20, 24)
    blocks = [(b+1, i+1) for b, n in enumerate((2, 2, 3, 3, 3)) for i in range(n)]
    at = dict(zip([i for i, o in enumerate(vgg) if hasattr(o, 'weight')], blocks))
    state = {'.'.join((name, kind)): getattr(vgg[i], kind) for i, name in ((i, f'conv{b}_{j}') for i, (b, j) in at.items()) for kind in ('weight', 'bias')}
    torch.save({k: v.detach() for k, v in state.items()} | {'fc6.weight': torch.zeros(2)}, tmp_path/'face.pth')
    torch.save({'epoch': 3, 'state_dict': {f'features.module.{k}': v for k, v in vgg.state_dict().items()}}, tmp_path/'sin.pth')
    torch.save({f'features.{k}': v for k, v in vgg.state_dict().items()} | {'classifier.0.weight': torch.zeros(2)}, tmp_path/'imnet.pth')
    got = {net: P.FeatureMapLoss(net, weights=str(tmp_path/f'{net}.pth')) for net in ('imnet', 'sin', 'face')}
    for o in got.values():
        for a, b in zip(o.net.state_dict().values(), vgg.state_dict().values(), strict=True): assert torch.equal(a, b)
    assert got['sin'](x, t) == got['imnet'](x, t) != got['face'](x, t)
    torch.testing.assert_close(got['face'].images(x)[0, :, 3, 4], 255*x[0, :, 3, 4] - torch.tensor([129.1863, 104.7624, 93.5940]), atol=1e-3, rtol=1e-5)
    import torchvision
    net = torchvision.models.squeezenet1_1(); torch.save(net.state_dict(), tmp_path/'squeeze.pth')
    loss = P.LPIPSLoss('squeeze', str(tmp_path/'squeeze.pth'))
    with torch.no_grad(): torch.testing.assert_close(loss.net(x)[-1], net.features(x))

class _Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'x' * 3000000
        if self.path == '/404.pth': return self.send_error(404)
        self.send_response(200); self.send_header('Content-Length', len(body)); self.end_headers()
        if self.path == '/broken.pth': self.wfile.write(body[:1000]); self.wfile.flush(); self.connection.shutdown(socket.SHUT_RDWR)
        elif self.path != '/silent.pth': self.wfile.write(body)
        else: threading.Event().wait(2)
    def log_message(self, *a): pass

@pytest.fixture(scope='module')
def server():
    s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Server); s.daemon_threads = True; s.handle_error = lambda *a: None
    threading.Thread(target=s.serve_forever, daemon=True).start(); yield f'http://127.0.0.1:{s.server_port}'; s.shutdown()

@pytest.mark.parametrize('name,says', (('404.pth', 'HTTP Error 404'), ('broken.pth', 'broke off after|IncompleteRead'), ('silent.pth', 'timed out'), ('net-deadbeef.pth', 'its SHA-256 is not the one in its name')))
def test_a_download_that_fails_leaves_nothing(server, tmp_path, name, says):
    with pytest.raises(P.MissingWeights, match=says) as e: P.fetch_weights(f'{server}/{name}', tmp_path/'new', timeout=.5)
    _one_line(e); assert not list(tmp_path.rglob('*.*'))

def test_a_folder_that_is_the_digest(server, tmp_path):
    right = P.hashlib.sha256(b'x' * 3000000).hexdigest()
    assert P.fetch_weights(f'{server}/{right}/net.pt', tmp_path).exists()
    with pytest.raises(P.MissingWeights, match='its SHA-256 is not the one in its name'): P.fetch_weights(f'{server}/{"0"*64}/other.pt', tmp_path)
    assert not list(tmp_path.glob('other*'))

def test_a_download_that_works(server, tmp_path, monkeypatch):
    p = P.fetch_weights(f'{server}/fine.pth', tmp_path/'new'); assert p == tmp_path/'new'/'fine.pth' and p.stat().st_size == 3000000 and os.listdir(p.parent) == ['fine.pth']
    monkeypatch.setattr(P.urllib.request, 'urlopen', lambda *a, **k: pytest.fail('fetched twice')); assert P.fetch_weights(f'{server}/fine.pth', tmp_path/'new') == p
    def stop(*a): raise KeyboardInterrupt
    monkeypatch.undo(); monkeypatch.setattr(P.hashlib, 'sha256', stop)
    with pytest.raises(KeyboardInterrupt): P.fetch_weights(f'{server}/other.pth', tmp_path/'new')
    assert os.listdir(p.parent) == ['fine.pth']

def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path/'file').write_text('')
    with pytest.raises(P.MissingWeights, match='could not be fetched') as e: P.fetch_weights(f'{server}/fine.pth', tmp_path/'file')
    _one_line(e)

# ---- what all share

def test_found_by_name(): assert {'LPIPSLoss', 'FeatureMapLoss', 'AugConsistencyLoss'} <= set(Loss.known) and Loss.find('LPIPSLoss') is P.LPIPSLoss and '_NetLoss' not in Loss.known

def test_options_are_annotated():
    from fastcore.docments import docments
    for cls in (P.LPIPSLoss, P.FeatureMapLoss, P.AugConsistencyLoss):
        for n, o in docments(cls, full=True).items():
            if n not in ('self', 'return'): assert o.docment and o.anno in (int, float, bool, str, list[float]) and o.default is not o.get('empty'), (cls, n)

@settings(max_examples=12, deadline=None)
@given(st.sampled_from(('squeeze', 'alex', 'maps')), st.integers(1, 2), st.sampled_from((1, 3)), st.integers(31, 40), st.integers(31, 50), st.integers(0, 2**31), st.booleans())
def test_properties(untrained, name, b, c, h, w, seed, blank):
    loss, (x, t) = untrained[name], torch.rand(2, b, c, h, w, generator=torch.Generator().manual_seed(seed))
    if blank: x = torch.ones_like(x)
    x.requires_grad_(); out = loss(x, t); out.backward()
    assert out.dim() == 0 and out >= 0 and x.grad.isfinite().all() and loss(t, t) == 0
    torch.testing.assert_close(out, loss(t, x.detach()), rtol=1e-4, atol=1e-7)
    each = torch.stack([loss(x[i:i+1], t[i:i+1]) for i in range(b)]).mean(); torch.testing.assert_close(out, each, rtol=1e-4, atol=1e-7)

@pytest.mark.parametrize('name,least', (('squeeze', 17), ('alex', 31), ('maps', 16)))
def test_sizes(untrained, name, least):
    loss = untrained[name]
    for h, w in ((least, 300), (300, least), (least, least)): assert loss(torch.rand(1, 3, h, w), torch.rand(1, 3, h, w)) > 0
    with pytest.raises(ValueError, match=f'images of {least-1} x 300 pixels, expected at least {least} a side: enlarge'): loss(torch.rand(1, 3, least-1, 300), torch.rand(1, 3, least-1, 300))
    for shape in ((1, 2, 40, 40), (3, 40, 40), (1, 4, 40, 40)):
        with pytest.raises(ValueError, match=r'expected \[B, 3, H, W\] or \[B, 1, H, W\]'): loss(torch.rand(shape), torch.rand(shape))
    with pytest.raises(ValueError, match='give both the same'): loss(torch.rand(1, 3, 40, 40), torch.rand(1, 1, 40, 40))

def test_frozen_and_never_training(untrained):
    for loss in untrained.values():
        assert not any(p.requires_grad for p in loss.parameters()) and not any(m.training for m in loss.train().net.modules())
        x = torch.rand(1, 3, 40, 40, requires_grad=True); loss(x, torch.rand(1, 3, 40, 40)).backward(); assert all(p.grad is None for p in loss.parameters())

def test_target_goes_through_the_network_once(untrained):
    for name in ('squeeze', 'maps'):
        loss, sizes = untrained[name], []; first = next(m for m in loss.net.modules() if isinstance(m, torch.nn.Conv2d)); x, t = torch.rand(2, 3, 40, 40), torch.rand(2, 3, 40, 40)
        hook = first.register_forward_hook(lambda m, i, o: sizes.append(len(i[0])))
        near = loss.toward(t)
        for _ in range(5): got = near(x)
        assert sizes == [2]*6
        torch.testing.assert_close(got, loss(x, t))
        assert sizes == [2]*8; hook.remove()
        t.requires_grad_(); loss(x, t).backward(); assert t.grad.abs().sum() > 0

def test_gradcheck():
    torch.manual_seed(0); t = torch.rand(1, 1, 18, 17, dtype=torch.float64); x = torch.rand_like(t).requires_grad_()
    for loss in (P.LPIPSLoss('squeeze', 'random'), P.FeatureMapLoss(weights='random')):
        loss = loss.double(); assert gradcheck(lambda x: loss(x, t), x, fast_mode=True)

# ---- LPIPS

@pytest.mark.parametrize('name', ('squeeze', 'alex'))
def test_against_the_lpips_package(untrained, name):
    import lpips
    loss = untrained[name]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore'); theirs = lpips.LPIPS(net=name, pnet_rand=True, verbose=False)
    theirs.net = loss.net; x, t = torch.rand(2, 3, 45, 64, requires_grad=True), torch.rand(2, 3, 45, 64)
    ours, want = loss(x, t), theirs(2*x - 1, 2*t - 1).mean()
    torch.testing.assert_close(ours, want, rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.autograd.grad(ours, x)[0], torch.autograd.grad(want, x)[0], rtol=1e-3, atol=1e-8)

@needs_squeeze
def test_real_weights_against_the_lpips_package(capsys):
    import lpips
    loss = P.LPIPSLoss('squeeze'); assert capsys.readouterr() == ('', '')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore'); theirs = lpips.LPIPS(net='squeeze', verbose=False)
    from sklearn.datasets import load_sample_image
    a, b = (torch.tensor(load_sample_image(n)[100:200, 200:350]/255).float().permute(2, 0, 1)[None] for n in ('china.jpg', 'flower.jpg'))
    with torch.no_grad(): torch.testing.assert_close(loss(a, b), theirs(2*a - 1, 2*b - 1).mean(), rtol=1e-5, atol=0); assert loss(a, b) > loss(a, a.roll(1, -1)) > 0

def test_silent(capsys):
    with warnings.catch_warnings(): warnings.simplefilter('error'); P.LPIPSLoss('squeeze', 'random')
    assert capsys.readouterr() == ('', '')

def test_unknown_nets():
    for make, who in ((lambda: P.LPIPSLoss('vgg19'), 'vgg, alex, squeeze'), (lambda: P.FeatureMapLoss('x'), 'imnet, sin, face'), (lambda: P.AugConsistencyLoss('x'), 'ViT, vgg16')):
        with pytest.raises(ValueError, match=f'is not known, expected one of {who}'): make()

# ---- feature maps

def test_feature_maps_by_hand(untrained):
    loss, x, t = untrained['maps'], torch.rand(1, 3, 33, 40), torch.rand(1, 3, 33, 40); want, a, b = 0, *(
        (o - torch.tensor([.485, .456, .406]).view(1, 3, 1, 1)) / torch.tensor([.229, .224, .225]).view(1, 3, 1, 1) for o in (x, t))
    for i, layer in enumerate(loss.net):
        a, b = layer(a), layer(b)
        if i in (3, 8, 15, 22, 29): want += (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
    torch.testing.assert_close(loss(x, t), want, rtol=1e-4, atol=0)

@pytest.mark.parametrize('bad', ([1, 2], [0]*5, [1, 1, 1, 1, -1], [1]*6))
def test_bad_weights(bad):
    with pytest.raises(ValueError, match='expected five numbers of 0 or more, not all 0'): P.FeatureMapLoss(fm_weights=bad, weights='random')

# ---- augmentation consistency

def test_views_are_the_same_for_both_and_seeded(untrained):
    loss, x = untrained['aug'], torch.rand(2, 1, 20, 30)
    a, b = loss.views(x, x); assert a.shape == (2, 1, 224, 224) and torch.equal(a, b) and a.min() >= 0 and a.max() <= 1
    white, _ = loss.views(torch.ones(1, 3, 30, 30), torch.ones(1, 3, 30, 30)); torch.testing.assert_close(white, torch.ones_like(white))
    y = torch.rand(2, 1, 20, 30); got = []
    for seed in (1, 1, 2): torch.manual_seed(seed); got.append(loss(x, y))
    assert got[0] == got[1] != got[2] and loss(x, x) == 0
    loss.num_augs = 3; a, b = loss.views(x, y); loss.num_augs = 1; assert a.shape == b.shape == (6, 1, 224, 224)

def test_aug_gradients(untrained):
    for shape in ((1, 1, 16, 16), (1, 3, 17, 300)):
        x, t = torch.rand(shape, requires_grad=True), torch.rand(shape, requires_grad=True); out = untrained['aug'](x, t.detach()); out.backward(); assert out >= 0 and x.grad.isfinite().all() and t.grad is None
    out = untrained['aug'](x.detach(), t); out.backward(); assert t.grad.isfinite().all() and t.grad.abs().sum() > 0
    with pytest.raises(ValueError, match='images of 1 x 20 pixels, expected at least 16 a side'): untrained['aug'](torch.rand(1, 1, 1, 20), torch.rand(1, 1, 1, 20))
    for bad in (0, 1.5, -1):
        with pytest.raises(ValueError, match=f'num_augs is {bad}, expected a whole number'): P.AugConsistencyLoss('vgg16', bad, 'random')

class _Visual(torch.nn.Module):
    def __init__(self): super().__init__(); self.conv = torch.nn.Conv2d(3, 8, 32, 32).half()
    def forward(self, x): return self.conv(x).mean((2, 3))

def test_clip_where_it_is_installed(monkeypatch, tmp_path, no_weights):
    class Model(torch.nn.Module):
        def __init__(self): super().__init__(); self.visual = _Visual()
    def load(path, device, jit):
        if 'good' not in path: raise RuntimeError('bad\nfile')
        assert device == 'cpu' and not jit; return Model(), None
    monkeypatch.setitem(sys.modules, 'clip', types.SimpleNamespace(load=load))
    loss = P.AugConsistencyLoss(num_augs=2, weights='good.pt'); x = torch.rand(1, 1, 40, 40, requires_grad=True)
    assert isinstance(loss.net, _Visual); loss(x, torch.rand(1, 1, 40, 40)).backward(); assert x.grad.abs().sum() > 0
    torch.testing.assert_close(loss.mean.flatten(), torch.tensor([.4815, .4578, .4082]), atol=1e-4, rtol=0)
    with pytest.raises(P.MissingWeights, match='bad.pt cannot be read as CLIP ViT-B/32') as e: P.AugConsistencyLoss(weights='bad.pt')
    _one_line(e)
    with pytest.raises(P.MissingWeights, match='ViT-B-32.pt is needed and could not be fetched') as e: P.AugConsistencyLoss()
    assert _one_line(e).endswith(str(Path('.cache')/'clip'/'ViT-B-32.pt'))

def test_clip_that_does_not_import(monkeypatch, tmp_path):
    (tmp_path/'clip.py').write_text('import a_package_that_is_not_there'); monkeypatch.syspath_prepend(tmp_path); monkeypatch.delitem(sys.modules, 'clip', raising=False)
    with pytest.raises(ValueError, match="the package clip cannot be imported .No module named 'a_package_that_is_not_there'.: install what it lacks, or choose net 'vgg16'"): P.AugConsistencyLoss()

def test_vgg16_where_clip_is_not(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'clip', None); torch.save({f'features.{k}': v for k, v in P.vgg16_features().state_dict().items()}, tmp_path/'vgg.pth')
    with pytest.warns(UserWarning, match='the package clip .* is not installed: AugConsistencyLoss looks through vgg16 instead'): loss = P.AugConsistencyLoss(weights=str(tmp_path/'vgg.pth'))
    assert len(loss.net) == 30
