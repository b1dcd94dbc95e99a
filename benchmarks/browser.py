"""The optimiser in the page (engine.js in Chromium): how long an iteration takes, and how good its pictures are beside those of `imageopt`.

python benchmarks/browser.py [PHOTO ...] [--strokes 500] [--side 240] [--iters 300]

Without PHOTO, scikit-learn's two photographs. It wants playwright and a Chromium on the PATH. Both sides fit as many strokes in as many iterations to the
same pixels, from starts of their own; milliseconds are those of the whole run, divided by its iterations, so re-seeding is in them. Run it on a quiet machine.
"""
import argparse, shutil, time
from importlib.resources import files

import torch
from playwright.sync_api import sync_playwright

from dsketch_nb.imageopt import imageopt
from dsketch_nb.pictures import load_picture

RUN = """async ({ source, target, height, width, settings, iters }) => {
  const engine = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
  const fit = new engine.Fit(Float32Array.from(target), height, width, settings);
  let pairs = 0;
  const begun = performance.now();
  for (let i = 0; i < iters; i++) { fit.step(); pairs += fit.drawing.pairs; }
  const ms = (performance.now() - begun) / iters, mse = engine.mse(fit.draw(), fit.target, fit.grad);
  return { ms, pairs: pairs / iters, psnr: -10 * Math.log10(mse) };
}"""

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('photos', nargs='*', default=['sample:china', 'sample:flower'])
    p.add_argument('--strokes', type=int, default=500)
    p.add_argument('--side', type=int, default=240)
    p.add_argument('--iters', type=int, default=300)
    o = p.parse_args()
    source = (files('dsketch_nb')/'static'/'engine.js').read_text(encoding='utf-8')
    chromium = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))))
    print(f'{o.strokes} strokes, {o.iters} iterations, the longer side {o.side} pixels\n')
    print(f'{"":24} {"page: ms":>9} {"pairs":>10} {"dB":>6}   {"Python: ms":>10} {"dB":>6}')
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        for photo in o.photos:
            x = load_picture(photo, max_side=o.side)
            page = browser.new_page()
            r = page.evaluate(RUN, dict(source=source, target=x.movedim(0, -1).flatten().tolist(), height=x.shape[1], width=x.shape[2],
                                        settings=dict(strokes=o.strokes, iters=o.iters), iters=o.iters))
            page.close()
            begun = time.perf_counter()
            scene = imageopt(photo, preset='paint', max_side=o.side, lines=o.strokes, iters=o.iters)
            ms = 1000*(time.perf_counter() - begun)/o.iters
            with torch.no_grad(): psnr = -10*(scene.draw() - x).square().mean().log10().item()
            print(f'{str(photo)[-24:]:24} {r["ms"]:9.1f} {r["pairs"]:10,.0f} {r["psnr"]:6.2f}   {ms:10.1f} {psnr:6.2f}', flush=True)
        browser.close()

if __name__ == '__main__': main()
