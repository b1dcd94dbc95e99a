"""The site that `nbdev_docs` makes: its pages can be processed, every picture says in words what it shows, and every link inside arrives."""
import json, os, re, shutil, subprocess, sys, warnings
from pathlib import Path
from urllib.parse import unquote, urlparse, parse_qs

import pytest
import yaml

root = Path(__file__).parent.parent
pages = sorted(p for p in (root/'nbs').rglob('*.ipynb') if not any(o.startswith(('.', '_')) for o in p.relative_to(root).parts))
name = lambda p: p.relative_to(root/'nbs').with_suffix('').as_posix()

def cells(page, *kinds): return [c for c in json.loads(page.read_text(encoding='utf-8'))['cells'] if c['cell_type'] in kinds]
def text(o): return o if isinstance(o, str) else ''.join(o)
def prose(source):
    "Markdown without its code, in which brackets are no links and `<img>` is no picture."
    return re.sub(r'^(```+|~~~+).*?^\1|(`+)(?!`).*?(?<!`)\2(?!`)|<!--.*?-->', '', text(source), flags=re.S | re.M)

LINK, TAG_LINK = re.compile(r'\]\(<?([^)\s>]+)'), re.compile(r'''<(?:a|img|source|video|script)\b[^>]*?\s(?:href|src)=["']([^"']+)''')
def links(source): return LINK.findall(prose(source)) + TAG_LINK.findall(prose(source))
def is_outside(link): return re.match(r'[a-z][a-z+.-]*:|//', link)

def anchors(markdown):
    "Where a link may arrive in a text: its headings as Pandoc names them, and explicit ids."
    found = set(re.findall(r'''\sid=["']([^"']+)''', markdown))
    for heading in re.findall(r'^#{1,6} +(.+?) *$', re.sub(r'^(```+).*?^\1', '', markdown, flags=re.S | re.M), re.M):
        words, _, given = heading.partition(' {')
        words = re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', words).lower()
        found.add(re.sub(r'^[^a-z]+', '', '-'.join(re.sub(r'[^\w\s.-]', '', words).split())))
        found.update(re.findall(r'#([\w.-]+)', given))
    return found

def page_anchors(page): return set().union(*(anchors(text(c['source'])) for c in cells(page, 'markdown')))

def broken(page, sources):
    "The links of a page that arrive nowhere: no such file, or no such heading."
    wrong = []
    for link in (o for s in sources for o in links(s) if not is_outside(o)):
        where, _, anchor = link.partition('#')
        goal = (page.parent/where).resolve() if where else page
        if not goal.is_file(): wrong.append(link)
        elif anchor and anchor not in (page_anchors(goal) if goal.suffix == '.ipynb' else anchors(goal.read_text(encoding='utf-8'))): wrong.append(link)
    return wrong

def directives(source):
    "What the lines `#| key: value` at the head of a cell say to Quarto."
    head = re.match(r'(?:#\|.*\n?)*', source)[0].splitlines()
    return {k: v for l in head if ':' in l for k, v in yaml.safe_load(l[2:].strip()).items()}

def nameless(html):
    "The pictures in some HTML of which nothing is said."
    html = re.sub(r'''<(\w+)\b[^>]*\srole=["']img["'] aria-label=["'][^"']+["'][^>]*>.*?</\1>''', '', html, flags=re.S)       # one name for all that is inside
    tags = re.findall(r'<img\b[^>]*>', html) + re.findall(r'<svg\b[^>]*>(?:\s*<title>[^<]+)?', html)
    return [t[:80] for t in tags if not re.search(r'''\s(?:alt|aria-label)=["'][^"']+|\saria-hidden=["']true|<title>''', t)]

def without_words(cell):
    "The pictures of a cell that have no alternative text."
    if cell['cell_type'] == 'markdown':
        source = prose(cell['source'])
        return re.findall(r'!\[\s*\]\([^)]*\)', source) + nameless(source)
    wrong, alt = [], directives(text(cell['source'])).get('fig-alt')
    for o in cell['outputs']:
        data = o.get('data', {})
        html = text(data.get('text/html', ''))
        wrong += nameless(html)
        if any(k.startswith('image/') for k in data) and not re.search(r'<(img|svg|video|canvas)\b', html):
            if not (isinstance(alt, str) and len(alt.split()) > 2): wrong.append(f"{text(cell['source'])[:60]!r}: a line `#| fig-alt: \"what is to be seen\"` is missing")
    return wrong

@pytest.mark.parametrize('page', pages, ids=name)
def test_links_arrive(page):
    assert not broken(page, [c['source'] for c in cells(page, 'markdown')])

def test_readme_and_navigation_arrive():
    assert not broken(root/'README.md', [(root/'README.md').read_text(encoding='utf-8')])
    navbar = yaml.safe_load((root/'_quarto.yml').read_text(encoding='utf-8'))['website']['navbar']
    goals = [o['href'] for side in ('left', 'right') for o in navbar.get(side, []) if not is_outside(o['href'])]
    assert goals and not [o for o in goals if not (root/'nbs'/o).is_file()]

def title_of(page): return re.match(r'# (.+)', next(text(c['source']) for c in cells(page, 'markdown')))[1]

def test_pages_are_called_by_their_titles():
    "On the home page and in the bar at the top, so that a reader knows where a link has led."
    called = [(words, root/'nbs'/where) for c in cells(root/'nbs'/'index.ipynb', 'markdown') for words, where in re.findall(r'\[([^]]+)\]\(([\w/]+\.ipynb)\)', text(c['source']))]
    site = yaml.safe_load((root/'_quarto.yml').read_text(encoding='utf-8'))['website']
    assert {p for _, p in called} == {p for p in pages if p.stem != 'index'}, 'the home page leads to every page'
    assert not [(words, title_of(p)) for words, p in called if words != title_of(p) and not words.startswith(('in your browser', 'Take your own', 'drawing pad', 'glossary', '![', 'Start here'))]
    for o in site['navbar']['left']:
        if not o['href'].startswith('tutorials/') and o['text'] != 'Commands': assert title_of(root/'nbs'/o['href']).startswith(o['text']), o
    settings = dict(l.split(' = ', 1) for l in (root/'settings.ini').read_text(encoding='utf-8').splitlines() if ' = ' in l)
    assert [o['href'] for o in site['navbar']['right']] == [settings['git_url']] and (root/'nbs'/site['image']).is_file()

def test_every_page_can_be_run_elsewhere():
    "Its links to Colab and Binder open this notebook; Colab installs the package first, Binder has what it needs. (The services themselves are not asked.)"
    settings = dict(l.split(' = ', 1) for l in (root/'settings.ini').read_text(encoding='utf-8').splitlines() if ' = ' in l)
    repo, branch = f"{settings['user']}/{settings['repo']}", settings['branch']
    assert settings['git_url'] == f'https://github.com/{repo}'
    for page in pages:
        mine = page if page.stem != 'index' else root/'nbs'/'00_raster.ipynb'                     # the home page leads to the first
        found = [o for c in cells(page, 'markdown') for o in links(c['source'])]
        colab = [urlparse(o) for o in found if 'colab.research.google.com' in o]
        binder = [urlparse(o) for o in found if 'mybinder.org' in o]
        assert len(colab) == len(binder) == 1, f'{page.name}: `make readme` gives it its links'
        head, where = colab[0].path.split(f'/blob/{branch}/')
        assert head == f'/github/{repo}' and (root/unquote(where)) == mine and mine.is_file()
        assert binder[0].path == f'/v2/gh/{repo}/{branch}' and root/parse_qs(binder[0].query)['labpath'][0] == mine
        if page.stem != 'index':
            code = [text(c['source']) for c in cells(page, 'code')]
            first = next(i for i, o in enumerate(code) if 'find_spec' in o)
            assert f'git+https://github.com/{repo}@{branch}' in code[first] and not any('import ' in o.replace('__import__', '') for o in code[:first])
    assert os.access(root/'.binder'/'postBuild', os.X_OK) and "pip install --no-cache-dir -e '.[dev]'" in (root/'.binder'/'postBuild').read_text(encoding='utf-8')

@pytest.mark.parametrize('page', pages, ids=name)
def test_flags_stay_flags(page):
    "Pandoc, which makes the site, turns `--` into a dash and quotes into curly ones wherever code is not in backticks, in `<code>` too; and Markdown inside `<details>` needs an empty line before it."
    for c in cells(page, 'markdown'):
        said = prose(c['source'])
        assert '<code' not in said and not re.search(r'(?<![-\w])--\w', said), text(c['source'])[:200]
        assert not re.search(r'</summary>\n?[^\n<]*`', text(c['source'])), text(c['source'])[:200]

@pytest.mark.parametrize('page', pages, ids=name)
def test_pictures_have_words(page):
    assert not [w for c in cells(page, 'markdown', 'code') for w in without_words(c)]

def test_the_checks_see():
    "What the tests above look for is found when it is there."
    page = root/'nbs'/'index.ipynb'
    assert broken(page, ['[a](nowhere.ipynb), [b](00_raster.ipynb#nowhere), ![c](images/nowhere.png), <a href="gone.html">d</a>, `[e](code)`']) == ['nowhere.ipynb', '00_raster.ipynb#nowhere', 'images/nowhere.png', 'gone.html']
    assert anchors('## Step 1: only the *touched* `pixels`\n### Named {#here}\n```\n# code\n```') == {'step-1-only-the-touched-pixels', 'named', 'here'}
    shown = [dict(data={'image/png': 'iVBO'})]
    said = '#| slow\n#| fig-alt: "A line: straight, and \\"thin\\"."\nshow()'
    assert without_words(dict(cell_type='code', source='show()', outputs=shown)) and not without_words(dict(cell_type='code', source=said, outputs=shown))
    assert directives(said)['fig-alt'] == 'A line: straight, and "thin".'
    still = lambda html: without_words(dict(cell_type='code', source='w', outputs=[dict(data={'image/png': '', 'text/html': html})]))
    assert not still('<img alt="A line">') and still('<img src="x">') and still('<svg width="3"></svg>') and not still('<svg><title>A line</title></svg>')
    assert not still('<figure role="img" aria-label="A line"><svg></svg></figure>') and still('<figure role="img" aria-label=""><svg></svg></figure>')
    assert without_words(dict(cell_type='markdown', source='![](a.png)')) and not without_words(dict(cell_type='markdown', source='an `<img>`, ![a line](a.png)'))

def test_site_is_complete(processed):
    made = {p.relative_to(processed/'_proc') for p in (processed/'_proc').rglob('*.ipynb')}
    assert made == {p.relative_to(root/'nbs') for p in pages}
    sidebar = yaml.safe_load((processed/'nbs'/'sidebar.yml').read_text(encoding='utf-8'))['website']['sidebar']['contents']
    listed = [page for o in sidebar for page in ([o] if isinstance(o, str) else o['contents'])]
    assert sorted(listed) == sorted(p.as_posix() for p in made), 'nbs/sidebar.yml is the list of chapters: each page is in it, once'
    assert (processed/'nbs'/'nbdev.yml').read_text(encoding='utf-8') == (root/'nbs'/'nbdev.yml').read_text(encoding='utf-8'), 'nbs/nbdev.yml is not what settings.ini says'
    for o in ('_quarto.yml', 'sidebar.yml', 'nbdev.yml', 'styles.css', 'strokes.js', 'images/drawing-still.webp'): assert (processed/'_proc'/o).is_file(), o

def test_processed_links_arrive(processed):
    "Relative ones, and those that nbdev makes of names in backticks, which lead to a definition on a page of the site."
    settings = dict(l.split('=', 1) for l in (root/'settings.ini').read_text(encoding='utf-8').splitlines() if '=' in l and l[0] != '#')
    settings = {k.strip(): v.strip() for k, v in settings.items()}
    home, goals, sources, wrong = f"{settings['doc_host']}{settings['doc_baseurl']}/", {}, {}, []
    for page in sorted((processed/'_proc').rglob('*.ipynb')):
        found = cells(page, 'markdown', 'raw', 'code')
        sources[page] = [text(c['source']) for c in found if c['cell_type'] == 'markdown'] + [text(o['data']['text/markdown']) for c in found for o in c.get('outputs', []) if 'text/markdown' in o.get('data', {})]
        front = next((re.search(r'^output-file: *(\S+)', text(c['source']), re.M) for c in found if c['cell_type'] == 'raw'), None)
        made = front[1] if front else page.with_suffix('.html').name
        goals[(page.parent.relative_to(processed/'_proc')/made).as_posix()] = set().union(*map(anchors, sources[page]))
    for page, said in sources.items():
        wrong += [f'{page.name}: {o}' for o in broken(page, [s for s in said if '[source](' not in s])]
        for link in (o for s in said for o in links(s) if o.startswith(home)):
            where, _, anchor = link[len(home):].partition('#')
            if where not in goals or anchor and anchor not in goals[where]: wrong.append(f'{page.name}: {link}')
    assert not wrong, "\n".join(sorted(wrong))

def without_code(markdown): return re.sub(r'^(```+|~~~+).*?^\1', '', markdown, flags=re.S | re.M)

def test_processed_pages_say_all(processed):
    "nbdev takes title and promise out of the first cell, and drops whatever else stands there; it makes links of names in backticks, even where a link is no use."
    wrong = []
    for page in pages:
        made = cells(processed/'_proc'/page.relative_to(root/'nbs'), 'markdown', 'raw', 'code')
        front = yaml.safe_load(text(made[0]['source']).strip().strip('-'))
        first = text(cells(page, 'markdown')[0]['source'])
        assert re.fullmatch(r'# .+\n\n> .+', first), f'{page.name}: the first cell is title and promise, and nothing else: the site shows no more of it'
        assert first == f"# {front['title']}\n\n> {front['description']}"
        shown = [text(c['source']) for c in made if c['cell_type'] == 'markdown']
        words = lambda o: re.findall(r'\w+', re.sub(r'\]\([^)]*\)', ']', o))
        for c in cells(page, 'markdown')[1:]: assert any(words(text(c['source'])) == words(o) for o in shown), f"{page.name}: the site lacks {text(c['source'])[:60]!r}"
        reference = [text(o['data']['text/markdown']) for c in made for o in c.get('outputs', []) if 'text/markdown' in o.get('data', {})]
        wrong += [f'{page.name}: a link within a link: {o[:80]!r}' for o in shown if '[[`' in o]
        taught = {k for c in cells(page, 'code') if text(c['source']).startswith('#| exports') for k in re.findall(r'^def (_?\w+)\(self:_', text(c['source']), re.M)}
        for o in reference:
            code = '\n'.join(re.findall(r'^```.*?^```', o, re.S | re.M))
            if '](http' in code: wrong.append(f'{page.name}: a name in backticks in a signature becomes a link that does not work there: {code[:300]}')
            name = re.search(r'^#+ (\S+)', without_code(o), re.M)
            if name and '[source]' in o and name[1].split('.')[-1] not in taught:             # whose code is on the page
                if name[1].startswith('_'): wrong.append(f"{page.name}: {name[1]} is nobody else's business: `#| exporti` instead of `#| export`")
                borrowed = re.search(r'^\*(Call self as a function|Return repr|Public constructor|Define the computation|Set the module in training|Initialize self).*', o, re.M)
                if borrowed: wrong.append(f'{page.name}: {name[1]} has no docstring of its own: {borrowed[0]}')
    assert not wrong, '\n'.join(wrong)

def test_processed_pages_convert(processed):
    from nbconvert import HTMLExporter
    exporter = HTMLExporter()
    exporter.register_filter('clean_html', lambda html: html)  # half of the time, to tidy code that is our own
    for page in sorted((processed/'_proc').rglob('*.ipynb')):
        assert not [w for c in cells(page, 'markdown', 'code') for w in without_words(c)], f'{page.name}: nbdev has lost an alternative text'
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')                # pictures that nbconvert takes no `fig-alt` for
            html, _ = exporter.from_filename(str(page))
        assert html.rstrip().endswith('</html>') and '<h' in html
