"""Every public function with input that it was not made for: the right answer, or an error that names what is wrong.

`CASES` holds a call that is fine for each public name, and each argument is then spoiled in every way that suits its kind. A new public function
without a case, or without a reason in `ELSEWHERE`, fails `test_nothing_public_is_left_out`. DSKETCH_LONG=1 also spoils two arguments at a time, by lot."""
import dataclasses, importlib, inspect, io, math, os, pkgutil, random, re, signal, warnings
from contextlib import redirect_stderr, redirect_stdout
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest, torch
from PIL import Image
from torch import Tensor, nn

import dsketch_nb
from dsketch_nb import animation, classifiers, data, decoders, drawing_pad, encoders, experiments, from_paper, imageopt, imageopt_command, losses, optimise, pictures, placement, raster, samples, schedules, shape_decoders, training
from dsketch_nb import poster as _poster
from dsketch_nb.autoencoders import AutoEncoder, Decoder, Drawing, VariationalAutoEncoder
from dsketch_nb.perceptual import MissingWeights
from dsketch_nb.scene import Group, Scene

LONG = bool(os.environ.get('DSKETCH_LONG'))
g = torch.Generator().manual_seed(0)
def T(*shape): return torch.rand(*shape, generator=g)
def P(*shape): return T(*shape)*1.6 - .8                              # positions
def scene(n=3, compose='ink', alpha=1.): return Scene(8, 9, compose).add('segments', P(n, 2, 2), T(n, 3), .05, alpha)
def grid(): return raster.pixel_grid(5, 6)
def model(kind=AutoEncoder): return kind(encoders.SimpleMLPEncoder((8, 9), 1, 4*kind.numbers_per_latent), decoders.SinglePassSimpleLineDecoder(4, (8, 9), 1))
def reader(): return classifiers.MNISTBetterCNN((8, 9), 1, 4)
def split(n=6): return data.Split(T(n, 1, 8, 9), torch.arange(n) % 3)
def generator(): return torch.Generator().manual_seed(1)
def labels(): return torch.tensor([0, 1, 2, 1])

class Case:
    "A call that is fine. `passes`: plain tensor formulas, in which NaN and infinity mean what they mean to PyTorch; `free`: arguments that are not spoiled."
    def __init__(self, f_=None, passes=False, free=(), **args): f = f_; self.f, self.passes, self.free, self.args = f, passes, free, args

lesson = partial(Case, passes=True)
def of(make, name): return lambda **kw: getattr(make(), name)(**kw)
def curve(n): return lesson(params=P(3, n, 2), t=T(5, 1))
def pair(**kw): return lesson(input=T(2, 3, 8, 9), target=T(2, 3, 8, 9), **kw)

CASES = {
 'raster.pixel_pitch': Case(lambda shape: raster.pixel_pitch(*shape), shape=(4, 5)), 'raster.pixel_grid': Case(lambda shape, pitch: raster.pixel_grid(*shape, pitch=pitch), shape=(4, 5), pitch=.5),
 'raster.point_edt2': lesson(points=P(3, 2), grid=grid()), 'raster.line_edt2': lesson(lines=P(3, 2, 2), grid=grid()),
 'raster.exp': lesson(d2=T(3, 4, 5), sigma2=.1), 'raster.exp ': lesson(raster.exp, d2=T(3, 4, 5), sigma2=T(3) + .1), 'raster.sigmoid': lesson(d2=T(3, 4, 5), sigma2=.1),
 'raster.nearest_neighbour': lesson(d2=T(3, 4, 5), sigma=.3), 'raster.compute_nearest_neighbour_sigma': lesson(grid=grid()), 'raster.compute_nearest_neighbour_sigma_bres': lesson(grid=grid()),
 'raster.softor': lesson(r=T(2, 3, 4, 5)), 'raster.smoothmax': lesson(r=T(2, 3, 4, 5), temperature=.1), 'raster.over': lesson(r=T(2, 3, 4, 5), colour=T(2, 3, 4, 5)), 'raster.over_recursive': lesson(r=T(2, 3, 4, 5), colour=T(2, 3, 4, 5)),
 'curves.linear_bezier': curve(2), 'curves.quadratic_bezier': curve(3), 'curves.cubic_bezier': curve(4), 'curves.catmull_rom_spline': lesson(params=P(3, 4, 2), t=T(5, 1), alpha=.5),
 'curves.uniform_catmull_rom': curve(4), 'curves.centripetal_catmull_rom': curve(4), 'curves.chordal_catmull_rom': curve(4),
 'curves.curve_to_polyline': lesson(params=P(3, 4, 2), segments=4), 'curves.polyline_edt2': lesson(vertices=P(3, 4, 2), grid=grid()), 'curves.chords_needed': Case(params=P(3, 4, 2), tol=.01),
 'curves.curve_edt2_polyline': lesson(params=P(3, 4, 2), grid=grid(), segments=4), 'curves.curve_edt2_bruteforce': lesson(params=P(3, 4, 2), grid=grid(), iters=2, slices=4),
 'curves.bezier_chain_to_polyline': lesson(params=P(3, 7, 2), segments=4), 'curves.catmull_rom_to_polyline': lesson(params=P(3, 5, 2), segments=4, alpha=.5), 'curves.catmull_rom_to_bezier': lesson(params=P(3, 5, 2), alpha=.5),
 'areas.edge_coverage': lesson(d=T(3, 4), sigma2=.1), 'areas.band_coverage': lesson(d=T(3, 4), width=.2, sigma2=.1), 'areas.fills': lesson(winding=torch.arange(5), rule='evenodd'),
 'areas.as_outlines': Case(outlines=P(4, 2)), 'areas.outline_edges': Case(outlines=P(4, 2)), 'areas.filled_boundary': Case(outlines=P(4, 2), rule='evenodd'), 'areas.winding_number': lesson(outlines=P(4, 2), points=grid()),
 'areas.is_inside': lesson(outlines=P(4, 2), points=grid(), rule='evenodd'), 'areas.signed_distance': lesson(outlines=P(4, 2), grid=grid(), rule='evenodd'), 'areas.area_coverage': lesson(outlines=P(4, 2), grid=grid(), sigma2=.05, rule='evenodd'),
 'areas.exact_area': Case(outlines=P(4, 2), height=5, width=6, rule='evenodd', pitch=.4),
 'draw.draw': Case(vertices=P(3, 2, 2), size=(8, 9), sigma2=.05), 'draw.draw ink': Case(vertices=P(3, 2, 2), size=(8, 9), sigma2=T(3) + .05, colour=T(3, 3), alpha=T(3), compose='ink'),
 'draw.draw paint': Case(vertices=P(2, 3, 4, 2), size=(8, 9), sigma2=.05, colour=T(2, 3, 3), alpha=T(2, 3), compose='paint', background=T(2, 3, 8, 9), pitch=.3, backend='numba'),
 'draw.draw ragged': Case(vertices=P(7, 2), size=(8, 9), sigma2=.05, offsets=torch.tensor([0, 2, 3, 7]), image=torch.tensor([0, 1, 1]), batch=2),
 'draw.draw filled': Case(vertices=P(2, 3, 5, 2), size=(8, 9), sigma2=.05, colour=T(2, 3, 3), compose='paint', fill='evenodd'), 'draw.draw paths': Case(vertices=P(9, 2), size=(8, 9), sigma2=.05, offsets=torch.tensor([0, 3, 5, 9]), paths=torch.tensor([0, 1, 3]), fill='nonzero', image=torch.tensor([0, 1]), batch=2),
 'draw.draw pairs': Case(vertices=P(3, 2, 2), size=(8, 9), sigma2=.05, backend='pairs'), 'draw.draw dense': Case(vertices=P(3, 2, 2), size=(8, 9), sigma2=.05, backend='dense'),
 'scene.Group': Case(kind='segments', params=P(3, 2, 2), colour=T(3, 3), sigma2=.05, alpha=T(3), chords=4), 'scene.Group curves': Case(kind='beziers', params=P(3, 7, 2), sigma2=T(3) + .05),
 'scene.Scene': Case(height=8, width=9, compose='ink', paper=(1., .5, 1.)), 'scene.Scene.add': Case(of(lambda: Scene(8, 9), 'add'), kind='catmull_roms', params=P(3, 4, 2), colour=T(3, 3), sigma2=.05, alpha=.5, chords=4),
 'scene.Scene.draw': Case(of(scene, 'draw'), size=(16, 18)), 'scene.Scene.image': Case(of(scene, 'image'), size=16), 'vectors.Scene.to_svg': Case(of(scene, 'to_svg'), profile='soft', layers=3, scale=2.), 'vectors.Scene.to_pdf': Case(of(scene, 'to_pdf'), profile='plain', layers=3, scale=2.),
 'vectors.Scene.from_strokes': Case(lambda **kw: Scene.from_strokes(scene().strokes(), **kw), height=8, width=9, compose='paint'), 'scene.Group.choose_chords': Case(of(lambda: Group('beziers', P(3, 4, 2), sigma2=.1), 'choose_chords'), tol=.01),
 'scene.Scene.view': Case(of(lambda: Scene(8, 9), 'view'), size=18), 'vectors.Scene.page': Case(of(lambda: Scene(8, 9), 'page'), scale=2.),
 'placement.start_length': Case(kind='shapes', image=T(3, 8, 9), n=4), 'plotter.hatching': Case(outlines=[__import__('numpy').array([[0., 0], [0, 9], [9, 9], [0, 0]])], rule='nonzero', spacing=2., angle=30., free=('outlines',)), 'placement.start_points': Case(kind='beziers', crs_points=2), 'vectors.Scene.marks': Case(of(scene, 'marks'), profile='soft', layers=3, scale=2.), 'animation.by_elimination': Case(lambda **kw: animation.by_elimination(scene(), **kw), rounds=3, probes=2, seed=1),
 'vectors.plain_profile': Case(sigma=1.5), 'vectors.soft_profile': Case(sigma=1.5, layers=4), 'sharp.closest_profile': Case(sigma=1.5), 'sharp.sharpened': Case(lambda iters: __import__('dsketch_nb.sharp').sharp.sharpened(scene(), iters), iters=3),
 'poster.palette_of': Case(picture=T(3, 8, 9), colours=3, seed=1), 'poster.nearest_colour': Case(colour=T(5, 3), palette=T(2, 3)), 'poster.poster': Case(partial(_poster.poster, scene()), colours=3, seed=1), 'poster.poster palette': Case(partial(_poster.poster, scene()), colours=T(3, 3)),
 'poster.Flat': Case(colours=3, seed=1), 'poster.flat_regions': Case(partial(_poster.flat_regions, np.arange(12).reshape(3, 4) % 3), smallest=2), 'poster.colouring_sheet': Case(partial(_poster.colouring_sheet, scene()), colours=3, width=60, smallest=5, seed=1),
 'losses.reduce_error': lesson(err=T(2, 3, 4), reduction='mean'), 'losses.mse_loss': pair(reduction='batchmean'), 'losses.bce_loss': Case(input=T(2, 3, 8, 9), target=T(2, 3, 8, 9), reduction='mean', eps=1e-6),
 'losses.gaussian_taps': Case(sigma=1.5), 'losses.blur': lesson(x=T(2, 3, 8, 9), sigma=1.5, dim=2), 'losses.blurred_mse_loss': pair(sigma=1.5, dim=2, reduction='mean'), 'losses.pyramid_sigmas': Case(octaves=3, intervals=2, init_sigma=.5),
 'losses.gaussian_pyramid': lesson(x=T(2, 3, 8, 9), octaves=3, intervals=2, downsample=True, init_sigma=.5, dim=2), 'losses.dog_pyramid': lesson(x=T(2, 3, 8, 9), octaves=3, intervals=2, init_sigma=.5, dim=2),
 'losses.pyr_mse_loss': pair(octaves=3, intervals=2, init_sigma=.5, dim=2, reduction='mean'), 'losses.dog_pyr_mse_loss': pair(octaves=3, intervals=2, init_sigma=.5, dim=2, reduction='mean'),
 'losses.least_edt2': lesson(strokes=P(3, 2, 2), grid=grid()), 'losses.hard_raster': lesson(strokes=P(3, 2, 2), grid=grid(), sigma=.3), 'losses.chamfer': lesson(input=T(2, 4, 5), target=T(2, 4, 5).round(), reduction='sum'),
 'losses.chamfer_line': lesson(input=P(3, 2, 2), target=P(4, 2, 2), grid=grid(), sigma=.3, reduction='mean'), 'losses.ink_coordinates': lesson(image=T(8, 9), threshold=.5, dim=2), 'losses.mod_hausdorff_distance': lesson(item1=P(4, 2), item2=P(5, 2)),
 'losses.BlurredMSELoss': Case(channels=3, blur_sigma=1.), 'losses.PyrMSELoss': Case(channels=3, octaves=3, intervals=2, init_sigma=.5), 'losses.DoGPyrMSELoss': Case(channels=3, octaves=3, intervals=2, init_sigma=.5),
 **{f'losses.{k} forward': lesson(of(partial(getattr(losses, k), *[3]*more), '__call__'), input=T(2, 3, 8, 9), target=T(2, 3, 8, 9)) for k, more in (('MSELoss', 0), ('BCELoss', 0), ('BlurredMSELoss', 1), ('PyrMSELoss', 1), ('DoGPyrMSELoss', 1))},
 'perceptual.unit_channels': lesson(f=T(2, 3, 4, 5)), 'perceptual.feature_distance': lesson(a=T(2, 3, 4, 5), b=T(2, 3, 4, 5)),
 'placement.image_gradient': lesson(image=T(3, 8, 9)), 'placement.structure_tensor': lesson(image=T(3, 8, 9), sigma=1.5), 'placement.edge_direction': lesson(tensor=T(3, 8, 9)), 'placement.sample_pixels': Case(weight=T(8, 9), n=5, generator=generator, everywhere=.1, free=('generator',)),
 'placement.strokes_along': Case(kind='catmull_roms', n=5, image=T(3, 8, 9), weight=T(8, 9), generator=generator, length=5., crs_points=3, free=('generator',)), 'placement.removal_cost': Case(lambda kept=scene(), **kw: placement.removal_cost(kept, generator=generator(), **kw), target=T(3, 8, 9), probes=2),
 'animation.importance': Case(lambda **kw: __import__('dsketch_nb.animation').animation.importance(scene(), **kw), probes=2, seed=1), 'animation.stroke_order': Case(lambda order: __import__('dsketch_nb.animation').animation.stroke_order(scene(), order), order=torch.tensor([2, 0, 1])),
 'animation.cut_polylines': lesson(vertices=P(3, 4, 2), fraction=T(3)), 'animation.Scene.to_animated_svg': Case(of(scene, 'to_animated_svg'), seconds=2., order='drawing', layers=3, scale=2.), 'animation.Scene.film': Case(lambda **kw: list(scene().film(**kw)), seconds=.2, order='drawing', fps=20., size=(8, 9)),
 'animation.Scene.drawn_until': Case(of(lambda s=scene(): s, 'drawn_until'), fraction=T(3)), 'animation.check_film': Case(path='a.gif'),
 'plotter.pen_lines': Case(lambda **kw: __import__('dsketch_nb.plotter').plotter.pen_lines(scene(), **kw), faintest=.1, pens=('black', 'red')), 'plotter.plot_svg': Case(lambda **kw: __import__('dsketch_nb.plotter').plotter.plot_svg(scene(), **kw), plot_width=100., pen=.4),
 'plotter.joined': Case(lambda within: __import__('dsketch_nb.plotter').plotter.joined([P(3, 2).numpy(), P(2, 2).numpy()], within), within=.1),
 'pictures.load_picture': Case(partial(pictures.load_picture, Image.linear_gradient('L').resize((9, 8))), width=9, max_side=9), 'pictures.upright': Case(partial(pictures.upright, Image.linear_gradient('L')), mode='L', paper='white'),
 'placement.random_scene': Case(height=8, width=9, points=1, lines=2, beziers=1, crs=1, crs_points=3, sigma2=.5, opacity=.5, compose='ink', seed=1), 'placement.random_scene like': Case(placement.random_scene, height=8, width=9, lines=3, like=T(3, 8, 9), colour=True),
 'imageopt.Settings': Case(width=9, max_side=9, points=1, lines=3, beziers=1, crs=1, crs_points=3, compose='ink', paper='white', start='random', iters=3, init_sigma2=.5, final_sigma2=.4, sigma2_factor=.5, sigma2_step=2, sigma2_lr=.1, reseed=.1, colour_lr=.1, opacity=.5, optimiser='Adam', betas=(.9, .95), lr=.01, final_lr=.5, seed=1, device='cpu'),
 'imageopt.imageopt': Case(partial(imageopt.imageopt, Image.linear_gradient('L').resize((9, 8))), loss='BlurredMSELoss', blur_sigma=1., width=9, max_side=9, points=1, lines=3, beziers=1, crs=1, crs_points=3, compose='ink', paper='white', start='edges', iters=3, init_sigma2=.5, final_sigma2=.4, sigma2_factor=.5, sigma2_step=2, reseed=.1, colour_lr=.1, opacity=.5, opt_opacity=True, colour=True, optimiser='Adam', betas=(.9, .95), lr=.01, final_lr=.5, seed=1, device='cpu'),
 'optimise.Sigma2Schedule': Case(init=1., final=.5, factor=.5, step=10), 'optimise.Cosine': Case(final=.5), 'optimise.Frames': Case(n=5), 'imageopt_command.Snapshots': Case(path='x', steps=5), 'optimise.Restarts': Case(sigma2=.5, every=5, seed=1),
 'optimise.Reseed': Case(share=.1, every=5, until=.8, sigma2=1., opacity=.8, seed=1), 'optimise.LearnWidths': Case(lambda **kw: optimise.LearnWidths(scene(), **kw), low=.1, high=3.), 'optimise.Checkpoint': Case(path='x', every=5),
 'live_run.LiveRun': Case(lambda **kw: __import__('dsketch_nb.live_run').live_run.LiveRun(Image.linear_gradient('L').resize((9, 8)), width=9, **kw), sigma2=1., memory=1e6, lines=3, lr=.01, opacity=1., seed=1), 'live_run.Thinned': Case(most=5), 'live_run.change_in_words': lesson(name='lr', value=.1), 'live_run.Runner live_run.change_in_words': Case(lambda **kw: __import__('dsketch_nb.live').live.Runner(None, **kw), fps=15., iters=5),

 'autoencoders.stroke_vertices': lesson(kind='beziers', params=P(2, 3, 4, 2)), 'command.whole_number': Case(n=3, name='n', free=('name',)), 'autoencoders.Encoder': Case(size=(8, 9), channels=1, outputs=4), 'autoencoders.Decoder': Case(latent_size=4, size=(8, 9), channels=1, contrast=1.),
 'autoencoders.Drawing': Case(lambda **kw: Drawing(**kw).draw(), kind='segments', params=P(2, 3, 2, 2), size=(8, 9), sigma2=.05, ink=T(2, 3), contrast=.8), 'autoencoders.AutoEncoder': Case(of(model, '__call__'), images=T(4, 1, 8, 9), passes=True), 'autoencoders.VariationalAutoEncoder': Case(of(partial(model, VariationalAutoEncoder), '__call__'), images=T(4, 1, 8, 9), passes=True),
 'autoencoders.AutoEncoder.decode': Case(of(model, 'decode'), z=T(4, 4), passes=True), 'autoencoders.AutoEncoder.strokes': Case(of(model, 'strokes'), images=T(4, 1, 8, 9), passes=True),
 **{f'encoders.{k}': Case(size=(32, 32), channels=1, outputs=4) for k in ('SimpleMLPEncoder', 'SimpleCNNEncoder', 'Conv2DEncoder', 'BetterCNNEncoder', 'StrokeNetEncoder')},
 **{f"{c.__module__.split('.')[1]}.{k}": Case(latent_size=4, size=(8, 9), **({} if k == 'RNNBezierDecoder' else {}), channels=3 if 'Coloured' in k else 1, **{n: p.default for n, p in inspect.signature(c).parameters.items() if type(p.default) in (int, float, str)},
                                **({'canvas_encoder': encoders.SimpleMLPEncoder((8, 9), 1, 4)} if 'canvas_encoder' in inspect.signature(c).parameters else {}), free=('canvas_encoder',)) for k, c in Decoder.known.items() if c.__module__.startswith('dsketch_nb.')},
 'shape_decoders.spread_out': Case(n=3, reach=.5), 'shape_decoders.closed_outline': lesson(knots=P(2, 4, 2), leave=P(2, 4, 2), reach=P(2, 4, 2)), 'decoders.smooth_joins': lesson(points=P(3, 6, 2)), 'decoders.straight_through': lesson(**{n: v for n, v in zip(inspect.signature(decoders.straight_through).parameters, (P(3, 4), .5))}),
 'data.subset': Case(partial(data.subset, split()), index=torch.tensor([0, 2])), 'data.hold_out': Case(partial(data.hold_out, split()), per_class=1, generator=generator, free=('generator',)), 'data.Split': Case(source=T(4, 1, 8, 9), labels=labels()), 'data.in_memory': Case(pixels=(T(4, 1, 8, 9)*255).byte(), labels=labels(), most=10**6),
 'data.thinned': Case(images=T(4, 1, 8, 9), passes=True), 'data.augmented': lesson(images=T(4, 1, 8, 9), turn=10., shear=.1, scale=.1, shift=.1), 'data.scaled': lesson(images=T(2, 1, 8, 8), digit=12, canvas=20, brightness=.6), 'data.centred': lesson(images=T(4, 1, 8, 9), side=6),
 'data.Digits': Case(dataset_seed=3, valset_size_per_class=2), 'data.Sketches': Case(lambda **kw: data.Sketches(P(5, 2)*50, [2, 3], [1, 1], **kw)[[0, 1]], size=16, stroke_width=2.),
 **{f'classifiers.{k}': Case(size=(32, 32), channels=1, classes=4) for k in ('Classifier', 'MnistCNN', 'ScaledMnistCNN', 'LakeThesisCNN', 'OmniglotCNN', 'MNISTBetterCNN', 'OmniglotBetterCNN')},
 'classifiers.Classifier forward': Case(of(reader, '__call__'), images=T(4, 1, 8, 9), passes=True), 'classifiers.ink_features': lesson(partial(classifiers.ink_features, nn.Sequential(nn.Conv2d(1, 2, 3))), images=T(4, 1, 8, 9)), 'classifiers.classification_loss': Case(partial(classifiers.classification_loss, reader().eval()), images=T(4, 1, 8, 9), labels=labels(), passes=True),
 'classifiers.view': lesson(images=T(4, 1, 8, 9)), 'classifiers.cross_correlation': lesson(a=T(4, 3), b=T(4, 3)), 'classifiers.barlow_loss': lesson(a=T(4, 3), b=T(4, 3), weight=.005), 'classifiers.barlow_twins_loss': Case(partial(classifiers.barlow_twins_loss, reader()), images=T(4, 1, 8, 9), weight=.005, passes=True),
 'classifiers.Training': Case(epochs=2, batch_size=4, learning_rate='0.001', weight_decay=0., optimiser='Adam', momentum=.9, snapshot_epochs=2, num_workers=1, seed=1), 'classifiers.WeightSnapshots': Case(every=3),
 'schedules.Schedule': Case(text='0.001'), 'training.DecoderWidths': Case(init=.01, final=.005, factor=.5, step=2), 'training.take': Case(partial(training.take, split()), indices=[0, 2]), 'training.evaluate': Case(partial(training.evaluate, reader(), classifiers.classification_loss, split()), batch_size=4, num_workers=0),
 'training.Trainer': Case(lambda **kw: training.Trainer(reader(), classifiers.classification_loss, split(), **kw), epochs=2, batch_size=4, optimiser='Adam', learning_rate='0.001', weight_decay=0., seed=1, device='cpu', num_workers=0, threads=1),
 'samples.Samples': Case(images=T(2, 1, 8, 9), output='x', every=3), 'samples.save_grid': Case(lambda images, columns: samples.save_grid(Path(os.devnull).parent/'shm'/f'dsketch-{os.getpid()}.png', images, columns), images=T(4, 1, 8, 9), columns=2, passes=True), 'samples.svg_sheet': Case(partial(samples.svg_sheet, [scene(), scene()]), columns=2, scale=2.),
 'experiments.AutoencoderSettings': Case(latent_size=4, epochs=2, batch_size=4, learning_rate='0.001', weight_decay=0., snapshot_interval=2, num_reconstructions=3, num_workers=0, seed=1), 'experiments.configure': Case(encoder='SimpleMLPEncoder', decoder='SinglePassPolyLineDecoder', dataset='Digits', loss='MSELoss'),
 'experiments.ink_distances': Case(a=T(1, 8, 9), b=T(1, 8, 9), passes=True), 'from_paper.centred_ink': lesson(x=T(1, 8, 9), size=(8, 9)), 'from_paper.read_picture': Case(partial(from_paper.read_picture, Image.linear_gradient('L')), shape=(1, 8, 9), ink='auto'), 'drawing_pad.sharp_image': Case(partial(drawing_pad.sharp_image, scene()), width=20),
 'drawing_pad.pen_image': Case(strokes=[P(3, 2).tolist(), P(2, 2).tolist()], size=(8, 9), sigma2=.01), 'drawing_pad.between': Case(partial(drawing_pad.between, model()), images=T(4, 1, 8, 9), weights=torch.eye(4), passes=True),
 'stills.to_image': Case(picture=T(3, 8, 9), width=20), 'stills.png': Case(picture=T(3, 8, 9), width=20), 'stills.LastPicture': Case(partial(__import__('dsketch_nb.stills').stills.LastPicture, dict), rest=1., often=20.), 'widgets.curve_vertices': lesson(points=P(4, 2), kind='cubic', chords=4), 'widgets.stroke_picture': Case(points=P(4, 2), kind='cubic', sigma=1.5, size=(8, 9), passes=True),
 'widgets.stroke_still': Case(points=P(4, 2), kind='cubic', sigma=1.5, size=(8, 9), width=40), 'stills.animation': Case(partial(__import__('dsketch_nb.stills').stills.animation, [T(3, 8, 9), T(3, 8, 9)]), fps=8., width=20), 'compiled.set_threads': Case(n=2),
}

ELSEWHERE = {
 'of the compiler: called by compiled code with types it knows': 'simd.Lanes simd.where simd.lanes simd.count simd.some simd.total simd.load simd.store simd.two_to_minus simd.ink_and_rest simd.jit_kernel simd.as_lanes_of compiled_areas.turns compiled_areas.points_for compiled_areas.erf_of compiled_areas.find_pieces compiled_areas.find_rows compiled_areas.find_spans compiled_areas.cover_cells compiled_areas.pull_edges compiled_areas.Areas compiled.Scratch compiled.Line compiled.forward compiled.backward',
 'kernels, called by `draw` with what it has checked; their module is absent where there is no Triton': 'gpu.forward gpu.backward gpu.compile_for gpu_areas.AreaTiles gpu_areas.area_constants gpu_areas.cover_tiles gpu_areas.pull_tiles gpu_areas.pull_edges_of',
 'a record, checked where it is used': 'svg_text.Letter svg_text.Placed vectors.Mark scene.Merged vectors.Page vectors.Profile strokes.Strokes draw.Backend vectors.Stroke css.Affine css.Units css.Calc svg_paths.Subpath plotter.Travel live_run.Moment oneshot.Run',
 'files, damaged and hostile, in test_robust, test_svg, test_training, test_experiments, test_oneshot, test_safe, test_damage': 'autoencoders.canvas_of datafiles.ArrayPickle datafiles.read_character datafiles.read_idx datafiles.remove_empty runs.replacing runs.listing runs.made_in runs.file_id runs.check_outputs runs.write_tensors runs.read_tensors runs.read_safetensors runs.provided training.save_weights training.load_weights training.History classifiers.load_classifier experiments.about_autoencoder experiments.load experiments.evaluate_autoencoder experiments.draw_pictures '
    'experiments.classifier_for from_paper.one_of svg_text.Font svg_text.find_font svg.read_svg svg_xml.svg_source svg_xml.parse_xml svg_xml.svg_tag svg_paths.path_subpaths svg_paths.list_path svg_paths.shape_path svg_paths.polygon_edges svg_elements.Here svg_elements.Reader svg_elements.diagonal svg_elements.fit_view svg_elements.canvas_of css.check_brackets css.without_space css.split_tokens css.TooMuch css.refuse css.length css.number css.colour css.attribute_transform css.css_transform css.single_transform css.transform_origin styles.cascade styles.Missing styles.substituted styles.variables datafiles.read_npz datafiles.read_ndjson datafiles.unpack datafiles.unpacked_folder perceptual.fetch_weights perceptual.read_weights pictures.open_picture pictures.in_bytes pictures.picture_of pictures.in_srgb imageopt_command.result_stem pictures.image_files pictures.named_images imageopt_command.save_all imageopt_command.save_vectors oneshot.one_shot_folder oneshot.read_run plotter.save_plot animation.save_film',
 'commands and what they call, flag by flag in test_flags and the tests of each command': 'imageopt_command.main imageopt_command.imageopt_folder experiments.main experiments.train_autoencoder classifiers.main classifiers.main_barlow classifiers.train_classifier classifiers.train_classifier_barlow oneshot.main oneshot.evaluate_one_shot experiments.build_autoencoder',
 'of the command line and of runs; takes functions, parsers, optimisers': 'command.Parser command.plain_text command.printable command.SteadyStream command.steady_streams command.start command.ByName command.options command.build command.add_flags command.add_class_flags command.flags_of command.one_line_errors command.stoppable runs.optimiser_state runs.restore_optimiser schedules.schedule_state schedules.restore_schedule runs.check_same runs.check_kinds runs.reading runs.seeded runs.Callback runs.WidthSchedule runs.claimed runs.accelerator runs.torch_threads runs.torch_device runs.torch_optimiser',
 'takes objects of ours, no numbers': 'strokes.stands_in strokes.transformed strokes.unseen strokes.check_ragged strokes.check_finite pairs.draw_dense pairs.draw_pairs areas.edge_crossings areas.boundary_pieces areas.edge_flux areas.edge_side areas.off_vertices areas.on_edges strokes.as_strokes strokes.check_values strokes.number_bounds strokes.refuse pairs.squared_reach pairs.touched_pairs gpu.FAR32 gpu.FAR64 stills.with_still stills.image_tag stills.frames_html widgets.control_values widgets.figure_style site.card_of site.html_as_markdown site.page_card site.strips site.joined site.pieces site.panels site.panels_note site.say_panels site.narrow_signature site.whole_name site.plain_html site.whole_summary browser.BrowserOptimiser browser.page_script jit.jit plotter.chords plotter.once_on_edges svg_paths.parts_inside kinds.Kind kinds.Points kinds.Segments kinds.Polylines kinds.Beziers kinds.CatmullRoms kinds.Polygons kinds.Shapes vectors.svg_number vectors.svg_path vectors.svg_attributes scene.hex_colour vectors.mark_attributes vectors.multiplies vectors.svg_opening runs.check_suffix imageopt.first_scene imageopt.parameter_groups imageopt.preset_values placement.check_counts placement.random_params placement.half_extent placement.redrawable pictures.stem_of imageopt.loss_of optimise.aim_of optimise.ImageOptimiser optimise.Best optimise.Progress training.EpochProgress experiments.Reconstruction experiments.Measures drawing_pad.in_colours drawing_pad.answer_pen drawing_pad.DrawingPad optimise.regroup live.LiveOptimiser plotter.pen_travel plotter.ordered losses.Loss losses.MSELoss losses.BCELoss losses.Chamfer '
    'oneshot.OneShot oneshot.Hausdorff oneshot.Network decoders.Coloured decoders.Masked decoders.Recurrent widgets.Slider widgets.Picture widgets.Playground widgets.DragStroke widgets.Player widgets.control widgets.controls',
 'data sets, in test_experiments and test_classifiers': 'data.DataSet data.MNIST data.KMNIST data.ScaledMNIST data.Omniglot data.C28pxOmniglot data.QuickDraw data.Folder',
 'networks that look, in test_perceptual': 'perceptual.MissingWeights perceptual.vgg16_features perceptual.LPIPSLoss perceptual.FeatureMapLoss perceptual.AugConsistencyLoss'}

def public():
    for m in pkgutil.iter_modules(dsketch_nb.__path__):
        if m.name.startswith('_') or m.name == 'all': continue             # `all` shows what others make
        try: module = importlib.import_module(f'dsketch_nb.{m.name}')
        except ImportError: continue                                                    # for other machines
        yield from (f'{m.name}.{k}' for k in module.__all__ if callable(getattr(module, k)))

def test_nothing_public_is_left_out():
    known = {k.split(' ')[0] for k in CASES} | {o for names in ELSEWHERE.values() for o in names.split()}
    assert sorted(set(public()) - known) == [], 'give each a case, or say where it is tested'
    assert sorted(o for o in known - set(public()) if o.count('.') == 1 and not o.startswith(('gpu.', 'gpu_areas.'))) == [], 'these are gone'

# the ways to spoil

def first(x, value):
    x = x.clone()
    if x.numel(): x.view(-1)[0] = value
    return x

FLOATS = {'NaN': lambda x: first(x, math.nan), 'infinity': lambda x: first(x, math.inf), 'huge': lambda x: x*1e30, 'negative': lambda x: -x - 1, 'whole': lambda x: x.long(), 'booleans': lambda x: x > .5,
          'half': lambda x: x.half(), 'bfloat16': lambda x: x.bfloat16(), 'double': lambda x: x.double(), 'elsewhere': lambda x: x.to('meta')}
SHAPES = {'none of it': lambda x: x[:0], 'a row': lambda x: x.flatten(), 'an axis more': lambda x: x[None], 'an axis less': lambda x: x[0], 'cut': lambda x: x[..., :-1], 'a number': lambda x: x.flatten()[0]}
SAME = {'strided': lambda x: torch.stack([x, x + 1], -1)[..., 0], 'turned': lambda x: x.transpose(0, -1).contiguous().transpose(0, -1), 'learned': lambda x: x.clone().requires_grad_() if x.is_floating_point() else x.clone()}
NUMBERS = {'0': 0., '-1': -1., 'NaN': math.nan, 'infinity': math.inf, '-infinity': -math.inf, 'huge': 1e30, 'tiny': 1e-30}
COUNTS = {'0': 0, '-1': -1, 'NaN': math.nan, 'infinity': math.inf, 'a half': 2.5, 'one': 1}
SIZES = {'0': lambda s: (0, *s[1:]), '-1': lambda s: (*s[:-1], -1), 'a half': lambda s: (2.5, *s[1:]), 'NaN': lambda s: (math.nan, *s[1:]), 'one cell': lambda s: (1,)*len(s), 'one number': lambda s: s[:1], 'too many': lambda s: (*s, *s, *s), 'none': lambda s: ()}

def spoiled(x):
    "(how, value) for everything of this kind."
    if isinstance(x, Tensor):
        ways = FLOATS | SHAPES if x.is_floating_point() else {'float': lambda x: x + .5, 'far': lambda x: x + 10**9, 'negative': lambda x: x - 10**9} | SHAPES
        return [(k, f(x)) for k, f in ways.items()] + [(k, f(x)) for k, f in SAME.items() if x.dim()]
    if isinstance(x, bool): return []
    if isinstance(x, float): return list(NUMBERS.items())
    if isinstance(x, int): return list(COUNTS.items())
    if isinstance(x, tuple) and x and isinstance(x[0], (int, float)): return [(k, f(x)) for k, f in SIZES.items()]
    if isinstance(x, str): return [('nonsense', 'nonsense'), ('empty', '')]
    return []

def numbers(x, depth=0):
    "Every number in an answer."
    if isinstance(x, Tensor): yield x.detach().float() if x.device.type != 'meta' else torch.zeros(0)
    elif isinstance(x, float): yield torch.tensor(x)
    elif isinstance(x, nn.Module): yield from (o.detach().float() for o in x.parameters())
    elif isinstance(x, str): yield torch.tensor([math.nan]*('nan' in x.lower()) + [math.inf]*('="inf' in x))
    elif isinstance(x, (list, tuple)): yield from (n for o in x for n in numbers(o, depth + 1))
    elif isinstance(x, dict): yield from (n for o in x.values() for n in numbers(o, depth + 1))
    elif dataclasses.is_dataclass(x) and not isinstance(x, type): yield from (n for f in dataclasses.fields(x) for n in numbers(getattr(x, f.name), depth + 1))

@contextmanager
def soon(seconds=60):
    def late(*_): raise TimeoutError('it hangs')
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try: yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

def resolve(name):
    module, *path = name.split(' ')[0].split('.')
    o = importlib.import_module(f'dsketch_nb.{module}')
    for k in path: o = getattr(o, k)
    return o

def answer(case, f, args):
    "What it says, or the error it ends with."
    torch.manual_seed(0)
    with soon(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try: return f(**{k: v() if v is generator else v for k, v in args.items()})
        except Exception as e:
            if 'it hangs' in str(e): raise AssertionError('it hangs') from None
            return e

WORDS = {'mode': ('conversion from',), 'blur_sigma': ('sigma',), 'init_sigma': ('sigma',), 'paper': ('colour',), 'init_sigma2': ('sigma2',), 'latent_size': ("latent's size",), 'opacity': ('alpha',), 'every': ('_steps', '_epochs', 'interval'), 'text': ('learning rate',), 'learning_rate': ('learning rate',), 'name': ('loss',), 'path': ('name that ends',), 'model': ('compose',), 'ink': ('alpha', 'colour'), 'size': ('shape', 'side'), 'shape': ('size',), 'stroke_width': ('sigma2',),
         'd2': ('distance',), 'params': ('points', 'control', 'kind', 'vertices', 'alpha'), 'n': ('number', 'n '), 'height': ('shape', 'size'), 'width': ('shape', 'size'), 'grid': ('cells',), 'images': ('image',), 'input': ('drawing', 'images', 'image'), 'target': ('image', 'images', 'drawing'), 'z': ('latent',), 'indices': ('index',)}

def judge(name, case, f, good, key, how, value, told):
    "None if all is well, else what is wrong."
    got = answer(case, f, {**case.args, key: value})
    if isinstance(got, Exception):
        said = str(got).lower()
        if any(w in said for w in (key.lower(), *WORDS.get(key, ()))): return None
        if isinstance(value, Tensor):
            if case.passes and not isinstance(got, MissingWeights): return None             # PyTorch's own: it names the sizes or the kinds of numbers
            if how in ('elsewhere', 'whole', 'booleans', 'half', 'bfloat16', 'double', 'float') and any(w in said for w in ('meta', 'device', 'dtype', 'bool', 'long', 'half', 'float')): return None
            if how in SHAPES and isinstance(got, ValueError) and any(k in said for k in case.args): return None      # which of two that do not fit is wrong, nobody knows
        return f'{key} {how}: {type(got).__name__}: {str(got)[:150]}'
    n = [x for x in numbers(got)]
    if case.passes and how in ('NaN', 'infinity', '-infinity', 'huge', 'none of it', 'half'): return None
    if any(x.isnan().any() for x in n): return f'{key} {how}: a silent NaN'
    if how in SAME and told is not None:
        for a, b in zip(numbers(got), numbers(told), strict=True):
            if a.shape != b.shape or not torch.allclose(a, b, atol=1e-6, equal_nan=True): return f'{key} {how}: another answer than for the same numbers'
    return None

ALLOWED = {('draw.draw paint', 'alpha', 'huge'), ('draw.draw dense', 'vertices', 'huge'),
           ('experiments.ink_distances', 'a', 'negative'), ('experiments.ink_distances', 'b', 'negative')}           # 1e30 multiplied with itself is more than float32 holds; NaN is what it says of images without ink

@pytest.mark.parametrize('name', CASES)
def test_bad_input(name):
    case = CASES[name]
    f = case.f or resolve(name)
    told = answer(case, f, dict(case.args))
    assert not isinstance(told, Exception) or isinstance(told, NotImplementedError), told
    wrong = []
    for key, x in case.args.items():
        if key in case.free: continue
        for how, value in spoiled(x):
            if (name, key, how) in ALLOWED: continue
            if w := judge(name, case, f, told, key, how, value, told): wrong.append(w)
    assert not wrong, '\n' + '\n'.join(wrong)

@pytest.mark.skipif(not LONG, reason='DSKETCH_LONG=1 spoils two arguments at a time')
@pytest.mark.parametrize('name', [k for k, c in CASES.items() if len(c.args) > 1])
def test_two_at_a_time(name):
    "No NaN out of numbers that are none, no hang, no crash: an answer, or an error."
    case, rng = CASES[name], random.Random(name)
    f, keys = case.f or resolve(name), [k for k in case.args if k not in case.free and spoiled(case.args[k])]
    for _ in range(60):
        chosen = [(k, *rng.choice(spoiled(case.args[k]))) for k in rng.sample(keys, min(2, len(keys)))]
        if any((name, k, how) in ALLOWED or case.passes and how in ('NaN', 'infinity', '-infinity', 'huge', 'none of it', 'half') for k, how, _ in chosen): continue
        got = answer(case, f, case.args | {k: v for k, _, v in chosen})
        assert isinstance(got, Exception) or not any(x.isnan().any() for x in numbers(got)), chosen

# every flag of every command

TINY = {'imageopt': (imageopt_command.main, ['ramp.png', '--lines', '5', '--iters', '2', '--loss', 'MSELoss', '--final-raster', 'f.png']),
        'imageopt, paint': (imageopt_command.main, ['ramp.png', '--lines', '5', '--iters', '2', '--output', 'run']),
        'autoencoder-experiment train': (experiments.main, ['train', '--dataset', 'Folder', '--dataset-root', 'photos', '--valset-size-per-class', '1', '--size', '12', '--epochs', '1', '--num-workers', '0', '--num-reconstructions', '2', '--output', 'run']),
        'autoencoder-experiment eval': (experiments.main, ['eval', '--weights', 'mnist-autoencoder', '--dataset', 'Folder', '--dataset-root', 'photos', '--valset-size-per-class', '1', '--num-workers', '0']),
        'autoencoder-experiment draw': (experiments.main, ['draw', '--weights', 'mnist-autoencoder', 'ramp.png', '--output', 'run']),
        'train_classifiers': (classifiers.main, ['--model', 'MnistCNN', '--dataset', 'Folder', '--dataset-root', 'photos', '--valset-size-per-class', '1', '--size', '12', '--epochs', '1', '--num-workers', '0', '--output', 'run']),
        'train_classifiers_barlow': (classifiers.main_barlow, ['--model', 'MnistCNN', '--dataset', 'Folder', '--dataset-root', 'photos', '--valset-size-per-class', '1', '--size', '12', '--epochs', '1', '--barlow-epochs', '1', '--num-workers', '0', '--output', 'run'])}
BAD = ['0', '-1', 'nan', 'inf', '1e30', 'nonsense', '']
NOT_BAD = {'--size', '--iters', '--lines', '--points', '--beziers', '--crs', '--width', '--max-side', '--crs-points', '--num-workers', '--epochs', '--barlow-epochs'}       # large numbers are large work, not wrong

def flags(f, argv):
    "What --help knows."
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit): f([*argv, '--help'])
    return sorted({m for m in re.findall(r'^\s+(--[\w-]+)(?:, --no-[\w-]+)? [A-Z\[{]', out.getvalue(), re.M)} - {'--help'})

def named(flag): return (key := flag.strip('-').replace('-', '_'), flag.strip('-'), key.replace('_', ' '), *WORDS.get(key, ()), *FLAG_WORDS.get(key, ()))

def told(f, args):
    "The exit code of a command, and the last line that it said, in small letters."
    err, out, code = io.StringIO(), io.StringIO(), 0
    with redirect_stderr(err), redirect_stdout(out), soon(60):
        try: f(args)
        except SystemExit as e: code = e.code
        except BaseException as e: code = repr(e)[:200]
    return code, err.getvalue().strip().split('\n')[-1].lower()

@pytest.mark.parametrize('name', TINY)
def test_flags(name, tmp_path, monkeypatch):
    "A wrong value is one line with the flag's name and exit code 2, or it is no mistake and all goes well."
    f, argv = TINY[name]
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient('L').resize((9, 8)).save('ramp.png')
    for kind in 'ab':
        (tmp_path/'photos'/kind).mkdir(parents=True)
        for i in range(6): Image.linear_gradient('L').resize((28, 28)).rotate(10*i + 90*(kind == 'b')).save(tmp_path/'photos'/kind/f'{i}.png')
    found, wrong, rng = flags(f, argv), [], random.Random(name)
    assert len(found) > 5
    todo = [(flag, bad) for flag in found for bad in BAD if not (flag in NOT_BAD and bad in ('1e30', 'inf'))]
    for n, (flag, bad) in enumerate(todo if LONG else rng.sample(todo, min(len(todo), 40))):
        if flag in ('--output', '--target-raster', '--init-raster', '--final-raster', '--init-pdf', '--final-pdf', '--scene', '--snapshots-path') and bad or (flag, bad) == ('--dataset-root', ''): continue          # any name is a name
        args = [a.replace('run', f'run{n}') if a == 'run' else a for a in argv] + [f'{flag}={bad}']
        code, said = told(f, args)
        if code in (0, None): continue
        if code != 2 or not any(o in said for o in named(flag)): wrong.append(f'{flag} {bad!r}: {code} {said[-200:]}')
    assert not wrong, '\n' + '\n'.join(wrong)

@pytest.mark.parametrize('flag', ['--flat-colours', '--sigma2-step', '--seed', '--checkpoint-steps', '--snapshots-steps'])
def test_a_number_too_large_is_told_by_its_flag(flag, tmp_path, monkeypatch):
    "What a part within has a limit for, under a name of its own: the message has the flag's. Flags whose large numbers are large work are left out."
    f, argv = TINY['imageopt']
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient('L').resize((9, 8)).save('ramp.png')
    for n in ('65', '99999'):
        code, said = told(f, [*argv, f'{flag}={n}'])
        assert code in (0, None) and flag != '--flat-colours' or code == 2 and any(o in said for o in named(flag)), (n, code, said)

FLAG_WORDS = {'lr': ('learning rate', 'loss is'), 'learning_rate': ('loss is', 'step that was too long'), 'model': ('classifier',), 'weight_decay': ('loss is', 'infinity'), 'weights': ('no file',), 'classifier_weights': ('no file',), 'init': ('no such file', 'no strokes'), 'dataset_root': ('no folder', 'empty', 'is not in'),
              'size': ('too small',), 'optimiser': ('torch.optim',), 'sigma2': ('infinity', 'sigma2'), 'init_sigma2': ('infinity',), 'final_sigma2': ('infinity',), 'sigma2_lr': ('infinity', 'loss is'), 'colour_lr': ('infinity', 'loss is'), 'momentum': ('loss is', 'infinity'), 'latent_size': ('outputs',), 'device': ('cuda',), 'animation': ('ends in',), 'film': ('ends in',), 'plot': ('folder',)}
