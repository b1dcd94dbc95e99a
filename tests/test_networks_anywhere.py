"""The rooms of losses, networks, data and training in surroundings that are not theirs: other default devices and types, modes without gradients, functions of
torch.func, a generator that belongs to the caller. What they give is the same, and what is the caller's stays as it is."""
import copy
from contextlib import nullcontext

import numpy as np, pytest, torch
from PIL import Image
from torch import nn
from torch._subclasses import FakeTensorMode

from dsketch_nb import losses as L, perceptual, training
from dsketch_nb.autoencoders import AutoEncoder, VariationalAutoEncoder, stroke_vertices
from dsketch_nb.classifiers import MnistCNN, load_classifier, train_classifier, train_classifier_barlow
from dsketch_nb.data import Digits, Folder, Split, augmented, centred, hold_out, scaled
from dsketch_nb.decoders import SinglePassMaskedLineDecoder, SinglePassSimpleLineDecoder
from dsketch_nb.encoders import SimpleMLPEncoder
from dsketch_nb.experiments import Reconstruction, ink_distances, load, train_autoencoder
from dsketch_nb.from_paper import read_picture
from dsketch_nb.runs import seeded
from dsketch_nb.training import Trainer, evaluate, save_weights

g = torch.Generator().manual_seed(0)
def T(*shape): return torch.rand(*shape, generator=g)
def model(kind=AutoEncoder, decoder=SinglePassSimpleLineDecoder):
    with seeded(0): return kind(SimpleMLPEncoder((8, 9), 1, 4*kind.numbers_per_latent), decoder(4, (8, 9), 1))
def squared(model, images, labels): return model.loss_and_reconstruction(images, L.MSELoss())[0], {}

@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp('pictures')
    for i in range(8): Image.linear_gradient('L').rotate(90*i).resize((12, 12)).save(folder/f'{i}.png')
    return folder

# ---- the caller's random numbers

SMALL = dict(epochs=1, batch_size=700, num_workers=0)
USES = {'train_autoencoder': lambda d: train_autoencoder(encoder_hidden=3, num_reconstructions=1, output=d/'a', **SMALL),
        'variational': lambda d: train_autoencoder(variational=True, decoder='SinglePassMaskedLineDecoder', **SMALL),
        'train_classifier': lambda d: train_classifier('MnistCNN', 'Digits', d/'c', **SMALL),
        'train_classifier_barlow': lambda d: train_classifier_barlow('MnistCNN', 'Digits', barlow_epochs=1, barlow_batch_size=700, **SMALL),
        'load': lambda d: load('mnist-autoencoder'), 'load_classifier': lambda d: load_classifier(saved(d)),
        'Digits': lambda d: Digits(), 'Trainer': lambda d: Trainer(model(VariationalAutoEncoder), squared, Split(T(9, 1, 8, 9), torch.arange(9) % 3), epochs=1, device='cpu').fit(),
        'evaluate': lambda d: evaluate(model(), squared, Split(T(9, 1, 8, 9), torch.arange(9) % 3))}

def saved(folder):
    with seeded(0): net = MnistCNN((16, 16), 1, 3)
    save_weights(folder/'reader.safetensors', net, {'config': dict(model='MnistCNN', model_options={}, size=[16, 16], channels=1, classes=3)})
    return folder/'reader.safetensors'

@pytest.mark.parametrize('use', USES)
def test_the_callers_random_numbers_go_on(tmp_path, use):
    torch.manual_seed(123)
    alone = torch.rand(3)
    torch.manual_seed(123)
    np.random.seed(5); numpys = np.random.get_state()[1].copy()
    USES[use](tmp_path)
    assert torch.equal(torch.rand(3), alone) and (np.random.get_state()[1] == numpys).all()

def test_a_seed_is_the_same_whatever_the_caller_drew():
    nets = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        nets.append(train_autoencoder(encoder_hidden=3, variational=True, **SMALL))
    for a, b in zip(nets[0].model.parameters(), nets[1].model.parameters(), strict=True): assert torch.equal(a, b)
    assert nets[0].test == nets[1].test

# ---- the caller's objects

def test_the_callers_loss_stays_as_it_is():
    for loss in (L.MSELoss(), L.PyrMSELoss(1, 2), perceptual.LPIPSLoss('squeeze', 'random')):
        before, x, t = copy.copy(loss.__dict__), T(2, 1, 24, 24), T(2, 1, 24, 24)
        value = loss(x, t)
        net = VariationalAutoEncoder(SimpleMLPEncoder((24, 24), 1, 8), SinglePassSimpleLineDecoder(4, (24, 24), 1))
        net.training_loss(x, loss).backward()
        Reconstruction(loss)(net, x, None)
        assert loss.__dict__.keys() == before.keys() and all(loss.__dict__[k] is before[k] for k in before) and torch.equal(loss(x, t), value)

@pytest.mark.parametrize('make', [L.MSELoss, lambda: L.PyrMSELoss(1, 2), lambda: nn.MSELoss(), lambda: perceptual.LPIPSLoss('squeeze', 'random')], ids=['MSE', 'pyramid', "torch's", 'LPIPS'])
def test_a_variational_model_weighs_every_loss_alike(make):
    "The error of an image is the mean times its number of values, also where the loss is shown paper."
    net, x, loss = VariationalAutoEncoder(SimpleMLPEncoder((24, 24), 1, 8), SinglePassSimpleLineDecoder(4, (24, 24), 1)).eval(), T(2, 1, 24, 24), make()
    ask = Reconstruction(loss).loss if isinstance(loss, L.Loss) else loss
    with torch.no_grad():
        got, drawn = net.loss_and_reconstruction(x, ask)
        torch.testing.assert_close(got, 24*24*ask(drawn, x) + net.kl(*net.distribution(x)).mean())

# ---- default devices and types

def results(pictures):
    images, r = torch.linspace(0, 1, 2*28*28, dtype=torch.float32, device='cpu').view(2, 1, 28, 28), []
    with seeded(3): r.append(augmented(images))
    r += [centred(images, 9), scaled(images, 40, 64, .5), *hold_out(Split(images, [0, 1]), 1, torch.Generator('cpu').manual_seed(1))]
    digits, folder = Digits(), Folder(pictures, valset_size_per_class=2, size=10)
    for o in (digits.train, digits.val, digits.test, folder.train, folder.test): r += o.__getitems__([0, 1])
    r += [f(images, images.flip(3)) for f in (L.MSELoss(), L.BlurredMSELoss(1, 1.3), L.PyrMSELoss(1), L.DoGPyrMSELoss(1))]
    r += [torch.tensor(ink_distances(*images), dtype=torch.float32, device='cpu'), read_picture(pictures/'0.png', (1, 28, 28), centre=True)]
    return r

@pytest.mark.parametrize('default', ['meta', 'float64', 'inference', 'no_grad'])
def test_defaults_change_nothing(pictures, default):
    alone, dtype = results(pictures), torch.get_default_dtype()
    try:
        if default == 'float64': torch.set_default_dtype(torch.float64)
        with {'meta': torch.device('meta'), 'inference': torch.inference_mode(), 'no_grad': torch.no_grad()}.get(default, nullcontext()): there = results(pictures)
    finally: torch.set_default_dtype(dtype)
    for a, b in zip(alone, there, strict=True): assert a.dtype == b.dtype and a.device == b.device and torch.equal(a, b)

def test_what_a_mode_computes_is_not_kept():
    "A matrix made while nothing is recorded, or while tensors are fake, would spoil every later gradient."
    for n, mode in enumerate((torch.inference_mode, FakeTensorMode)):
        side = 11 + n
        with mode():
            L.blur(torch.rand(1, 1, side, side), 1.7)
            stroke_vertices('beziers', torch.rand(1, 1, 4 + 3*side, 2))
        x, p = torch.rand(1, 1, side, side, requires_grad=True), torch.rand(1, 1, 4 + 3*side, 2, requires_grad=True)
        (L.blur(x, 1.7).square().sum() + stroke_vertices('beziers', p).square().sum()).backward()
        assert x.grad.abs().sum() > 0 and p.grad.abs().sum() > 0

# ---- a device without float64

class OnMPS(torch.Tensor):
    "A number on a device that knows no float64, as Apple's; on the CPU it is one."
    device = property(lambda self: torch.device('mps'))
    def double(self): raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
    def to(self, *args, **more):
        if torch.float64 in (*args, *more.values()): self.double()
        return super().to(*args, **more)

def test_sums_of_an_epoch_need_no_float64():
    values = [torch.tensor(v).as_subclass(OnMPS) for v in (.5, .25)]
    sums = training._stacked(values[0], {'mse': values[1]}) * 3
    assert sums.dtype == torch.float32 and sums.tolist() == [1.5, .75]
    assert training._stacked(torch.tensor(.5), {}).dtype == torch.float64

# ---- torch.func

def test_a_network_that_switches_strokes_under_torch_func():
    net = model(decoder=SinglePassMaskedLineDecoder)
    with torch.no_grad(): net.decoder.to_worth.bias.fill_(-.1)
    params, x = dict(net.named_parameters()), T(3, 1, 8, 9)
    def loss(params):
        # worths alone: what is drawn is another room's affair
        worth = torch.func.functional_call(net.decoder.to_worth, {k.split('.')[-1]: v for k, v in params.items() if 'to_worth' in k}, (net.decoder.hidden(x[:, 0, 0, :4]),))
        from dsketch_nb.decoders import _Switch
        return (_Switch.apply(worth, worth > 0) * torch.arange(worth.numel()).view_as(worth)).square().sum()
    got = torch.func.grad(loss)({k: v.detach() for k, v in params.items()})
    loss(params).backward()
    for k, v in params.items():
        if 'to_worth' in k: torch.testing.assert_close(got[k], v.grad)

def test_a_switch_has_the_second_derivative_of_its_gradient():
    "The unit counts as a constant, so the gradient is linear in worth."
    from dsketch_nb.decoders import _Switch
    worth, tried, w = torch.tensor([.3, -.2, .5], dtype=torch.float64, requires_grad=True), torch.tensor([True, True, False]), torch.tensor([1., 2., 3.], dtype=torch.float64)
    first, = torch.autograd.grad((_Switch.apply(worth, tried)*w).sum(), worth, create_graph=True)
    unit = (w[:2].square().sum()/2).sqrt()
    torch.testing.assert_close(first, torch.stack([w[0] + unit*worth[0], w[1] + unit*worth[1], worth[2]*0]).detach(), check_dtype=False)
    second, = torch.autograd.grad(first.sum(), worth)
    torch.testing.assert_close(second, torch.stack([unit, unit, unit*0]))
