"""What each decoder learns, how well its drawings are read, and where the time of a training step goes.

python benchmarks/autoencoders.py --dataset-root ROOT [--decoders NAME[:option=value,...] ...] [--epochs 3] [--seeds 1 2 3] [--classifier WEIGHTS] [--output FILE.md]

All 60,000 images of MNIST to train on, 10,000 to test; batches of 48, SimpleMLPEncoder, a latent of 64, squared error, sigma2 0.01, Adam at 0.001; options not given are the defaults.
`train` is the mean squared error over the first and the last epoch, while it learns; `test` that of the last weights. Medians of the seeds, and in brackets from the least to the greatest.
`read` is the share of the reconstructed test digits that the classifier names rightly. `strokes` are those of more than half ink, an image. `s` is an epoch's time, the best of all.
A step and its parts are timed in turn, 200 times, and the least taken, which other work on the machine hardly touches: `network` is encoder and decoder forward and backward and the optimiser, `draw` the call of that name forward and backward, `rest` all else.
`load` is the machine's mean number of busy processes at the end of the row: above the number of cores, times say little.
"""
import argparse, os, platform, time
from ast import literal_eval
from itertools import chain, repeat
from pathlib import Path
from statistics import median

import numba, torch, torch.nn.functional as F

from dsketch_nb.autoencoders import AutoEncoder, Decoder, stroke_vertices
from dsketch_nb.command import build, options
from dsketch_nb.data import DataSet, Split
from dsketch_nb.decoders import Recurrent
from dsketch_nb.draw import draw
from dsketch_nb.encoders import SimpleMLPEncoder
from dsketch_nb.kinds import Kind
from dsketch_nb.losses import MSELoss
from dsketch_nb import shape_decoders                 # known by name from here on
from dsketch_nb.runs import replacing
from dsketch_nb.training import Trainer, evaluate

LATENT, BATCH = 64, 48
HEADER = '| decoder | train, first epoch | train, last | test | read | strokes | s | network | draw | rest | step / (network + draw) | load |\n' + '|---'*12 + '|'

def parsed(text):
    "NAME:option=value,option=value -> class and options."
    name, _, rest = text.partition(':')
    cls, flags = Decoder.find(name), dict(o.split('=', 1) for o in rest.split(',') if o)
    for k in flags:
        if k not in options(cls): raise ValueError(f"{name} has no option {k}: expected one of {', '.join(options(cls))}")
    return cls, {k: v if isinstance(options(cls)[k].default, str) else literal_eval(v) for k, v in flags.items()}

def loss(model, images, labels, loss_fn=MSELoss()):
    total, drawing = model.loss_and_reconstruction(images, loss_fn)
    return total, {'mse': F.mse_loss(drawing.detach(), images)}

def measures(classifier):
    "What is measured of a batch of reconstructions."
    def f(model, images, labels):
        drawing = model.decoder.strokes(model.encode(images))
        drawn, ink = drawing.draw(), drawing.ink
        n = images.new_tensor(drawing.params.shape[1]) if ink is None else (ink.flatten(2).amax(2) > .5 if ink.dim() == 3 else ink > .5).float().sum(1).mean()
        more = {'read': (classifier(drawn).argmax(1) == labels).float().mean()} if classifier else {}
        return F.mse_loss(drawn, images), dict(strokes=n, **more)
    return f

def trainer(cls, flags, data, epochs, seed):
    torch.manual_seed(seed)
    model = AutoEncoder(SimpleMLPEncoder(data.size, data.channels, LATENT), build(cls, flags, latent_size=LATENT, size=data.size, channels=data.channels))
    return Trainer(model, loss, data.everything, epochs=epochs, batch_size=BATCH, seed=seed, threads=1, device='cpu')

def seconds(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start

def parts(t, rounds=200):
    "Seconds of a step of a trained `Trainer`, of its networks and of `draw` alone; None where drawing is part of the network."
    model, batches = t.model.train(), chain.from_iterable(repeat(t.loader))
    if isinstance(model.decoder, Recurrent) or getattr(model.decoder, 'exact', False): return None
    images, labels = next(batches)
    drawing = model.decoder.strokes(model.encode(images))
    fill = 'nonzero' if Kind.find(drawing.kind).filled else None
    vertices = stroke_vertices(drawing.kind, drawing.params, drawing.chords).detach().requires_grad_()
    ink = None if drawing.ink is None else drawing.ink.detach().requires_grad_()
    upward = [torch.randn_like(o)*1e-6 for o in (drawing.params, drawing.ink) if o is not None]
    down = torch.randn(len(images), 1 if ink is None or ink.dim() == 2 else ink.shape[2], *model.decoder.size)
    def step():
        images, labels = next(batches)
        t.step(images, labels, len(images), len(images))
    def network():
        d = model.decoder.strokes(model.encode(images))
        t.optimiser.zero_grad()
        torch.autograd.backward([o for o in (d.params, d.ink) if o is not None], upward)
        t.optimiser.step()
    def only_draw():
        out = draw(vertices, model.decoder.size, model.decoder.sigma2, alpha=ink, fill=fill) if ink is None or ink.dim() == 2 else draw(vertices, model.decoder.size, model.decoder.sigma2, ink, compose='ink', fill=fill)
        torch.autograd.grad(out, [o for o in (vertices, ink) if o is not None], down)
    times = [[seconds(f) for f in (step, network, only_draw)] for _ in range(rounds)]
    return [min(o) for o in zip(*times)]

def spread(values, digits=4):
    "The median, and from where to where."
    text = f'{median(values):.{digits}f}'
    return text if len(values) == 1 else f'{text} ({min(values):.{digits}f} to {max(values):.{digits}f})'

def row(text, data, epochs, seeds, classifier):
    "One decoder as a line of the table."
    cls, flags = parsed(text)
    first, last, times, tests = [], [], [], []
    for seed in seeds:
        t = trainer(cls, flags, data, epochs, seed)
        t.fit()
        first.append(t.history[0]['mse']); last.append(t.history[-1]['mse']); times += t.seconds
        tests.append(evaluate(t.model, measures(classifier), data.test, 200))
    torch.set_num_threads(1)
    times_of = parts(t)
    share = '| | | ' if times_of is None else '| '.join(f'{o/times_of[0]:.0%} ' for o in (times_of[1], times_of[2], times_of[0] - times_of[1] - times_of[2]))
    ratio = '' if times_of is None else f'{times_of[0]/(times_of[1] + times_of[2]):.2f}'
    read = f"{spread([100*o['read'] for o in tests], 1)} %" if classifier else ''
    return (f"| {text.replace(':', ', ').replace(',', ', ').replace('  ', ' ')} | {spread(first)} | {spread(last)} | {spread([o['loss'] for o in tests])} | {read} | "
            f"{spread([o['strokes'] for o in tests], 1)} | {min(times):.1f} | {share}| {ratio} | {os.getloadavg()[0]:.1f} |")

def main():
    known = sorted(Decoder.known)
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--dataset-root', default='./data/', help='folder that MNIST lies in')
    p.add_argument('--dataset', default='MNIST', help='any data set')
    p.add_argument('--decoders', nargs='+', default=known, help=f"of {', '.join(known)}; NAME:option=value,option=value sets options")
    p.add_argument('--epochs', type=int, default=3)
    p.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    p.add_argument('--classifier', help='weights of a classifier, or the name of provided ones')
    p.add_argument('--output', help='file to keep the table in')
    o = p.parse_args()
    for d in o.decoders: parsed(d)                                        # a wrong name is told at once
    data, classifier = build(DataSet.find(o.dataset), dict(dataset_root=o.dataset_root)), None
    data.everything = Split(torch.cat([data.train.images, data.val.images]), torch.cat([data.train.labels, data.val.labels]))
    torch.set_num_threads(1)
    about = f'{o.dataset}, {len(data.everything):,} images, {o.epochs} epoch{"s"*(o.epochs > 1)}, seeds {" ".join(map(str, o.seeds))}; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, numba {numba.__version__}'
    if o.classifier:
        from dsketch_nb.classifiers import load_classifier
        classifier = load_classifier(o.classifier, data.size, data.channels)
        with torch.no_grad(): right = sum((classifier(x).argmax(1) == y).sum().item() for x, y in zip(data.test.images.split(500), data.test.labels.split(500)))
        about += f'; the classifier reads {right/len(data.test):.2%} of the test images themselves'
    trainer(Decoder.find('SinglePassPolyLineDecoder'), {}, data, 1, 0).step(data.train.images[:2], data.train.labels[:2], 2, 2)        # compile
    lines = [about, '', HEADER]
    print('\n'.join(lines))
    for d in o.decoders:
        lines.append(row(d, data, o.epochs, o.seeds, classifier))
        print(lines[-1], flush=True)
        if o.output:
            with replacing(Path(o.output)) as tmp: tmp.write_text('\n'.join([*lines, '']), encoding='utf-8')

if __name__ == '__main__': main()
