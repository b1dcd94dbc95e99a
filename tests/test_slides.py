"""`make slides` makes slides of the page that is meant for it: a figure and a sentence each, notes for the speaker, no code."""
import re, subprocess, sys
from pathlib import Path

import slides

root = Path(__file__).parent.parent

def sections(html): return re.findall(r'<section>\s*<section>(.*?)</section>\s*</section>', html, re.S)

def test_the_command_makes_the_file(tmp_path):
    said = subprocess.run(['make', '-n', '--no-print-directory', 'slides'], cwd=root, capture_output=True, text=True).stdout
    assert said.splitlines()[-1].split()[1:] == ['tests/slides.py']
    done = subprocess.run([sys.executable, root/'tests'/'slides.py', root/'nbs'/'slides.ipynb', tmp_path], capture_output=True, text=True)
    out = tmp_path/'slides.html'
    assert done.returncode == 0 and done.stdout.strip() == str(out), done.stderr
    html = out.read_text(encoding='utf-8')
    first, *ten = sections(html)
    assert 'Ten figures for a talk' in first and 'make slides' not in html and 'Colab' not in html
    assert len(ten) == 10
    for o in ten:
        assert o.count('<h2') == o.count('data:image/png;base64,') == o.count('<aside class="notes">') == 1 and re.search(r'alt="(?!No desc)[^"]{30,}"', o)
        assert 'figure(' not in o and '<details' not in o
    assert 'https://unpkg.com/reveal.js' in html

def test_without_a_network(tmp_path):
    "With reveal.js beside them, the slides ask nobody else for it."
    (tmp_path/'node_modules'/'reveal.js').mkdir(parents=True)
    html = slides.slides(root/'nbs'/'slides.ipynb', tmp_path).read_text(encoding='utf-8')
    assert 'unpkg.com' not in html and 'src="node_modules/requirejs/require.js"' in html and 'node_modules/reveal.js/dist/reveal.js' in html
