"""Every page runs from top to bottom, and is fit to be shown."""
import json, re
from pathlib import Path

import pytest
from nbdev.test import test_nb

pages = sorted(p for p in (Path(__file__).parent.parent/'nbs').rglob('*.ipynb') if not any(o.startswith(('.', '_')) for o in p.parts[-2:]))

@pytest.mark.parametrize('page', pages, ids=lambda p: p.stem)
def test_page_runs(page):
    ok, seconds = test_nb(page, skip_flags=['notest', 'slow', 'cuda'], do_print=False)
    assert ok, f'{page.name} fails; run it in JupyterLab to see where'

@pytest.mark.parametrize('page', pages, ids=lambda p: p.stem)
def test_page_is_fit_to_show(page):
    cells = json.loads(page.read_text(encoding='utf-8'))['cells']
    for c in cells:
        for o in c.get('outputs', []):
            assert o['output_type'] != 'error', f"{page.name}: a committed error: {o.get('ename')}"
            assert o.get('name') != 'stderr', f"{page.name}: something on stderr: {o['text']}"
            data = o.get('data', {})
            assert 'application/vnd.jupyter.widget-view+json' not in data or 'image/png' in data, f'{page.name}: a widget that shows nothing without a kernel'
        src = ''.join(c['source'])
        assert not (src.startswith('#| export') and src.count('\n') > 45), f'{page.name}: an exported cell of over 45 lines: {src[:60]}'
    assert not re.search(r'/(home|root|tmp|Users)/', json.dumps(cells)), f"{page.name}: a path of one person's machine"
