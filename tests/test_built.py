"""The pages in a browser: on a telephone, in the dark, with no network. Made by Pandoc from what nbdev hands to Quarto; Quarto's own navigation and search are not there."""
import json, re
from pathlib import Path

import pytest
import yaml
from conftest import watched
from dsketch_nb.site import card_of
from PIL import Image

root = Path(__file__).parent.parent
PHONE = dict(viewport={'width': 390, 'height': 844}, has_touch=True, is_mobile=True)

def opened(browser, folder, **context):
    "A window in which `go(name)` opens a page of the site, and nothing else can be reached; -> page, go, complaints, what else was asked for."
    context = browser.new_context(**context)
    page, wrong = watched(context)
    asked = []
    kinds = {'.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.png': 'image/png', '.webp': 'image/webp', '.svg': 'image/svg+xml'}
    def answer(route):
        url = route.request.url.split('?')[0]
        path = folder/url.removeprefix('http://site.test/')
        if url.startswith('http://site.test/') and path.is_file(): route.fulfill(content_type=kinds.get(path.suffix, 'application/octet-stream'), body=path.read_bytes())
        else: asked.append(url); route.abort()
    page.route('**/*', answer)
    def go(name):
        page.goto(f'http://site.test/{name}')
        page.wait_for_load_state('load')
    return page, go, wrong, asked

def names(folder): return sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*.html'))

def test_formulas_need_no_script(site):
    folder, said = site
    assert not {k: v for k, v in said.items() if v}, 'Pandoc cannot make MathML of a formula'
    assert '<math' in (folder/'raster.html').read_text(encoding='utf-8')

def test_no_page_moves_sideways_asks_elsewhere_or_complains(site, browser):
    "At 390 pixels, with a finger."
    folder, _ = site
    page, go, wrong, asked = opened(browser, folder, **PHONE)
    wide = {}
    for name in names(folder):
        go(name)
        if (w := page.evaluate('() => document.documentElement.scrollWidth')) > 390:
            wide[name] = (w, page.evaluate("""() => [...document.querySelectorAll('main *')].filter(o => o.getBoundingClientRect().right > 391 && !o.closest('pre, table, .cell-output-display, math'))
              .slice(0, 3).map(o => o.outerHTML.slice(0, 80))"""))
    assert not wide and not wrong and not asked, (wide, wrong, asked)

WIDER = """() => [...document.querySelectorAll('pre.columns, main table, main math[display="block"]')].filter(o => o.scrollWidth > o.clientWidth + 1)
  .map(o => [o.tagName, [o.previousElementSibling, o.nextElementSibling].some(p => p?.matches('.more-hint'))])"""

def test_what_is_wider_than_a_phone_says_so(site, browser):
    "Tables, formulas and printed columns, whose rows are not broken."
    folder, _ = site
    page, go, wrong, asked = opened(browser, folder, **PHONE)
    seen = set()
    for name in ('perceptual.html', 'classifiers.html', 'losses.html', 'compiled.html'):
        go(name)
        page.wait_for_timeout(300)                             # the page's own listeners come after `load`
        page.evaluate("() => document.querySelectorAll('details').forEach(o => o.open = true)")
        page.wait_for_timeout(300)
        found = page.evaluate(WIDER)
        assert all(said for _, said in found), (name, found)
        seen |= {tag for tag, _ in found}
        rows = page.evaluate("() => [...document.querySelectorAll('pre.columns')].map(o => [o.textContent.trim().split('\\n').length, o.getBoundingClientRect().height, parseFloat(getComputedStyle(o).lineHeight)])")
        assert all(high < (lines + 2.5)*line for lines, high, line in rows), (name, rows)
    assert {'PRE', 'TABLE'} <= seen and not wrong

PANELS = """() => [...document.querySelectorAll('.panels')].map(row => {
  const img = row.closest('.cell-output-display').querySelector('img'), note = row.closest('.cell-output-display').nextElementSibling.querySelector('[data-panels]');
  const inches = +note.dataset.inches, [W] = note.dataset.size.split(' ').map(Number), boxes = note.dataset.panels.split(',').map(o => o.split(' ').map(Number));
  const r = o => o.getBoundingClientRect();
  return { alt: img.alt, src: img.src, cut: row.getClientRects().length > 0, whole: img.getClientRects().length > 0, width: r(img).width, inches,
    moves: row.closest('.cell-output-display').scrollWidth > row.closest('.cell-output-display').clientWidth,
    panels: [...row.children].map((o, i) => ({ x: Math.round((r(o).x + r(o).right)/20), y: Math.round(r(o).y), right: r(o).right, per_inch: r(o).width/(inches*boxes[i][2]/W), shape: r(o).width/r(o).height*boxes[i][3]/boxes[i][2], back: getComputedStyle(o).backgroundColor })) };
})"""

def test_a_row_of_panels_stands_in_two_columns_on_a_phone(site, browser):
    "At nine tenths or more of the 80 pixels to the inch with which letters of 10 points are 11 pixels. The words for those who do not see are there once, and a touch shows the whole."
    folder, _ = site
    page, go, wrong, asked = opened(browser, folder, **PHONE)
    go('raster.html')
    page.evaluate("() => { document.body.className = 'quarto-dark'; }")
    rows = page.evaluate(PANELS)
    four = [o for o in rows if len(o['panels']) == 4]
    assert len(rows) > 5 and len(four) > 1
    for o in rows:
        assert o['cut'] != o['whole'] and not o['moves'] and o['cut'] == (o['inches']*72 > 359), o['alt']
        if not o['cut']: continue
        assert page.get_by_role('img', name=o['alt'], exact=True).count() == 1
        for p in o['panels']: assert p['per_inch'] >= .9*80 - .5 and abs(p['shape'] - 1) < .02 and p['right'] <= 390 and p['back'] == 'rgb(255, 255, 255)', o
    assert any(len({p['x'] for p in o['panels']}) == 2 and len({p['y'] for p in o['panels']}) == 2 for o in four)
    page.locator('.panels:visible').first.tap()
    page.wait_for_url(next(o['src'] for o in rows if o['cut']))
    go('glossary.html')                                             # one wide plot: it moves by itself, by a key as well
    plot = page.locator('.cell-output-display[tabindex="0"]').first
    plot.focus()
    plot.press('ArrowRight')
    page.wait_for_function('o => o.scrollLeft > 0', arg=plot.element_handle())
    assert not wrong and not asked
    page, go, wrong, asked = opened(browser, folder, viewport={'width': 1200, 'height': 900})
    go('raster.html')
    after = page.evaluate(PANELS)
    assert [o['alt'] for o in after] == [o['alt'] for o in rows] and all(o['whole'] and not o['cut'] and abs(o['width'] - min(900, 96*o['inches'])) < 2 for o in after)
    page.set_viewport_size({'width': 640, 'height': 900})           # no phone: the column is narrower, and figures shrink as before
    page.evaluate('() => new Promise(f => requestAnimationFrame(() => requestAnimationFrame(f)))')
    assert all(o['whole'] and not o['cut'] for o in page.evaluate(PANELS))
    page, go, *_ = opened(browser, folder, java_script_enabled=False, **PHONE)
    go('raster.html')
    assert page.get_by_role('img', name=rows[0]['alt'], exact=True).is_visible()
    assert not wrong and not asked

def test_a_finger_drags_a_point_and_not_the_page(site, browser):
    "On a page that can scroll, far down, with as many moves as a finger makes."
    folder, _ = site
    page, go, wrong, _ = opened(browser, folder, **PHONE)
    go('raster.html')
    dot = page.locator('.strokes', has=page.locator('.strokes-handle')).last.locator('.strokes-handle .dot').first      # the upper end: there is room below it
    dot.scroll_into_view_if_needed()
    page.evaluate("() => { for (const k of ['pointermove', 'pointercancel']) addEventListener(k, () => { window[k] = (window[k] ?? 0) + 1; }, true); }")
    touch, at, before = page.context.new_cdp_session(page), dot.bounding_box(), page.evaluate('() => scrollY')
    x, y = at['x'] + at['width']/2, at['y'] + at['height']/2
    send = lambda kind, *where: touch.send('Input.dispatchTouchEvent', {'type': kind, 'touchPoints': [{'x': a, 'y': b} for a, b in where]})
    send('touchStart', (x, y))
    for i in range(1, 21): send('touchMove', (x + i, y + 4*i))
    send('touchEnd')
    page.evaluate('() => new Promise(f => requestAnimationFrame(() => requestAnimationFrame(f)))')
    now = dot.bounding_box()
    assert before > 300 and page.evaluate('() => scrollY') == before and not page.evaluate('() => window.pointercancel')
    assert page.evaluate('() => window.pointermove') >= 15
    assert abs(now['y'] - at['y'] - 80) < 3 and abs(now['x'] - at['x'] - 20) < 3 and not wrong

CONTRAST = """([what, light]) => [...document.querySelectorAll(what)].filter(o => o.getClientRects().length && o.textContent.trim()).slice(0, 40).map(o => {
  const rgba = s => s.match(/[\\d.]+/g).map(Number), lum = c => { const f = c.slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const layers = [];
  for (let p = o; p; p = p.parentElement) layers.push(rgba(getComputedStyle(p).backgroundColor));
  let back = [255, 255, 255];
  for (const [r, g, b, a = 1] of layers.reverse()) back = [r, g, b].map((v, i) => a * v + (1 - a) * back[i]);
  const [a, b] = [lum(rgba(getComputedStyle(o).color)), lum(back)].sort((p, q) => q - p);
  return [(a + .05) / (b + .05), o.outerHTML.slice(0, 70)];
})"""

@pytest.mark.parametrize('mode', ['light', 'dark'])
def test_text_can_be_read(site, browser, mode):
    "Text, inline code (in links too), links, and the toys' buttons and menus: a contrast of 4.5 or more, as WCAG asks."
    folder, _ = site
    page, go, wrong, _ = opened(browser, folder, viewport={'width': 1200, 'height': 900})
    for name in ('index.html', 'raster.html', 'curves.html', 'widgets.html'):
        go(name)
        page.evaluate("m => { document.body.className = 'quarto-' + m; }", mode)
        if name != 'index.html': page.locator('.strokes-controls button').first.wait_for()
        for what in ('main p', 'main :not(pre) > code', 'main a', 'main a > code', '.strokes-controls button', '.strokes-controls select', '.strokes-caption', '.cell-output pre', '.start a'):
            poor = [o for o in page.evaluate(CONTRAST, [what, mode == 'light']) if o[0] < 4.5]
            assert not poor, (name, what, poor[:3])
    assert not wrong

def test_films_and_playgrounds_move_without_a_kernel(site, browser):
    folder, _ = site
    page, go, wrong, asked = opened(browser, folder, viewport={'width': 1200, 'height': 900})
    go('widgets.html')
    toy = page.locator('.strokes-frames').first
    src = lambda o: o.locator('img').get_attribute('src')
    toy.wait_for()
    first, slider = src(toy), toy.get_by_role('slider', name='tall')
    slider.press('End')
    assert src(toy) != first and toy.get_by_role('status').inner_text().startswith('tall 1,') and slider.get_attribute('aria-valuetext').startswith('tall 1,')
    assert 'With a kernel, these move as well: pen' in toy.inner_text()
    film = page.locator('.strokes-frames').filter(has=page.get_by_role('button'))
    film.get_by_role('slider').press('Home')
    assert film.get_by_role('status').inner_text() == '0 hours'
    film.get_by_role('button', name='play').click()
    film.get_by_role('status').filter(has_text=re.compile('^[1-9]')).wait_for()
    film.get_by_role('slider').press('End')                                      # a hand on the slider stops it
    assert film.get_by_role('status').inner_text() == '12 hours' and film.get_by_role('img').get_attribute('alt') == 'the hand of a clock: 12 hours'
    film.get_by_role('button', name='play').click()                              # from its end it begins again
    film.get_by_role('status').filter(has_text=re.compile('^[0-9](\\.5)? hours')).wait_for()
    assert not wrong and not asked

def test_each_page_has_a_card(processed):
    "A picture of the size that messengers ask for, named in the front matter Quarto reads."
    for page in sorted((processed/'_proc').rglob('*.ipynb')):
        where = page.relative_to(processed/'_proc')
        card = root/'nbs'/card_of(where.as_posix())
        assert card.is_file(), f'{where}: `python tests/cards.py --missing` makes its card'
        assert Image.open(card).size == (1200, 630) and card.stat().st_size < 150_000
        front = re.search(r'^image: (\S+)$', ''.join(json.loads(page.read_text(encoding='utf-8'))['cells'][0]['source']), re.M)
        assert front and (page.parent/front[1]).resolve() == (processed/'_proc'/card_of(where.as_posix())).resolve(), where
    kept = {card_of(p.relative_to(processed/'_proc').as_posix()) for p in (processed/'_proc').rglob('*.ipynb')}
    assert {p.relative_to(root/'nbs').as_posix() for p in (root/'nbs/images/cards').glob('*')} == kept, 'cards of pages that are gone'

def test_what_quarto_is_told():
    "Checked with Quarto 1.7: html beside another format needs `keep-md`, or the site fails after its last page; no theme may fetch a font, no formula a script."
    said = yaml.safe_load((root/'_quarto.yml').read_text(encoding='utf-8'))
    html = said['format']['html']
    assert list(said['format']) == ['html'] or html.get('keep-md'), 'html beside a second format needs `keep-md: true`'
    assert html['html-math-method'] == 'mathml' and html['respect-user-color-scheme'] is True and html['canonical-url'] is True
    theme = (root/'nbs/theme.scss').read_text(encoding='utf-8')
    assert all(layers[-1] == 'theme.scss' for layers in html['theme'].values()) and '$web-font-path: false;' in theme
    site = said['website']
    assert site['open-graph'] and site['twitter-card'] == {'card-style': 'summary_large_image'}
    for o in (site['favicon'], site['image'], html['css'], '404.qmd', *said['project']['resources'][:2]): assert (root/'nbs'/o).is_file(), o
    for o in ('styles.css', 'theme.scss', 'site.js', 'strokes.js'): assert not re.search(r'@import|url\((?!"\$\{img\.src\}")|https?://(?!page|www\.w3\.org)', (root/'nbs'/o).read_text(encoding='utf-8')), o
