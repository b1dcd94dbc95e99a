"""`python tests/fresh.py FOLDER`: nbdev_test, which keeps the pictures that the pages make as it runs them; and the comparison with those that are committed."""
import base64, importlib, io, json, os, pkgutil, sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

root = Path(__file__).parent.parent

# Pictures that are another one each time, or on another processor: page, cell -> why
VARIES = {('01b_jit', 'jit07'): 'times', ('02_draw', '5a9b9f70'): 'times', ('02a_compiled', '34b4a599'): 'times',
          ('21_better_strokes', 'a9861b78'): 'a histogram of widths: the last bit moves strokes from bar to bar',
          ('30_autoencoders', 'd6a03526'): 'drawings from random latents: where training ends depends on the last bit',
          ('35_classifiers', '1b9f9280'): 'the surest mistakes after a short training: which they are depends on the last bit',
          ('36_experiments', 'a39082b0'): 'a line after a short training, as below', ('36_experiments', 'digits-pairs'): 'curves after a short training, as below',
          ('36_experiments', '9eea3ce8'): 'rings after a short training, whose places depend on the last bit'}
# Pages on which strokes or networks learn for hundreds of steps. Another processor rounds otherwise, and the last bit grows: pictures are alike, not equal.
LEARNED = ('08', '11', '12', '13', '15', '20', '21', '22', '3', '90', 'tutorials')

def name(page): return Path(page).resolve().relative_to(root/'nbs').with_suffix('').as_posix().replace('/', '-')

def pictures(cells):
    "The PNGs that cells show: cell -> list of base64."
    found = {c['id']: [''.join(o['data']['image/png']) for o in c.get('outputs', []) if 'image/png' in o.get('data', {})] for c in cells if c['cell_type'] == 'code'}
    return {k: v for k, v in found.items() if v}

_methods = {}

def _of_the_package(f):
    "Does a method come from a module of ours, and not from a page's cell?"
    f = getattr(f, 'fget', None) or getattr(f, '__func__', f)
    return 'get_ipython' not in getattr(f, '__globals__', {})

def as_the_package_says():
    "Take back what pages have patched into classes of the package."
    if not _methods:
        # a method that a page replaces before its own is known could not be given back
        for module in pkgutil.iter_modules([str(root/'dsketch_nb')]):
            if module.name != 'gpu': importlib.import_module(f'dsketch_nb.{module.name}')     # its page says first how it runs
    classes = {v for m, module in list(sys.modules.items()) if m.startswith('dsketch_nb.') for v in vars(module).values() if isinstance(v, type) and v.__module__.startswith('dsketch_nb.')}
    for cls in classes:
        known = _methods.setdefault(cls, {})
        for k, f in list(vars(cls).items()):
            if _of_the_package(f): known[k] = f
            elif k in known: setattr(cls, k, known[k])
            else: delattr(cls, k)

def as_in_a_fresh_kernel():
    "One process runs many pages: what one of them has set for all must not show in the next one's pictures."
    import matplotlib, torch
    as_the_package_says()
    matplotlib.rcdefaults()
    torch.manual_seed(67280421310721)                            # the seed that torch begins with
    torch.set_default_dtype(torch.float32)

def keep(folder):
    "Let nbdev.test write down the pictures of every page that it runs from now on, as a kernel would have made them."
    import nbdev.test
    from execnb.shell import CaptureShell
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    class Keeping(CaptureShell):
        def __init__(self, path):
            as_in_a_fresh_kernel()
            super().__init__(path, mpl_format='png')             # its own default has twice the pixels
            self.page = path
        def run_all(self, nb, *args, preproc, **kwargs):
            ran = []
            super().run_all(nb, *args, preproc=preproc, postproc=lambda c: ran.append(c.id), **kwargs)
            shown = pictures([dict(c) for c in nb.cells if c.id in ran])
            (folder/f'{name(self.page)}.json').write_text(json.dumps({i: shown.get(i, []) for i in ran}))
    nbdev.test.CaptureShell = Keeping

def opened(data):
    "A picture on white paper."
    im = Image.open(io.BytesIO(base64.b64decode(data))).convert('RGBA')
    return Image.alpha_composite(Image.new('RGBA', im.size, 'white'), im).convert('RGB')

def difference(a, b, blur):
    "How far apart two pictures are: in size, pixels; on average, and at the hundredth part of the pixels that differs most, of 255."
    a, b = opened(a), opened(b)
    size = max(abs(p - q) for p, q in zip(a.size, b.size))
    soft = lambda im: np.asarray(im.resize(a.size).filter(ImageFilter.GaussianBlur(blur)), dtype=float)
    d = np.abs(soft(a) - soft(b)).mean(2)
    return size, d.mean(), np.quantile(d, .99)

def maker(data):
    "What a PNG says it was made by: a figure names its version of matplotlib."
    return Image.open(io.BytesIO(base64.b64decode(data))).info.get('Software')

# blur in pixels, then what may differ. Another version of matplotlib sets letters otherwise and moves axes by a pixel or two; the same version does not.
EQUAL, ALIKE = (1., 2, 2.5, 25.), (3., 6, 5., 45.)

def makers(pictures): return {m for m in map(maker, pictures) if m}

def changed(a, b, same=None):
    "What is different, if more is than another processor, or (unless `same`) another version of matplotlib, would explain; else None."
    if same is None: same = maker(a) == maker(b)
    blur, *least = EQUAL if same else ALIKE
    found = difference(a, b, blur)
    if any(x > y for x, y in zip(found, least)): return '%d pixels larger or smaller, %.1f of 255 away on average, %.0f where it differs most' % found

def stale(page, made):
    "The committed pictures of a page that differ from those just made, a line each. `made`: cell -> pictures, of those cells that ran."
    cells, wrong = json.loads(Path(page).read_text(encoding='utf-8'))['cells'], []
    said, shown = {c['id']: ''.join(c['source']) for c in cells}, pictures(cells)
    same = not name(page).startswith(LEARNED) and makers(p for i in made for p in shown.get(i, [])) == makers(p for new in made.values() for p in new)     # a widget's still is made of figures and does not say so
    for i, new in made.items():
        if (name(page), i) in VARIES: continue
        old = shown.get(i, [])
        what = [f'{len(old)} pictures, now {len(new)}'] if len(old) != len(new) else filter(None, (changed(a, b, same) for a, b in zip(old, new)))
        wrong += [f"cell {i} ({said.get(i, '').splitlines()[-1][:60] if said.get(i) else 'gone'}): {o}" for o in what]
    return wrong

def run(page, **kwargs):
    "What nbdev_test asks of each of its processes, some of which know nothing of this one."
    import nbdev.test
    keep(os.environ['DSKETCH_PICTURES'])
    return getattr(nbdev.test.test_nb, 'original', nbdev.test.test_nb)(page, **kwargs)

if __name__ == '__main__':
    import fresh, nbdev.test                                     # by its name, under which every process finds it: pages take `__main__` for themselves
    os.environ['DSKETCH_PICTURES'] = str(Path(sys.argv[1]).resolve())
    fresh.run.original, nbdev.test.test_nb = nbdev.test.test_nb, fresh.run
    nbdev.test.nbdev_test(path=sys.argv[2] if len(sys.argv) > 2 else None, n_workers=2, timing=True, skip_file_glob=None if find_spec('triton') else '0??_gpu*')
