"""`python tests/slides.py [PAGE [FOLDER]]`: a page as slides, nbs/slides.ipynb as _slides/slides.html if nothing else is said. Nothing is run: the slides show what the page holds.

A heading `##` begins a slide, a folded text (`<details>`) becomes what the speaker sees (key s), code is left out. A browser loads reveal.js from unpkg.com when it shows the slides. For a room without a network, `npm install --prefix _slides reveal.js@4 requirejs jquery` puts it beside them; make them again then."""
import re, sys
from html import escape
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter

root = Path(__file__).parent.parent
LOOK = '''<style>.reveal h1, .reveal h2 { text-transform: none; font-size: 1.5em; text-align: left }
.reveal .jp-OutputArea-output img { width: 100%; height: auto; max-height: 430px; object-fit: contain }
.reveal .jp-InputPrompt, .reveal .jp-OutputPrompt { display: none } .reveal a { pointer-events: none; color: inherit }</style>'''

def slide_type(cell):
    "What a cell is among slides, in nbconvert's words."
    s = cell.source
    if cell.cell_type == 'code': return '-' if cell.outputs else 'skip'
    if re.match(r'#{1,2} ', s): return 'slide'
    if s.startswith('<details>'): return 'notes'
    return 'skip' if re.match(r'\*\*[^*]+\*\* · \d+ minutes|Next: ', s) else '-'

def slides(page, folder):
    "The file of slides that is made of a page."
    nb, folder = nbformat.read(page, 4), Path(folder)
    begun = False                                                       # what stands between the title and the first slide is for readers of the page
    for cell in nb.cells:
        begun = begun or cell.source.startswith('## ')
        cell.metadata['slideshow'] = {'slide_type': slide_type(cell) if begun or cell.source.startswith('# ') else 'skip'}
        if slide_type(cell) == 'notes': cell.source = re.sub(r'</?details>|<summary>.*?</summary>', '', cell.source).strip()
    exporter = SlidesExporter(exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True)
    exporter.reveal_number = 'c/t'
    if (folder/'node_modules'/'reveal.js').is_dir():
        exporter.reveal_url_prefix = 'node_modules/reveal.js'
        exporter.require_js_url, exporter.jquery_url = 'node_modules/requirejs/require.js', 'node_modules/jquery/dist/jquery.min.js'
    html, _ = exporter.from_notebook_node(nb, {'metadata': {'name': Path(page).stem}})
    said = iter(re.findall(r'^#\| fig-alt: "(.*)"$', '\n'.join(c.source for c in nb.cells if c.cell_type == 'code'), re.M))
    html = re.sub(r'alt="No description[^"]*"', lambda m: f'alt="{escape(next(said))}"', html)
    folder.mkdir(parents=True, exist_ok=True)
    out = folder/f'{Path(page).stem}.html'
    out.write_text(html.replace('</head>', LOOK + '</head>', 1), encoding='utf-8')
    return out

if __name__ == '__main__': print(slides(*(sys.argv[1:] + [root/'nbs'/'slides.ipynb', root/'_slides'][len(sys.argv) - 1:])))
