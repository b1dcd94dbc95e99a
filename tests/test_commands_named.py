"""Every command line that README and pages name: the real parser knows its flags, and it runs.

It is run on tiny pictures with two iterations or one epoch. What needs a data set or weights that are not there ends in one clear line instead."""
import configparser, fnmatch, importlib, json, re, shlex, shutil
from pathlib import Path

import pytest
from PIL import Image

root = Path(__file__).parent.parent

def scripts():
    "The package's commands -> their functions."
    settings = configparser.ConfigParser(delimiters=['='], interpolation=None)
    settings.read(root/'settings.ini', encoding='utf-8')
    found = dict(o.split('=') for o in settings['DEFAULT']['console_scripts'].split())
    return {k: getattr(importlib.import_module(v.split(':')[0]), v.split(':')[1]) for k, v in found.items()}

SCRIPTS = scripts()
START = re.compile(r'^(?:\$ |! ?|%run )?(?:\.venv/bin/)?(?:(?:accelerate launch|torchrun) (?:--\S+(?: \d+)? )*)?(' + '|'.join(sorted(SCRIPTS, key=len, reverse=True)) + r')(?= |$)')

def sources():
    "Texts that a reader may copy from: (where, text, is it code of a notebook?)"
    for p in sorted([root/'README.md', *root.glob('*.md'), *(root/'nbs').rglob('*.ipynb')]):
        if any(o.startswith(('.', '_')) for o in p.relative_to(root).parts): continue
        if p.suffix == '.md': yield p.name, p.read_text(encoding='utf-8'), False
        else:
            for c in json.loads(p.read_text(encoding='utf-8'))['cells']: yield p.stem, ''.join(c['source']), c['cell_type'] == 'code'

def named(text, code=False):
    "The command lines in a text: in fenced blocks, in backticks, and in a notebook's cells behind an exclamation mark."
    if code: lines = [l.strip() for l in text.replace('\\\n', ' ').splitlines() if l.strip().startswith('!')]
    else:
        fences = re.findall(r'^(`{3,})[^\n]*\n(.*?)^\1', text, re.S | re.M)
        lines = [l.strip() for _, body in fences for l in body.replace('\\\n', ' ').splitlines()]
        lines += [' '.join(o.split()) for o in re.findall(r'(?<!`)`([^`]+)`(?!`)', re.sub(r'^(`{3,}).*?^\1', '', text, flags=re.S | re.M))]
    for line in lines:
        if (m := START.match(line)) and len(words := shlex.split(line[m.start(1):], comments=True)) > 1: yield tuple(words)

def collected():
    found = {}
    for where, text, code in sources():
        for words in named(text, code): found.setdefault(words, where)
    return found

def is_mention(words):
    "Whether these only speak of a command, or of one of its flags: `imageopt --loss`, `imageopt ... | head`."
    return '...' in words or all(o.startswith('--') or o in ('train', 'eval', 'draw') for o in words[1:]) and words[-1] not in ('--help', '--version')

FOUND = collected()
COMMANDS = {k: v for k, v in FOUND.items() if not is_mention(k)}
MENTIONS = [k for k in FOUND if is_mention(k)]
# What cannot run here, and what the command says instead of a traceback: pattern of the command line -> pattern of its message.
MESSAGES = {'* --dataset Crosses *': "'Crosses' is not known", '* --dataset C28pxOmniglot *': 'Omniglot', 'evaluate_one_shot *': '(?i)one.?shot|data|weights|root', '* --dataset MNIST*': 'MNIST', '*eval --weights mnist-autoencoder*': 'MNIST'}
# (Crosses is a class that its page defines.) Then: flag -> a smaller value.
SMALL = {'imageopt': {'--iters': '2', '--lines': '20', '--width': '40', '--points': '20', '--beziers': '20', '--crs': '20'},
         'autoencoder-experiment': {'--epochs': '1', '--encoder-hidden': '8'}, 'train_classifiers': {'--epochs': '1'}, 'train_classifiers_barlow': {'--epochs': '1'}, 'evaluate_one_shot': {}}

def small(words):
    "The same command line with less to do."
    name, args = words[0], list(words[1:])
    for flag, value in SMALL[name].items():
        if flag in args: args[args.index(flag) + 1] = value
    if name == 'imageopt' and '--iters' not in args and '--help' not in args and '--version' not in args: args += ['--iters', '2']
    if '--fast' in args: args.remove('--fast')
    return args

@pytest.fixture
def desk(tmp_path, monkeypatch):
    "A folder with everything that the command lines take as given: a photograph, folders of them, a drawing, digits, letters."
    from dsketch_nb.scene import Scene
    import torch
    photo = Image.radial_gradient('L').resize((40, 30)).convert('RGB')
    for name in ('photo.jpg', 'PHOTO', 'a.jpg', 'b.jpg', 'photos/one.jpg', 'photos/two.jpg', 'more/three.jpg', 'holiday/one.jpg', 'portrait.jpg'):
        (tmp_path/name).parent.mkdir(exist_ok=True)
        photo.save(tmp_path/name, 'jpeg')
    (tmp_path/'demo').mkdir(); (tmp_path/'new').mkdir()
    digit = Image.new('L', (28, 28)); digit.paste(255, (12, 5, 16, 23))
    for name in ('digit.png', 'new/a.png', 'new/b.png'): digit.save(tmp_path/name)
    for kind in 'ab':
        (tmp_path/'letters'/kind).mkdir(parents=True)
        for i in range(24): digit.rotate(9*i).save(tmp_path/'letters'/kind/f'{i}.png')
    scene = Scene(30, 40).add('segments', torch.tensor([[[-.5, -.5], [.5, .5]]]), torch.zeros(1, 3), .01, 1.)
    (tmp_path/'drawing.svg').write_text(scene.to_svg(), encoding='utf-8')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path/'nothing'))
    return tmp_path

def test_they_are_found():
    "In each of the forms in which they are written."
    text = 'Do `imageopt a.jpg --iters 3`, not `imageopt`:\n```bash\n.venv/bin/imageopt b.jpg \\\n  --lines 5   # five\nmake demo\naccelerate launch --num_processes 2 imageopt c/\n```\n'
    assert set(named(text)) == {('imageopt', 'a.jpg', '--iters', '3'), ('imageopt', 'b.jpg', '--lines', '5'), ('imageopt', 'c/')}
    assert list(named('x = 1\n!imageopt d.jpg', code=True)) == [('imageopt', 'd.jpg')]
    assert len(COMMANDS) > 10 and len({o[0] for o in COMMANDS}) > 3, COMMANDS

@pytest.mark.parametrize('words', COMMANDS, ids=lambda w: ' '.join(w)[:70])
def test_it_runs(words, desk, capsys):
    "Or says in one line why it cannot."
    args = [o for a in small(words) for o in (sorted(str(p) for p in Path().glob(a)) if fnmatch.fnmatch(a, '*[*].[a-z]*') else [a])]
    if (weights := Path('runs/letters/model.safetensors')).as_posix() in args:                  # that an earlier line of the page has trained
        weights.parent.mkdir(parents=True)
        shutil.copy(root/'dsketch_nb/weights/mnist-autoencoder.safetensors', weights)
    try: SCRIPTS[words[0]](args)
    except SystemExit as e: code = e.code or 0
    else: code = 0
    said = capsys.readouterr().err.strip().splitlines()
    line = ' '.join(words)
    expected = next((v for k, v in MESSAGES.items() if fnmatch.fnmatch(line, k)), None)
    if expected and code: assert code == 2 and re.search(expected, said[-1]) and 'unrecognized' not in said[-1], said
    else: assert code == 0, f'{COMMANDS[words]}: {line}\n' + '\n'.join(said[-3:])

@pytest.mark.parametrize('words', MENTIONS, ids=' '.join)
def test_flags_mentioned_are_known(words, capsys):
    part = ([o for o in words if o in ('train', 'eval', 'draw')] or ['train'])[:1] if words[0] == 'autoencoder-experiment' else []
    with pytest.raises(SystemExit) as e: SCRIPTS[words[0]]([*part, '--help'])
    assert not e.value.code
    known = capsys.readouterr().out
    for o in words:
        if o.startswith('--'): assert re.search(rf'{o}\b', known), f'{words[0]} has no {o}'

def test_make_targets_exist():
    "Every `make x` that README and pages name."
    targets = set(re.findall(r'^([a-z]+):.*##', (root/'Makefile').read_text(encoding='utf-8'), re.M))
    named = {m for _, text, code in sources() if not code for m in re.findall(r'(?:^|`)make ([a-z]+)(?=`|\s*(?:#|$))', text, re.M)}
    assert len(named) > 3 and not named - targets, named - targets

def test_files_that_are_run_exist():
    "Every `python tests/x.py` or `python benchmarks/x.py`."
    named = {m for _, text, _ in sources() for m in re.findall(r'python ((?:tests|benchmarks)/\w+\.py)', text)}
    assert len(named) > 3 and not [o for o in named if not (root/o).is_file()]
