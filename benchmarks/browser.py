"""The optimiser in the page (engine.js in Chromium): how long an iteration takes, and how good its pictures are beside those of `imageopt`.

python benchmarks/browser.py [PHOTO ...] [--strokes 500] [--side 240] [--iters 300] [--kind segments] [--loss MSE] [--no-python]

Without PHOTO, scikit-learn's two photographs. It wants playwright and a Chromium on the PATH. All sides fit as many strokes in as many iterations to the
same pixels; the page's two from one start, Python from its own. The page's loops are there twice, in JavaScript and compiled (engine.c): the two take turns,
an iteration each, so that whatever else the machine does slows both. Milliseconds are those of the whole run, divided by its iterations, so re-seeding is
in them; nanoseconds are for each pair of a stroke and a pixel in its reach. Run it on a quiet machine.
"""
import argparse, shutil, time
from importlib.resources import files

import torch
from playwright.sync_api import sync_playwright

from dsketch_nb.imageopt import imageopt
from dsketch_nb.pictures import load_picture

RUN = """async ({ source, target, height, width, settings, iters }) => {
  const engine = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
  const fit = () => new engine.Fit(Float32Array.from(target), height, width, settings), ways = [];
  for (const compiled of [false, true]) if (engine.compiled(compiled) === compiled) ways.push({ compiled, fit: fit(), ms: 0, pairs: 0 });
  for (let i = 0; i < iters; i++) {
    for (const o of ways) {
      engine.compiled(o.compiled);
      const begun = performance.now();
      o.fit.step();
      o.ms += performance.now() - begun;
      o.pairs += o.fit.drawing.pairs;
    }
  }
  return ways.map(({ fit, ms, pairs }) => ({ ms: ms / iters, ns: 1e6 * ms / pairs, pairs: pairs / iters, psnr: -10 * Math.log10(engine.mse(fit.draw(), fit.target, fit.grad)) }));
}"""

IN_PYTHON = dict(points='points', segments='lines', beziers='beziers')

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('photos', nargs='*', default=['sample:china', 'sample:flower'])
    p.add_argument('--strokes', type=int, default=500)
    p.add_argument('--side', type=int, default=240)
    p.add_argument('--iters', type=int, default=300)
    p.add_argument('--kind', default='segments', choices=['points', 'segments', 'polylines', 'beziers'])
    p.add_argument('--loss', default='MSE', choices=['MSE', 'BlurredMSE'])
    p.add_argument('--no-python', action='store_true', help='leave imageopt out')
    o = p.parse_args()
    source = (files('dsketch_nb')/'static'/'engine.js').read_text(encoding='utf-8')
    chromium = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))))
    print(f'{o.strokes} {o.kind}, {o.iters} iterations, the longer side {o.side} pixels, {o.loss}\n')
    print(f'{"":20} {"pairs":>9}   {"JavaScript: ms":>14} {"ns":>5} {"dB":>6}   {"WebAssembly: ms":>15} {"ns":>5} {"dB":>6} {"faster":>7}   {"Python: ms":>10} {"dB":>6}')
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        for photo in o.photos:
            x = load_picture(photo, max_side=o.side)
            page = browser.new_page()
            js, *more = page.evaluate(RUN, dict(source=source, target=x.movedim(0, -1).flatten().tolist(), height=x.shape[1], width=x.shape[2],
                                                settings=dict(strokes=o.strokes, iters=o.iters, kind=o.kind, loss=o.loss), iters=o.iters))
            page.close()
            print(f'{str(photo)[-20:]:20} {js["pairs"]:9,.0f}   {js["ms"]:14.1f} {js["ns"]:5.1f} {js["psnr"]:6.2f}', end='')
            if more: print(f'   {more[0]["ms"]:15.1f} {more[0]["ns"]:5.1f} {more[0]["psnr"]:6.2f} {js["ms"]/more[0]["ms"]:6.1f}x', end='', flush=True)
            if not o.no_python and o.kind in IN_PYTHON:
                begun = time.perf_counter()
                scene = imageopt(photo, preset='paint', max_side=o.side, iters=o.iters, loss=f'{o.loss}Loss', **{'lines': 0, IN_PYTHON[o.kind]: o.strokes})
                ms = 1000*(time.perf_counter() - begun)/o.iters
                with torch.no_grad(): psnr = -10*(scene.draw() - x).square().mean().log10().item()
                print(f'   {ms:10.1f} {psnr:6.2f}', end='')
            print(flush=True)
        browser.close()

if __name__ == '__main__': main()
