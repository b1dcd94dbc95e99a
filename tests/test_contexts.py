"""Whatever mode PyTorch is in, every export, film and measurement answers the same, and changes nothing of the caller's."""
import inspect
from contextlib import contextmanager, nullcontext
import numpy as np
import pytest
import torch
import dsketch_nb.browser, dsketch_nb.svg
from dsketch_nb import animation, placement, plotter, poster, scene as scene_module, sharp, vectors
from dsketch_nb.scene import KINDS, Group, Kind, Scene

@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try: yield
    finally: torch.set_default_dtype(before)

@contextmanager
def default_device(device):
    torch.set_default_device(device)
    try: yield
    finally: torch.set_default_device(None)

CONTEXTS = {'no_grad': torch.no_grad, 'inference_mode': torch.inference_mode, 'device meta': lambda: default_device('meta'), 'float64': lambda: default_dtype(torch.float64), 'float16': lambda: default_dtype(torch.float16)}

def drawing(compose='paint', kinds=('segments', 'points', 'catmull_roms')):
    "A few strokes of each kind; opacities drifted a little, as an optimiser leaves them."
    g, s = torch.Generator('cpu').manual_seed(2), Scene(12, 15, compose, '#fff0e0')
    rand = lambda *size: torch.rand(*size, generator=g, dtype=torch.float32, device='cpu')
    for kind in kinds:
        params = KINDS[kind]().random(3, torch.tensor([1., 1.2], dtype=torch.float32, device='cpu'), g)
        s.add(kind, params, None if compose == 'softor' else rand(3, 3), (1.5*s.pitch)**2, rand(3)*.5 + .4)
    with torch.no_grad(): s.groups[0].alpha += .01
    return s

def picture(): return torch.linspace(0, 1, 3*12*15, dtype=torch.float32, device='cpu').view(3, 12, 15)
def generator(): return torch.Generator('cpu').manual_seed(0)
def numbers(x): return x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else x
def written(f):
    "What a function that writes a file writes."
    def call(s, tmp):
        f(s, tmp)
        return next(tmp.iterdir()).read_bytes()
    return call
def frames(s, tmp): return [np.asarray(f) for f in s.film(.5, fps=6)]
def state(s): return [numbers(p) for p in s.parameters()]

def filled():
    "A ring and a shape, whatever the default device and type are."
    f64 = dict(dtype=torch.float64, device='cpu')
    ring = torch.tensor([[[-.8, -.8], [-.8, .8], [.8, .8], [.8, -.8]], [[-.3, -.3], [.3, -.3], [.3, .3], [-.3, .3]]], **f64)
    scene = Scene(4, 5, 'paint').add('polygons', ring, 'red', paths=[0, 2])
    return scene.add('shapes', KINDS['shapes']().ring(torch.zeros(1, 2, **f64), torch.full((1, 2), .3, **f64)), 'navy')

CALLS = {
 'scene.Group.outlines_of': lambda s, _: [numbers(filled().draw()), filled().to_svg(), Scene.from_strokes(filled().strokes(), 4, 5).to_svg(), numbers(filled().groups[0].outlines_of(torch.ones(1, dtype=torch.bool, device='cpu'))[0])],
 'kinds.Kind.ring': lambda s, _: [numbers(k().ring(*s.groups[0].params.detach().unbind(1))) for k in KINDS.values()], 'placement.start_length': lambda s, _: placement.start_length('shapes', picture(), 5),
 'scene.Scene.draw': lambda s, _: numbers(s.draw()), 'scene.Scene.forward': lambda s, _: numbers(s((24, 30))), 'scene.Scene.copy': lambda s, _: state(s.copy()),
 'vectors.Scene.strokes': lambda s, _: s.strokes(), 'vectors.Scene.from_strokes': lambda s, _: Scene.from_strokes(s.strokes(), *s.size, s.compose, s.paper).to_svg(),
 'vectors.Scene.marks': lambda s, _: s.marks('soft'), 'scene.Scene.merged': lambda s, _: [numbers(x) for x in s.merged()], 'scene.Scene.view': lambda s, _: s.view(30),
 'vectors.Scene.page': lambda s, _: s.page(svg_width='3in'), 'vectors.svg_opening': lambda s, _: vectors.svg_opening(s, s.page()),
 'vectors.multiplies': lambda s, _: vectors.multiplies(s, s.marks()), 'vectors.mark_attributes': lambda s, _: [vectors.mark_attributes(m) for m in s.marks()],
 'vectors.Scene.to_svg': lambda s, _: [s.to_svg(p) for p in vectors.PROFILES] + [s.to_svg(svg_width='80mm', transparent=True)],
 'vectors.Scene.to_pdf': lambda s, _: [s.to_pdf(p) for p in vectors.PROFILES] + [s.to_pdf(transparent=True)],
 'scene.Scene.image': lambda s, _: [np.asarray(s.image(size, transparent)) for size in (None, 30) for transparent in (False, True)],
 'scene.Scene.save': written(lambda s, tmp: s.save(tmp/'a.safetensors')), 'scene.Scene.save_png': written(lambda s, tmp: s.save_png(tmp/'a.png')),
 'vectors.Scene.save_svg': written(lambda s, tmp: s.save_svg(tmp/'a.svg')), 'vectors.Scene.save_pdf': written(lambda s, tmp: s.save_pdf(tmp/'a.pdf')),
 'scene.Scene.load': lambda s, tmp: (s.save(tmp/'a.safetensors'), state(Scene.load(tmp/'a.safetensors')))[1], 'scene.Scene.add': lambda s, _: state(drawing()),
 'scene.Scene': lambda s, _: [Scene(4, 5, paper=.5).to_svg(), numbers(Scene(4, 5, paper='red').draw())], 'scene.Group': lambda s, _: state(Group('points', [[.1, .2]], [.1, .2, .3], .01, .5).float()),
 'scene.Group.vertices': lambda s, _: [numbers(g.vertices()) for g in s.groups], 'scene.Group.path': lambda s, _: [numbers(g.path()) for g in s.groups],
 'scene.Group.choose_chords': lambda s, _: [g.choose_chords(.01) for g in s.groups], 'vectors.Scene._repr_mimebundle_': lambda s, _: s._repr_mimebundle_(),
 'kinds.Kind.random': lambda s, _: [numbers(k().random(3, placement.half_extent(4, 5), generator())) for k in KINDS.values()],
 'kinds.Kind.along': lambda s, _: [numbers(k().along(*s.groups[0].params.detach().unbind(1))) for k in KINDS.values()], 'kinds.Kind.within': lambda s, _: numbers(Kind().within(s.groups[0].params, placement.half_extent(4, 5)/2)), 'kinds.Kind.scaled': lambda s, _: numbers(Kind().scaled(s.groups[0].params, 2.)),
 'sharp.sharpened': lambda s, _: state(sharp.sharpened(s, 5)),
 'placement.removal_cost': lambda s, _: [numbers(c) for c in placement.removal_cost(s, picture(), generator())], 'placement.half_extent': lambda s, _: numbers(placement.half_extent(4, 5)),
 'placement.image_gradient': lambda s, _: numbers(placement.image_gradient(picture())), 'placement.structure_tensor': lambda s, _: numbers(placement.structure_tensor(picture())),
 'placement.edge_direction': lambda s, _: numbers(placement.edge_direction(picture())), 'placement.sample_pixels': lambda s, _: numbers(placement.sample_pixels(picture()[0], 5, generator())),
 'placement.strokes_along': lambda s, _: [numbers(x) for x in placement.strokes_along('beziers', 5, picture(), picture()[0], generator())],
 'placement.random_params': lambda s, _: numbers(placement.random_params('catmull_roms', 4, placement.half_extent(4, 5), generator())),
 'placement.random_scene': lambda s, _: [state(placement.random_scene(12, 15, lines=3, crs=2, colour=True, like=like)) for like in (None, picture())],
 'animation.importance': lambda s, _: numbers(animation.importance(s)), 'animation.by_elimination': lambda s, _: numbers(animation.by_elimination(s)),
 'animation.stroke_order': lambda s, _: [numbers(animation.stroke_order(s, o)) for o in ('drawing', list(range(9)))], 'animation.Scene.film': frames,
 'animation.Scene.to_animated_svg': lambda s, _: s.to_animated_svg(profile='fitted'), 'animation.Scene.drawn_until': lambda s, _: s.drawn_until(picture()[0].flatten()[:9]*5).to_svg(),
 'animation.Scene.save_animation': written(lambda s, tmp: s.save_animation(tmp/'a.gif', .5, fps=6)), 'animation.save_film': written(lambda s, tmp: animation.save_film([s.draw(), s.draw()], tmp/'a.webp')),
 'animation.cut_polylines': lambda s, _: numbers(animation.cut_polylines(s.groups[0].vertices(), picture()[0, 0, :3])),
 'plotter.plot_svg': lambda s, _: plotter.plot_svg(s), 'plotter.save_plot': written(lambda s, tmp: plotter.save_plot(s, tmp/'a.svg')), 'browser.Scene.to_html': lambda s, _: s.to_html(title='a'), 'browser.Scene.save_html': written(lambda s, tmp: s.save_html(tmp/'a.html')),
 'svg.Scene.from_svg': lambda s, _: state(Scene.from_svg(s.to_svg())),
 'poster.poster': lambda s, _: [state(poster.poster(s, c)) for c in (3, ['navy', 'wheat'])], 'poster.palette_of': lambda s, _: numbers(poster.palette_of(picture(), 3)), 'poster.colouring_sheet': lambda s, _: poster.colouring_sheet(s, 3, 60, 5),
}
# neither tensors nor scenes go in or come out, or they are checked through those that call them
PLAIN = {'poster.Flat', 'poster.nearest_colour', 'poster.flat_regions', 'kinds.Kind', 'scene.Points', 'scene.Segments', 'scene.Polylines', 'scene.Beziers', 'scene.CatmullRoms', 'vectors.Stroke', 'vectors.Mark', 'scene.Merged', 'vectors.Page', 'vectors.Profile',
         'vectors.plain_profile', 'vectors.soft_profile', 'vectors.svg_number', 'vectors.svg_path', 'vectors.svg_attributes', 'scene.hex_colour', 'sharp.closest_profile',
         'placement.start_points', 'placement.redrawable', 'placement.check_counts', 'animation.check_film', 'plotter.pen_lines', 'plotter.shortest_path', 'plotter.join_lines', 'plotter.travel'}

def test_the_matrix_is_complete():
    "Every public function of these rooms, and every method that they give to scenes, groups and kinds."
    found = {f'{m.__name__.split(".")[-1]}.{k}' for m in (scene_module, vectors, sharp, placement, animation, poster) for k in m.__all__ if callable(getattr(m, k))}
    for cls in (Scene, Group, Kind):
        for k, f in vars(cls).items():
            f = getattr(f, '__func__', f)
            if inspect.isfunction(f) and (not k.startswith('_') or k == '_repr_mimebundle_') and k not in ('size', 'extra_repr', 'fits', 'count', 'curved'):
                owner = inspect.unwrap(f).__module__.split('.')[-1]
                if f'{owner}.{cls.__name__}.{k}' not in ('kinds.Kind.vertices', 'kinds.Kind.path', 'kinds.Kind.find'): found.add(f'{owner}.{cls.__name__}.{k}')
    assert not found - CALLS.keys() - PLAIN, found - CALLS.keys() - PLAIN

def same(a, b):
    "Equal, however deep."
    if isinstance(a, (list, tuple)): return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict): return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray): return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-6)
    return a == b

_plain = {}
def plainly(name, tmp):
    "What a call answers where nothing is set."
    if name not in _plain:
        tmp.mkdir()
        _plain[name] = CALLS[name](drawing(), tmp)
    return _plain[name]

@pytest.mark.parametrize('context', CONTEXTS)
def test_same_everywhere(context, tmp_path):
    wrong = {}
    for i, (name, call) in enumerate(CALLS.items()):
        want = plainly(name, tmp_path/f'{i}-plain')
        for where, made in (('outside', nullcontext), ('inside', CONTEXTS[context])):
            with made(): s = drawing()
            flags, before, numbers_before = [p.requires_grad for p in s.parameters()], {k: v.clone() for k, v in s.state_dict().items()}, torch.get_rng_state()
            chords = [g.chords for g in s.groups]
            (folder := tmp_path/f'{i}-{where}').mkdir()
            try:
                with CONTEXTS[context](): got = call(s, folder)
            except Exception as e: wrong[name, where] = f'{type(e).__name__}: {e}'
            else:
                if not same(want, got): wrong[name, where] = 'another answer'
            after = s.state_dict()
            if flags != [p.requires_grad for p in s.parameters()] or any(p.grad is not None for p in s.parameters()): wrong[name, where, 'flags'] = 'the scene learns otherwise now'
            if before.keys() != after.keys() or any(not torch.equal(before[k], after[k]) for k in before): wrong[name, where, 'values'] = 'the scene was changed'
            if 'choose' not in name and chords != [g.chords for g in s.groups]: wrong[name, where, 'chords'] = 'the scene was changed'
            if not torch.equal(numbers_before, torch.get_rng_state()): wrong[name, where, 'random'] = "the caller's random numbers were drawn"
    assert not wrong, wrong

@pytest.mark.parametrize('compose', ['ink', 'softor'])
def test_ink_without_gradients(compose, tmp_path):
    "The other ways to compose, under no_grad and in inference mode."
    s = drawing(compose)
    want = s.to_animated_svg(), s.to_svg('fitted')
    for context in (torch.no_grad, torch.inference_mode):
        with context(): assert (s.to_animated_svg(), s.to_svg('fitted')) == want

def test_learning_goes_on_after_exports():
    "An export in inference mode leaves nothing behind that autograd would refuse."
    with torch.inference_mode():
        drawing().to_svg('fitted'), drawing().draw()
    s = drawing()
    s.draw().sum().backward()
    assert all(torch.isfinite(g.params.grad).all() for g in s.groups)

def test_no_double_precision_on_the_device(monkeypatch):
    "Some devices (MPS) have no float64: a tensor is brought to the CPU before it is made double. Here any other device stands in."
    class Elsewhere(torch.Tensor):
        "A tensor that knows float32 only, until it is on the CPU."
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func is torch.Tensor.cpu: return args[0].as_subclass(torch.Tensor)
            if func is torch.Tensor.double or any(a is torch.float64 for a in (*args, *(kwargs or {}).values())): raise TypeError('no float64 on this device')
            return super().__torch_function__(func, types, args, kwargs)
    s = drawing('ink')
    want = s.to_svg(), s.to_pdf()
    for g in s.groups:
        for k, p in list(g.named_parameters()):
            del g._parameters[k]
            setattr(g, k, p.detach().as_subclass(Elsewhere))
    assert (s.to_svg(), s.to_pdf()) == want
    weight = picture()[0].as_subclass(Elsewhere)
    assert torch.equal(placement.sample_pixels(weight, 5, generator()), placement.sample_pixels(picture()[0], 5, generator()))
