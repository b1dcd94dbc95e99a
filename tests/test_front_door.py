"""`from dsketch_nb import ...`: every promised name is the object promised, whatever was imported before, and nothing is imported that is not asked for."""
import ast, inspect, json, os, random, subprocess, sys
from pathlib import Path

import pytest

import dsketch_nb
from dsketch_nb import PROMISED, COMPLETED_BY

root = Path(__file__).parent.parent

def fresh(code):
    "What a new interpreter prints, in which nothing of ours has been imported."
    done = subprocess.run([sys.executable, '-W', 'error::ImportWarning', '-c', code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout

def test_the_package_alone_imports_nothing():
    heavy = "{'torch', 'numpy', 'numba', 'PIL', 'matplotlib', 'fastcore'}"
    assert fresh(f'import sys, dsketch_nb; dir(dsketch_nb); dsketch_nb.__version__; print({heavy} & set(sys.modules))').strip() == 'set()'

ORDERS = {'from nothing': '', 'after `import dsketch_nb.draw`': 'import dsketch_nb.draw', 'after `import dsketch_nb.imageopt`': 'import dsketch_nb.imageopt',
          'after one of a room\'s names': 'from dsketch_nb.draw import draw; from dsketch_nb.losses import Loss', 'after dsketch_nb.all': 'from dsketch_nb.all import *'}

@pytest.mark.parametrize('before', ORDERS.values(), ids=ORDERS)
def test_promised_names_are_what_is_promised(before):
    names = list(PROMISED)
    random.Random(before).shuffle(names)
    said = fresh(before + f'''
import importlib, inspect, json
from types import ModuleType
for name, room in {[(n, PROMISED[n]) for n in names]}:
    exec(f'from dsketch_nb import {{name}} as got')
    module = importlib.import_module(f'dsketch_nb.{{room}}')
    wanted = module if name == room else getattr(module, name)
    assert got is wanted is getattr(importlib.import_module('dsketch_nb'), name), name
    if name in ('draw', 'imageopt'):
        main = getattr(module, name)
        assert callable(got) and inspect.signature(got) == inspect.signature(main) and inspect.isfunction(main), name
        assert main.__doc__ in got.__doc__, name
import dsketch_nb, torch
from dsketch_nb import Scene, Loss, Encoder, Decoder
from dsketch_nb.draw import draw as function
import dsketch_nb.draw as module
lines = torch.zeros(1, 2, 2)
assert torch.equal(dsketch_nb.draw(lines, (3, 4), .1), function(lines, (3, 4), .1)) and module.draw is function
for family, member in ((Loss, 'LPIPSLoss'), (Encoder, 'SimpleMLPEncoder'), (Decoder, 'RNNBezierDecoder')): family.find(member)
for method in ('from_svg', 'save_animation', 'save_svg', 'save_pdf', 'save_png', 'save_html'): assert callable(getattr(Scene, method)), method
print(set(dsketch_nb.PROMISED) <= set(dir(dsketch_nb)))''')
    assert said.strip().endswith('True')

def test_a_room_alone_says_what_to_import():
    said = fresh('''
from dsketch_nb.losses import Loss
try: Loss.find('LPIPSLoss')
except ValueError as e: print(e)''')
    assert 'dsketch_nb.all' in said

def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'dsketch_nb' has no attribute 'drew'"): dsketch_nb.drew
    with pytest.raises(ImportError, match='drew'): exec('from dsketch_nb import drew')

def test_a_type_checker_sees_the_same_names():
    tree = ast.parse((root/'dsketch_nb'/'__init__.py').read_text(encoding='utf-8'))
    block = next(n for n in tree.body if isinstance(n, ast.If) and getattr(n.test, 'id', '') == 'TYPE_CHECKING')
    seen = {a.name: (n.module or a.name) for n in block.body for a in n.names}
    assert seen == PROMISED and (root/'dsketch_nb'/'py.typed').is_file()

def test_help_shows_shapes_units_and_an_example():
    for name in ('draw', 'imageopt'):
        text = getattr(dsketch_nb, name).__doc__
        assert 'dsketch_nb import' in text or '>>>' in text, f'{name}: an example is missing'
    assert 'grid units' in dsketch_nb.draw.__doc__

@pytest.mark.parametrize('first', ['dsketch_nb.scene', 'dsketch_nb.vectors', 'dsketch_nb.svg'])
def test_a_scene_brings_its_vector_files(first):
    "Two rooms, one import, whichever is first: old programs write SVG with `dsketch_nb.scene` alone."
    said = fresh(f"import {first}; from dsketch_nb.scene import Scene; s = Scene(4, 5); print(s.to_svg()[:4], s.to_pdf()[:4], *s._repr_mimebundle_())")
    assert said.split() == ['<svg', "b'%PDF'", 'image/svg+xml']
