"""SVG files by many hands, read as strokes and written again: how many look right, how many say what they lost, how many lose something in silence.

python benchmarks/icons.py [FILE.svg ...] [--only strokes fills tests] [--count 150] [--list]

Each file is read with `Scene.from_svg`, written with `to_svg()`, and both are shown by resvg, 100 pixels wide on white. Right: the ink is within 3 % of the file's, and the picture within
28 dB. Named: it is not, and `.lost` says what is missing. Silent: it is not, and nothing is said. Refused: no scene, an error. The kinds of files: 150 icons of strokes (lucide-static,
@tabler/icons), 150 of fills (@tabler/icons, @mdi/svg), and 100 of the files that picosvg is tested with; versions are pinned, and the choice is always
the same. Files of fills are judged once more with every fill drawn as a line. They are fetched by `npm pack` and `pip download` into a temporary folder that is deleted afterwards. Files of your own are judged in place of these.
The one silent file, picosvg's arcs-nano.svg, has outlines a sixth of a pixel wide: its ink is 3.5 % too much at 100 pixels, 1.1 % at 200, .3 % at 400, -.1 % at 1,600. That is how resvg
rounds so thin an outline, and no loss in reading or writing.
"""
import argparse, gzip, io, random, re, shutil, subprocess, sys, tarfile, tempfile, warnings
from collections import Counter
from pathlib import Path
import numpy as np
from PIL import Image
from dsketch_nb.command import one_line_errors, whole_number
from dsketch_nb.scene import Scene
import dsketch_nb.svg                                      # scenes read SVG

NPM, PIP = ['npm', 'pack', '--silent', '--pack-destination'], [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--no-binary', ':all:', '--dest']
# what is said of a kind, where its files come from (how to fetch, package, folder in it), and how many of them there are
GROUPS = {'strokes': ('icons of strokes', [(NPM, 'lucide-static@1.62.0', 'package/icons/'), (NPM, '@tabler/icons@3.52.0', 'package/icons/outline/')], 150),
          'fills': ('icons of fills', [(NPM, '@tabler/icons@3.52.0', 'package/icons/filled/'), (NPM, '@mdi/svg@7.4.47', 'package/svg/')], 150),
          'tests': ("picosvg's test files", [(PIP, 'picosvg==0.23.0', 'picosvg-0.23.0/tests/')], 100)}
# no hairline at 100 pixels, and narrower than nearly all shapes
LINES = b'<style>path,rect,circle,ellipse,line,polyline,polygon{fill:none!important;stroke:#123!important;stroke-width:1.5%!important;stroke-linejoin:round!important;stroke-linecap:round!important}</style>'
ANSWERS = 'right', 'named', 'silent', 'refused'

def fetch(how, package, folder):
    "The one archive of a package, fetched into a folder of its own unless it is there."
    place = folder/package.replace('/', '-')
    place.mkdir(exist_ok=True)
    if found := sorted(place.iterdir()): return found[0]
    program = how[0] if how is NPM else 'pip'
    if not shutil.which(how[0]): raise FileNotFoundError(f'{program} is not found, and {package} is fetched by it: install Node.js, or name other kinds with --only')
    try: run = subprocess.run([*how, str(place), package], cwd=place, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired: raise OSError(f'{program} has not fetched {package} within five minutes: is there a network?') from None
    if run.returncode or not (found := sorted(place.iterdir())):
        said = [o for o in (run.stderr or run.stdout).splitlines() if o.strip()]
        raise OSError(f"{program} could not fetch {package} ({said[0].strip()[:200] if said else 'no word why'}): is there a network?")
    return found[0]

def texts(archive, inside):
    "Name -> bytes of an archive's SVGs below a folder, sorted; nothing is unpacked to the disk."
    with tarfile.open(archive) as t:
        return {m.name: t.extractfile(m).read() for m in sorted(t.getmembers(), key=lambda m: m.name) if m.isfile() and m.name.startswith(inside) and m.name.endswith('.svg')}

def files_of(kind, folder, count):
    "As many files of a kind, taken evenly from its packages: always the same ones."
    _, packages, _ = GROUPS[kind]
    out = {}
    for i, (how, package, inside) in enumerate(packages):
        found, n = texts(fetch(how, package, folder), inside), (count + i)//len(packages)
        for name in random.Random(1).sample(sorted(found), min(n, len(found))): out[f'{package}: {name.removeprefix(inside)}'] = found[name]
    return out

def as_lines(data):
    "The bytes of an SVG whose fills are drawn as lines."
    return re.sub(rb'<svg\b[^>]*[^/>]>', lambda m: m[0] + LINES, data, count=1)

def shown(svg):
    "What resvg shows, 100 pixels wide on white: [H, W, 3] in [0, 1]."
    import resvg_py
    with Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=100, dpi=96)))) as im: a = np.asarray(im.convert('RGBA'))/255
    return a[..., :3]*a[..., 3:] + 1 - a[..., 3:]

def same(file, ours):
    "Whether two pictures agree: (ours has how much more ink, decibels)."
    h = min(len(file), len(ours))                          # a side in whole pixels may be rounded otherwise
    file, ours = file[:h], ours[:h]
    ink, mse = (1 - file).sum(), np.square(file - ours).mean()
    return ((1 - ours).sum() - ink)/max(ink, 1.), -10*np.log10(max(mse, 1e-10))

def judge(data):
    "One of ANSWERS for the bytes of an SVG, and why: a list of texts."
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try: scene = Scene.from_svg(data)
        except (ValueError, OSError) as e: return 'refused', [str(e)]
    if data[:2] == b'\x1f\x8b': data = gzip.decompress(data)
    try: file = shown(data.decode(errors='replace'))
    except ValueError as e: return ('right' if not len(scene) else 'named' if scene.lost else 'silent'), [f'resvg shows nothing: {e}']
    more, db = same(file, shown(scene.to_svg()))
    if abs(more) <= .03 and db >= 28: return 'right', []
    lost = sorted({what for _, what in scene.lost})
    return ('named' if lost else 'silent'), lost or [f'ink {100*more:+.1f} %, {db:.1f} dB']

def main(argv=None):
    p = argparse.ArgumentParser('icons.py', description='Read SVGs by many hands, and count what is right, named, silent or refused.', allow_abbrev=False)
    p.add_argument('files', nargs='*', metavar='FILE.svg', help='files of your own, in place of those that are fetched')
    p.add_argument('--only', nargs='+', choices=list(GROUPS), default=list(GROUPS), help='these kinds of files')
    p.add_argument('--count', type=int, help='so many files of each kind (default 150 icons, 100 tests)')
    p.add_argument('--list', action='store_true', help='name every file that is not right, and why')
    o = p.parse_args(argv)
    with one_line_errors(p, ImportError), tempfile.TemporaryDirectory() as folder:
        if o.count is not None: whole_number(o.count, 'count')
        import resvg_py
        if o.files: groups = {'your files': {f: Path(f).read_bytes() for f in o.files}}
        else:
            groups = {}
            for k in o.only:
                groups[GROUPS[k][0]] = files = files_of(k, Path(folder), o.count or GROUPS[k][2])
                if k != 'strokes': groups[f'{GROUPS[k][0]}, as lines'] = {f: as_lines(data) for f, data in files.items()}
        print('| | files | right | named | silent | refused |\n|---|---|---|---|---|---|')
        why, list_ = {}, []
        for name, files in groups.items():
            count, why[name] = Counter(), Counter()
            for f, data in files.items():
                answer, reasons = judge(data)
                count[answer] += 1
                if answer == 'named': why[name].update(reasons)
                if answer in ('silent', 'refused') or answer != 'right' and o.list: list_.append(f'{answer}: {f}: {"; ".join(reasons)}')
            print(f'| {name} | {len(files)} | ' + ' | '.join(f'{count[a]}' for a in ANSWERS) + ' |', flush=True)
        print()
        for name, reasons in why.items():
            if reasons: print(f'{name}, what is named: ' + ', '.join(f'{r[:80]} ({n})' for r, n in reasons.most_common(5)))
        for o in list_: print(o)

if __name__ == '__main__': main()
