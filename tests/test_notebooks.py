"""Every page runs from top to bottom, and is fit to be shown."""
import json, os, re, subprocess, sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pages = sorted(p for p in (Path(__file__).parent.parent/'nbs').rglob('*.ipynb') if not any(o.startswith(('.', '_')) for o in p.parts[-2:]))

@pytest.mark.skipif('NBDEV_TEST_RAN' in os.environ, reason='`make test` has just run every page by nbdev_test')
@pytest.mark.parametrize('page', pages, ids=lambda p: p.stem)
def test_page_runs(page):
    if page.stem == '02b_gpu' and not find_spec('triton'): pytest.skip('no Triton: it comes with PyTorch for Linux')
    # in a process of its own: a page defines classes, and registers them by name
    run = "import sys; from pathlib import Path; from nbdev.test import test_nb; sys.exit(not test_nb(Path(sys.argv[1]), skip_flags=['notest', 'slow', 'cuda'])[0])"
    done = subprocess.run([sys.executable, '-c', run, page], capture_output=True, text=True, cwd=page.parent)
    assert done.returncode == 0, f'{page.name} fails:\n{done.stderr[-2000:]}'

@pytest.mark.parametrize('page', pages, ids=lambda p: p.stem)
def test_page_is_fit_to_show(page):
    cells = json.loads(page.read_text(encoding='utf-8'))['cells']
    for c in cells:
        printed = [o for o in c.get('outputs', []) if o['output_type'] == 'stream']
        assert len(printed) == len({o['name'] for o in printed}), f'{page.name}: what one cell printed is in several pieces, which the site shows apart: `python tests/pages.py --strip` joins them'
        assert not any('dsketch_nb: compiling' in ''.join(o['text']) for o in printed), f'{page.name}: a word of compiling, which happens once on a machine: `python tests/pages.py --strip` removes it'
        for o in c.get('outputs', []):
            assert o['output_type'] != 'error', f"{page.name}: a committed error: {o.get('ename')}"
            assert o.get('name') != 'stderr', f"{page.name}: something on stderr: {o['text']}"
            data = o.get('data', {})
            assert 'application/vnd.jupyter.widget-view+json' not in data, f'{page.name}: a widget whose kernel is gone: `python tests/pages.py --strip` keeps its still picture'
        src = ''.join(c['source'])
        assert not (src.startswith('#| export') and src.count('\n') > 45), f'{page.name}: an exported cell of over 45 lines: {src[:60]}'
    assert not re.search(r'/(home|root|tmp|Users)/', json.dumps(cells)), f"{page.name}: a path of one person's machine"
