"""Reading a page harms nothing: pages run and saved in JupyterLab leave the package alone, and `make test`'s first step says at once how to put them back."""
import json, os, shutil, subprocess, sys
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
PAGES = ['tutorials/01_first_gradient.ipynb', '03_command.ipynb']
if os.environ.get('DSKETCH_LONG'): PAGES = sorted(p.relative_to(root/'nbs').as_posix() for p in (root/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
LEFT_OUT = '#| slow', '#| cuda', '#| notest'

def git(folder, *args): return subprocess.run(['git', '-c', 'user.name=a reader', '-c', 'user.email=reader@page.test', *args], cwd=folder, capture_output=True, text=True, check=True).stdout

@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    "The project as git has it, or would have it."
    copy = tmp_path_factory.mktemp('clone')/'project'
    skip = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', '_proc', '_docs', 'weights')
    for o in ('nbs', 'dsketch_nb', 'tests'): shutil.copytree(root/o, copy/o, ignore=skip)
    for o in ('settings.ini', '_quarto.yml', 'README.md', '.gitignore'): shutil.copy(root/o, copy/o)
    git(copy, 'init', '-q'); git(copy, 'add', '-A'); git(copy, 'commit', '-qm', 'as it is')
    return copy

def in_step(copy):
    done = subprocess.run([sys.executable, 'tests/in_step.py'], cwd=copy, capture_output=True, text=True, env=os.environ | {'PYTHONPATH': str(copy)})
    return done.returncode, done.stdout

def test_no_page_exports():
    "What a reader tries on a page must not reach the package; authors run `nbdev_export`."
    for page in (root/'nbs').rglob('*.ipynb'):
        if '.ipynb_checkpoints' in page.parts: continue
        for c in json.loads(page.read_text(encoding='utf-8'))['cells']:
            if c['cell_type'] == 'code': assert 'nbdev_export' not in ''.join(c['source']) and 'nb_export' not in ''.join(c['source']), page.name

def test_pages_run_and_saved_in_jupyterlab(lab, clone):
    "Two pages (all of them with DSKETCH_LONG=1), as a reader does it. Then the first step of `make test` names them and the command that helps, which does help; a changed export is not put into the package either."
    assert in_step(clone)[0] == 0
    saved = [o for o in PAGES if not any(k in (clone/'nbs'/o).read_text(encoding='utf-8') for k in LEFT_OUT)]
    package = {p: p.read_bytes() for p in (clone/'dsketch_nb').glob('*.py')}
    for name in PAGES:
        notebook = lab.open(name)
        for flag in LEFT_OUT:
            while notebook.holds(flag): notebook.drop(flag)
        try: notebook.run_all()
        except AssertionError as e: raise AssertionError(f'{name}: {e}') from None
        notebook.command('docmanager:save')
        notebook.page.wait_for_function('() => !window.jupyterapp.shell.currentWidget.context.model.dirty')
        notebook.page.close()
        if name in saved: shutil.copy(lab.folder/'nbs'/name, clone/'nbs'/name)
    assert git(clone, 'status', '--porcelain').count('.ipynb') == len(saved)          # they were saved, with their counts and widgets
    failed, said = in_step(clone)
    assert failed and said.startswith(f'You have run and saved {len(saved)} pages and changed no word: `git checkout -- ') and said.count('\n') == 1
    assert {p: p.read_bytes() for p in package} == package
    subprocess.run(said.split('`')[1], shell=True, cwd=clone, check=True, capture_output=True)
    assert in_step(clone)[0] == 0

def test_an_experiment_on_a_page_stays_there(clone):
    "A reader changes an exported line and saves: the check says so, and changes nothing."
    page = clone/'nbs'/'00_raster.ipynb'
    before, package = page.read_bytes(), (clone/'dsketch_nb'/'raster.py').read_bytes()
    page.write_bytes(before.replace(b'min=1e-20', b'min=1e-3'))
    assert page.read_bytes() != before
    failed, said = in_step(clone)
    assert failed and 'dsketch_nb/raster.py is not what the pages export: run `nbdev_export` and commit the result, or put your page back' in said
    assert (clone/'dsketch_nb'/'raster.py').read_bytes() == package
    page.write_bytes(before)
