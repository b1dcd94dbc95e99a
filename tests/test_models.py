"""Every encoder and every decoder: it learns, is saved and loaded, says what it drew, and refuses what it cannot do."""
import argparse
from dataclasses import replace

import pytest, torch, torch.nn.functional as F
from fastcore.docments import docments
from hypothesis import given, settings, strategies as st
from sklearn.datasets import load_digits

from dsketch_nb.autoencoders import AutoEncoder, Decoder, Drawing, Encoder, VariationalAutoEncoder
from dsketch_nb.command import add_class_flags, build, flags_of, options
from dsketch_nb.decoders import (Coloured, Masked, Recurrent, RecurrentSimpleLineDecoder, SinglePassColouredLineDecoder, SinglePassMaskedLineDecoder, SinglePassPolyConnectDecoder, straight_through)
from dsketch_nb.encoders import SimpleMLPEncoder
from dsketch_nb.losses import MSELoss
from dsketch_nb.scene import Scene
from dsketch_nb.shape_decoders import SinglePassShapesDecoder
import dsketch_nb.svg                                  # so that scenes read files
from dsketch_nb.training import load_weights, save_weights

ENCODERS = 'SimpleMLPEncoder SimpleCNNEncoder BetterCNNEncoder Conv2DEncoder StrokeNetEncoder'.split()
FEW = dict(npoints=4)                                # options that keep the large ones small
DECODERS = dict(SinglePassSimpleLineDecoder={}, SinglePassPolyLineDecoder={}, SinglePassPolyConnectDecoder=FEW, SinglePassSimpleBezierDecoder=dict(segments=2, smooth=True),
                SinglePassBezierConnectDecoder=FEW, SinglePassCRSDecoder=dict(npoints=6), SinglePassPointsDecoder=dict(npoints=9), SinglePassColouredLineDecoder={},
                SinglePassColouredPointsDecoder=dict(npoints=9), SinglePassColouredCRSDecoder=dict(nlines=2, npoints=5), RNNBezierDecoder=dict(steps=3),
                RecurrentSimpleLineDecoder=dict(steps=2, nlines=3), RecurrentPolyLineDecoder=dict(steps=2, npoints=5), RecurrentPolyConnectDecoder=dict(steps=2, npoints=3),
                RecurrentCRSDecoder=dict(steps=2, npoints=5), SinglePassMaskedLineDecoder={}, SinglePassMaskedBezierDecoder=dict(nlines=3),
                SinglePassShapesDecoder=dict(nshapes=3), SinglePassColouredShapesDecoder=dict(nshapes=4, segments=3), SinglePassMaskedShapesDecoder=dict(nshapes=2, segments=2))
MODELS = AutoEncoder, VariationalAutoEncoder
torch.set_num_threads(1)                             # `draw` has threads of its own
digits = torch.tensor(load_digits().images[:6], dtype=torch.float32)[:, None] / 16        # six real digits of 8 x 8 pixels

def decoder(name, size=(8, 8), channels=1, latent=5, seed=0, **more):
    torch.manual_seed(seed)
    return build(Decoder.find(name), DECODERS[name] | more, latent_size=latent, size=size, channels=channels)

def model(cls, name, seed=0, size=(8, 8), channels=1, encoder='SimpleMLPEncoder', **more):
    d = decoder(name, size, channels, seed=seed, **more)
    return cls(build(Encoder.find(encoder), {}, size=size, channels=channels, outputs=cls.numbers_per_latent*d.latent_size), d)

def learn(model, images, steps, lr):
    "The loss before and after some steps on the same images; every gradient on the way is finite, and every weight has had one."
    loss_fn, optimiser, moved = MSELoss(), torch.optim.Adam(model.parameters(), lr=lr), set()
    def now():
        model.eval()
        with torch.no_grad(): return model.training_loss(images, loss_fn).item()
    before = now()
    model.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss = model.training_loss(images, loss_fn)
        loss.backward()
        for k, p in model.named_parameters():
            assert p.grad is not None and torch.isfinite(p.grad).all(), k
            if p.grad.any(): moved.add(k)
        optimiser.step()
    assert moved == {k for k, _ in model.named_parameters()}, 'never moved: ' + ', '.join({k for k, _ in model.named_parameters()} - moved)
    return before, now()

def same_after_loading(a, b, images, tmp_path):
    "Weights of a, loaded into b, make b do the same."
    a.eval(), b.eval()
    with torch.no_grad():
        assert not torch.allclose(a(images), b(images), atol=1e-4)
        save_weights(tmp_path/'a.safetensors', a, {'decoder': type(a.decoder).__name__})
        assert load_weights(b, tmp_path/'a.safetensors')['decoder'] == type(a.decoder).__name__
        assert torch.equal(a(images), b(images))

def test_the_published_names_are_there():
    assert set(ENCODERS) <= set(Encoder.known) and set(DECODERS) <= set(Decoder.known)
    assert set(Decoder.known) - set(DECODERS) == set(), 'a decoder that nothing here tries'

@pytest.mark.parametrize('cls', MODELS)
@pytest.mark.parametrize('name', DECODERS)
def test_a_decoder_learns_and_is_kept(name, cls, tmp_path):
    a = model(cls, name)
    before, after = learn(a, digits, 40, .01)
    assert after < .97*before, f'loss {before} before, {after} after'
    same_after_loading(a, model(cls, name, seed=1), digits, tmp_path)

@pytest.mark.parametrize('cls', MODELS)
@pytest.mark.parametrize('name', ENCODERS)
def test_an_encoder_learns_and_is_kept(name, cls, tmp_path):
    size = (16, 16)
    images = F.interpolate(digits[:4], size, mode='bilinear')
    a = model(cls, 'SinglePassSimpleLineDecoder', size=size, encoder=name)
    before, after = learn(a, images, 6, .0003 if name == 'StrokeNetEncoder' else .003)         # the deepest one wants small steps
    assert after < .99*before, f'loss {before} before, {after} after'
    same_after_loading(a, model(cls, 'SinglePassSimpleLineDecoder', seed=1, size=size, encoder=name), images, tmp_path)

def test_weights_of_one_decoder_do_not_fit_another(tmp_path):
    save_weights(tmp_path/'a.safetensors', model(AutoEncoder, 'SinglePassPolyLineDecoder'), {})
    with pytest.raises(ValueError, match='another architecture.*to_points'): load_weights(model(AutoEncoder, 'SinglePassPolyLineDecoder', npoints=5), tmp_path/'a.safetensors')
    with pytest.raises(ValueError, match='another architecture'): load_weights(model(AutoEncoder, 'RNNBezierDecoder'), tmp_path/'a.safetensors')

@pytest.mark.parametrize('name', DECODERS)
@pytest.mark.parametrize('size, channels, batch, contrast', [((9, 13), 1, 1, 1.), ((16, 11), 3, 2, 1.), ((7, 7), 1, 3, .6)])
def test_scenes_are_the_negative_of_the_drawing(name, size, channels, batch, contrast):
    d = decoder(name, size, channels, contrast=contrast).eval()
    with torch.no_grad():
        drawing = d.strokes(2*torch.randn(batch, 5))
        images, scenes = drawing.draw(), drawing.scenes()
    assert images.shape == (batch, channels, *size) and len(scenes) == batch
    assert images.min() >= 0 and images.max() <= contrast and images.flatten(1).amax(1).min() > .2*contrast       # something is drawn
    for scene, image in zip(scenes, images): torch.testing.assert_close(scene.draw().expand(3, -1, -1), 1 - image.expand(3, -1, -1), atol=2e-5, rtol=0)
    torch.testing.assert_close(replace(drawing, canvas=None).draw('dense'), images, atol=2e-5, rtol=0)              # by the reference, and all steps at once

@pytest.mark.parametrize('name', DECODERS)
@given(size=st.tuples(st.integers(2, 14), st.integers(2, 14)), batch=st.integers(1, 4), channels=st.sampled_from([1, 3]), latent=st.integers(1, 6))
@settings(max_examples=4, deadline=None)
def test_images_of_a_batch_do_not_know_of_each_other(name, size, batch, channels, latent):
    d = decoder(name, size, channels, latent).eval()
    z = torch.randn(batch, latent)
    with torch.no_grad():
        together, drawing = d(z), d.strokes(z)
        for i in range(batch): torch.testing.assert_close(d(z[i:i+1])[0], together[i], atol=1e-5, rtol=0)
    bound = torch.tensor([1., (size[1]-1)/(size[0]-1)])
    free = 'Shapes' in name or name in ('SinglePassSimpleBezierDecoder', 'SinglePassBezierConnectDecoder')          # bent circles and mirrored controls may leave the canvas
    assert free or bool((drawing.params.abs() <= bound + 1e-5).all())

@pytest.mark.parametrize('name', [o for o in DECODERS if 'Masked' not in o])                 # a switch has no derivative, see below
def test_gradients_are_the_numerical_ones(name):
    d = decoder(name, (5, 6), 3 if 'Coloured' in name else 1, latent=3).double()
    d.sigma2 = .1
    torch.manual_seed(1)
    z = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert d(z).dtype == torch.float64
    assert torch.autograd.gradcheck(d, z, atol=1e-6)

def test_a_hard_connection_has_the_gradient_of_its_effect():
    "An image is linear in the strength of one connection, so its gradient is what switching it would do."
    hard = decoder('SinglePassPolyConnectDecoder', hard=True)
    z = torch.randn(1, 5)
    d = hard.strokes(z)
    assert set(d.ink.unique().tolist()) == {0., 1.}
    p = hard.to_weights(hard.hidden(z)).sigmoid().detach()[0]
    d.draw().sum().backward()
    for n in range(d.ink.shape[1]):
        on, off = (replace(d, ink=d.ink.detach().index_fill(1, torch.tensor([n]), v)).draw().sum() for v in (1., 0.))
        torch.testing.assert_close(hard.to_weights.bias.grad[n], (on - off).detach() * p[n] * (1 - p[n]), rtol=1e-3, atol=1e-4)

@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
@settings(max_examples=50, deadline=None)
def test_straight_through_decides_and_passes_on(values):
    p = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    out = straight_through(p)
    torch.testing.assert_close(out, (p > .5).double(), atol=1e-12, rtol=0)
    assert torch.autograd.grad(out.sum(), p)[0].eq(1).all()

def test_recurrent_connections_heed_hard_and_contrast():
    z = torch.randn(2, 5)
    full, half = (decoder('RecurrentPolyConnectDecoder', hard=True, contrast=c) for c in (1., .5))
    assert set(full.strokes(z).ink.unique().tolist()) <= {0., 1.}
    torch.testing.assert_close(half(z), full(z)*.5)                     # the same weights, since the same seed

def test_a_recurrent_decoder_looks_at_its_canvas():
    class _Blind(SimpleMLPEncoder):
        def forward(self, images): return torch.zeros(len(images), self.outputs)
    z, size = torch.randn(2, 5), (8, 8)
    blind = RecurrentSimpleLineDecoder(5, size, 1, steps=3, nlines=3, canvas_encoder=_Blind(size, 1, 5)).strokes(z).params.unflatten(1, (3, 3))
    seeing = decoder('RecurrentSimpleLineDecoder', steps=3).strokes(z).params.unflatten(1, (3, 3))
    assert torch.equal(blind[:, 0], blind[:, 1]) and torch.equal(blind[:, 0], blind[:, 2])       # always the same step
    assert not torch.allclose(seeing[:, 0], seeing[:, 1], atol=1e-4)

class _ColouredMasked(Coloured, SinglePassMaskedLineDecoder): "Coloured lines with switches."
class _MaskedColoured(Masked, SinglePassColouredLineDecoder): "The other way round."
class _RecurrentMasked(Recurrent, SinglePassMaskedLineDecoder): "Lines with switches, step by step."
class _ConnectMasked(Masked, SinglePassPolyConnectDecoder): "Connections with switches."

@pytest.mark.parametrize('cls', [_ColouredMasked, _MaskedColoured, _RecurrentMasked, _ConnectMasked])
@pytest.mark.parametrize('channels', [1, 3])
def test_mixins_on_mixins(cls, channels):
    own = {Coloured: set(), Masked: {'stroke_cost'}, Recurrent: {'steps'}}
    assert set().union(*(v for k, v in own.items() if issubclass(cls, k)), {'contrast', 'decoder_hidden'}) <= set(options(cls))
    torch.manual_seed(0)
    m = AutoEncoder(SimpleMLPEncoder((8, 8), channels, 5), build(cls, dict(stroke_cost=1e-4), latent_size=5, size=(8, 8), channels=channels))
    images = digits.expand(-1, channels, -1, -1)
    before, after = learn(m, images, 25, .01)
    assert after < .95*before
    with torch.no_grad():
        torch.nn.init.constant_(m.decoder.to_worth.bias, -1e3)           # all off
        drawing = m.decoder.strokes(m.encode(images))
        assert not drawing.draw().any() and [len(s) for s in drawing.scenes()] == [0]*len(images)
        assert m.decoder.cost(drawing) == 0

def test_switches_save_strokes_and_not_the_drawing():
    lines, errors, spread = [], [], digits.sub(digits.mean(0)).square().mean().item()
    for cost in (0., .005, .02):
        m = model(AutoEncoder, 'SinglePassMaskedLineDecoder', nlines=8, stroke_cost=cost)
        m.decoder.sigma2 = .06
        learn(m, digits, 250, .01)
        lines.append((m.decoder.strokes(m.encode(digits)).ink > 0).sum(1))
        errors.append(F.mse_loss(m(digits), digits).item())
    n = [o.sum().item() for o in lines]
    assert n[0] > n[1] > n[2] > 0 and errors[0] < errors[1] < errors[2], (n, errors)
    assert lines[1].min() < lines[1].max() and errors[1] < .5*spread, (lines, errors)       # drawings of different length

def test_shapes_begin_as_circles():
    "Whatever the latent: knots and controls are those of circles, side by side, a quarter of the canvas in all; and one shape begins in the middle."
    for n, segments, smooth in ((1, 2, True), (4, 3, False), (7, 4, True)):
        d = build(SinglePassShapesDecoder, dict(nshapes=n, segments=segments, smooth=smooth), latent_size=5, size=(64, 64), channels=1)
        drawing = d.strokes(torch.randn(3, 5))
        assert drawing.kind == 'shapes' and drawing.params.shape == (3, n, 3*segments, 2)
        knots = drawing.params[:, :, ::3]
        r = (knots - knots.mean(2, keepdim=True)).norm(dim=-1)
        torch.testing.assert_close(r, r[..., :1].expand_as(r), atol=1e-5, rtol=0)
        for x in (d.to_middles, d.to_radii): torch.nn.init.zeros_(x.weight)
        drawing = d.strokes(torch.zeros(1, 5))
        knots = drawing.params[0, :, ::3]
        middles, r = knots.mean(1), (knots[:, 0] - knots.mean(1)).norm(dim=-1)
        torch.testing.assert_close(n*torch.pi*r**2, torch.ones(n), atol=1e-4, rtol=0)
        if n == 1: assert middles.abs().max() < 1e-6

@pytest.mark.parametrize('smooth', [True, False])
def test_smooth_outlines_have_no_corners(smooth):
    d = build(SinglePassShapesDecoder, dict(smooth=smooth), latent_size=5, size=(8, 8), channels=1)
    torch.nn.init.normal_(d.to_bends.weight)
    p = d.strokes(torch.randn(2, 5)).params
    before, after = p - p.roll(1, 2), p.roll(-1, 2) - p                   # at each point, from the last and to the next
    assert torch.allclose(before[:, :, ::3], after[:, :, ::3], atol=1e-5) == smooth

def test_a_shape_is_saved_as_a_fill():
    d = decoder('SinglePassShapesDecoder', (16, 16))
    torch.nn.init.normal_(d.to_bends.weight, std=.05)
    scene = d.strokes(torch.randn(1, 5)).scenes()[0]
    again = Scene.from_svg(scene.to_svg('plain'))
    assert [g.kind for g in again.groups] == ['shapes'] and len(again) == 3 and again.groups[0].rule == 'nonzero'
    read, was = (o.params.detach().flatten(1) for o in (again.groups[0], scene.groups[0]))
    assert torch.cdist(read, was).amin(1).max() < 2e-3                    # ink has no order

def test_drawings_of_filled_kinds_are_filled():
    "Also of those that are no network's: a large triangle is full of ink, and its scene's negative."
    for kind, params in (('polygons', [[-.8, -.8], [.8, -.8], [0., .9]]), ('shapes', [[-.8, -.8], [-.3, -.8], [.3, -.8], [.8, -.8], [.5, -.2], [.3, .4], [0., .9], [-.3, .4], [-.5, -.2]])):
        d = Drawing(kind, torch.tensor(params)[None, None], (16, 16), .01, chords=3)
        image = d.draw()
        assert image[0, 0, 7, 6] > .99
        torch.testing.assert_close(d.scenes()[0].draw(), 1 - image[0], atol=1e-6, rtol=0)

WRONG = [('SinglePassSimpleLineDecoder', dict(nlines=0), 'nlines 0 must be a whole number of 1 or more'), ('SinglePassSimpleLineDecoder', dict(nlines=2.5), 'nlines 2.5'),
         ('SinglePassPolyLineDecoder', dict(npoints=1), 'npoints 1 must be a whole number of 2 or more'), ('SinglePassCRSDecoder', dict(npoints=3), 'npoints 3 .* 4 or more'),
         ('SinglePassCRSDecoder', dict(edt_approximation='x'), "edt_approximation 'x' is not one of polyline, bruteforce"), ('SinglePassSimpleBezierDecoder', dict(segments=0), 'segments 0'),
         ('SinglePassPolyConnectDecoder', dict(npoints=1, allowPoints=False), 'npoints 1 .* 2 or more'), ('RecurrentPolyLineDecoder', dict(steps=0), 'steps 0'),
         ('RNNBezierDecoder', dict(steps=-1), 'steps -1'), ('SinglePassMaskedLineDecoder', dict(stroke_cost=-1.), 'stroke_cost -1.0 must be 0 or more'),
         ('SinglePassMaskedLineDecoder', dict(stroke_cost=float('nan')), 'stroke_cost nan'), ('SinglePassPointsDecoder', dict(decoder_hidden=0), 'decoder_hidden 0'),
         ('SinglePassPointsDecoder', dict(decoder_hidden2=0), 'decoder_hidden2 0'), ('RNNBezierDecoder', dict(contrast=0.), 'contrast 0.0 must be above 0'),
         ('SinglePassShapesDecoder', dict(nshapes=0), 'nshapes 0 must be a whole number of 1 or more'), ('SinglePassShapesDecoder', dict(segments=1), 'segments 1 .* 2 or more'),
         ('SinglePassShapesDecoder', dict(bend=0.), 'bend 0.0 must be above 0, in radii'), ('SinglePassShapesDecoder', dict(bend=float('nan')), 'bend nan'),
         ('SinglePassShapesDecoder', dict(chords=1), 'chords 1 .* 2 or more'), ('SinglePassShapesDecoder', dict(decoder_hidden=0), 'decoder_hidden 0'),
         ('SinglePassPointsDecoder', dict(nlines=3), 'SinglePassPointsDecoder has no option nlines: expected one of npoints')]

@pytest.mark.parametrize('name, flags, says', WRONG)
def test_wrong_options_are_named(name, flags, says):
    with pytest.raises(ValueError, match=says): decoder(name, **flags)

@pytest.mark.parametrize('name', DECODERS)
def test_wrong_canvases_and_latents_are_named(name):
    with pytest.raises(ValueError, match='channels 2 must be 1 for grey or 3 for colour'): decoder(name, channels=2)
    with pytest.raises(ValueError, match=r'size \(8,\) must be \(height, width\)'): decoder(name, (8,))
    with pytest.raises(ValueError, match='a side of the images 1'): decoder(name, (8, 1))
    with pytest.raises(ValueError, match='latent_size 0'): decoder(name, latent=0)
    with pytest.raises(ValueError, match=r'latents have shape \(2, 4\), expected \[B, 5\]'): decoder(name)(torch.zeros(2, 4))

@pytest.mark.parametrize('name', ENCODERS)
def test_wrong_images_are_named(name):
    cls = Encoder.find(name)
    for size, channels, outputs, says in [((8,), 1, 4, 'size'), ((16, 16), 0, 4, 'channels 0'), ((16, 16), 1, 0, 'outputs 0')]:
        with pytest.raises(ValueError, match=says): cls(size, channels, outputs)
    m = AutoEncoder(cls((16, 16), 1, 5), decoder('SinglePassSimpleLineDecoder', (16, 16)))
    for shape in [(2, 3, 16, 16), (2, 1, 16, 15), (1, 16, 16)]:
        with pytest.raises(ValueError, match=r'images have shape .* expected \[B, 1, 16, 16\]'): m(torch.zeros(shape))

@pytest.mark.parametrize('name', ENCODERS)
@pytest.mark.parametrize('size, channels', [((17, 23), 3), ((40, 16), 1)])
def test_encoders_take_any_shape_of_image(name, size, channels):
    e = Encoder.find(name)(size, channels, 7).eval()
    torch.manual_seed(0)
    images = torch.rand(2, channels, *size)
    with torch.no_grad(): out, one = e(images), e(images[:1])
    assert out.shape == (2, 7) and torch.isfinite(out).all() and (out < 0).any()
    torch.testing.assert_close(one[0], out[0], atol=1e-5, rtol=1e-4)

def other(value):
    "A valid value that is not the default, and the flag's arguments for it."
    if isinstance(value, bool): return not value
    if value == 'polyline': return 'bruteforce'
    return value + 1

@pytest.mark.parametrize('name', [*DECODERS, *ENCODERS])
def test_options_are_flags(name):
    family, flag = (Decoder, 'decoder') if name in DECODERS else (Encoder, 'encoder')
    cls, docs = family.find(name), docments(family.find(name))
    argv = [f'--{flag}', name]
    for k, p in options(cls).items():
        v, f = other(p.default), '--' + k.replace('_', '-')
        argv += [f if v else '--no-' + f[2:]] if isinstance(v, bool) else [f, str(v)]
        assert docs[k], f'{k} of {name} has no help'
    parser = argparse.ArgumentParser(allow_abbrev=False)
    assert add_class_flags(parser, argv, **{flag: family}) == {flag: cls}
    got = flags_of(parser.parse_args(argv), cls)
    assert got == {k: other(p.default) for k, p in options(cls).items()}
    plain = flags_of(parser.parse_args(argv[:2]), cls)
    assert plain == {k: p.default for k, p in options(cls).items()}
    assert isinstance(build(cls, got, size=(16, 16), channels=1, latent_size=3, outputs=3), cls)
    text = ' '.join(parser.format_help().split())
    for k in options(cls): assert ' '.join(docs[k].split()) in text, f'{k} of {name} is not explained'
