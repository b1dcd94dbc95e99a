"""Files of the user's own: what a command reads, and what it did not make, it never writes over, whatever the path, the link or the name."""
import csv, os
from pathlib import Path

import pytest
from PIL import Image

from dsketch_nb import imageopt_command
from dsketch_nb.imageopt_command import imageopt_folder, main, result_stem
from dsketch_nb.optimise import ImageOptimiser
from dsketch_nb.pictures import image_files, named_images
from dsketch_nb.runs import MADE, check_outputs, claimed, listing, replacing

FEW = ['--width', '9', '--lines', '4', '--iters', '2']

def picture(path, size=(9, 8)):
    Image.linear_gradient('L').resize(size).save(path)
    return path

def said(capsys, *args):
    "Exit code, and the last line on stderr."
    code = 0
    try: main([str(o) for o in args])
    except SystemExit as e: code = e.code
    return code, (capsys.readouterr().err.strip().split('\n') or [''])[-1]

@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture('x.png')
    Path('sub').mkdir()
    os.symlink('x.png', 'link.png')
    os.link('x.png', 'hard.png')
    return tmp_path

NAMES = 'x.png', './x.png', 'sub/../x.png', 'link.png', 'hard.png', '{here}/x.png'
FLAGS = '--final-raster', '--target-raster', '--init-raster'

@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('flag', FLAGS)
def test_no_output_is_an_input(here, capsys, name, flag):
    before = (here/'x.png').read_bytes()
    code, line = said(capsys, 'x.png', *FEW, flag, name.format(here=here))
    assert code == 2 and 'which is read' in line, line
    assert (here/'x.png').read_bytes() == before and (here/'link.png').is_symlink() and sorted(o.name for o in here.iterdir()) == ['hard.png', 'link.png', 'sub', 'x.png']

def test_a_drawing_to_start_from_is_an_input(here, capsys):
    assert said(capsys, 'x.png', *FEW, '--final-pdf', 'd.pdf')[0] == 0
    before = (here/'d.svg').read_bytes()
    code, line = said(capsys, 'x.png', *FEW, '--init', 'd.svg', '--final-pdf', 'd.pdf')       # which also writes d.svg
    assert code == 2 and 'd.svg would be written over d.svg' in line and (here/'d.svg').read_bytes() == before

@pytest.mark.parametrize('flags, line', [
    (['--final-pdf', 'only.svg'], 'only.svg'), (['--final-raster', 'o.jpg'], 'o.jpg'), (['--plot', 'p.pdf'], 'p.pdf'), (['--scene', 's.svg'], 's.svg'),
    (['--init-pdf', 'i.png'], 'i.png'), (['--target-raster', 'none'], 'none'), (['--final-pdf', 'a.pdf', '--plot', 'a.svg'], 'would be one file')])
def test_a_suffix_says_what_is_written(here, capsys, flags, line):
    Path('only.pdf').write_text('my own')
    code, told = said(capsys, 'x.png', *FEW, *flags)
    assert code == 2 and line in told, told
    assert Path('only.pdf').read_text() == 'my own' and {o.name for o in here.iterdir()} == {'hard.png', 'link.png', 'sub', 'x.png', 'only.pdf'}

def test_a_file_with_a_flag_of_its_own_is_replaced_and_others_are_not(here, capsys):
    for _ in range(2): assert said(capsys, 'x.png', *FEW, '--final-raster', 'out.png')[0] == 0
    assert not list(here.glob('out-2*'))
    Path('x-strokes.svg').write_text('my own')
    assert said(capsys, 'x.png', *FEW)[0] == 0
    assert Path('x-strokes.svg').read_text() == 'my own' and {o.name for o in here.glob('x-strokes*')} == {'x-strokes.svg', 'x-strokes-2.png', 'x-strokes-2.svg', 'x-strokes-2.pdf'}

@pytest.mark.parametrize('kind', ['png', 'jpg'])
@pytest.mark.parametrize('folder', ['photos', 'photos/../photos', 'way'])
def test_a_folder_run_writes_over_nothing_it_did_not_make(tmp_path, capsys, monkeypatch, kind, folder):
    monkeypatch.chdir(tmp_path)
    Path('photos').mkdir()
    os.symlink('photos', 'way')
    picture(f'photos/a.{kind}')
    for own in ('a.svg', 'a.pdf')[:1 + (kind == 'png')]: Path('photos', own).write_text('my own')
    before = {o.name: o.read_bytes() for o in Path('photos').iterdir()}
    code, line = said(capsys, f'photos/a.{kind}', '--output', folder, *FEW)
    assert code == 2 and ('which is read' in line or 'there already' in line), line
    assert {o.name: o.read_bytes() for o in Path('photos').iterdir() if not o.name.startswith('.')} == before

def test_a_run_makes_its_own_files_again(tmp_path, monkeypatch):
    picture(tmp_path/'a.png')
    how = dict(output=tmp_path/'out', width=9, lines=4, iters=2)
    imageopt_folder(tmp_path/'a.png', **how)
    (tmp_path/'out'/'results.csv').unlink()
    assert len(imageopt_folder(tmp_path/'a.png', **how, resume=True)) == 1
    (tmp_path/'out'/'b.svg').write_text('my own')
    picture(tmp_path/'b.png')
    with pytest.raises(FileExistsError, match='b.svg is there already'): imageopt_folder(tmp_path, **how, resume=True)
    assert (tmp_path/'out'/'b.svg').read_text() == 'my own' and not (tmp_path/'out'/'b.png').exists()

def test_every_file_of_a_claimed_folder_is_guarded(tmp_path):
    with claimed(tmp_path/'run') as run:
        (tmp_path/'run'/'mine.csv').write_text('my own')
        with pytest.raises(FileExistsError), replacing(tmp_path/'run'/'mine.csv') as tmp: tmp.write_text('theirs')
        with pytest.raises(FileExistsError): run.check(tmp_path/'run'/'.'/'mine.csv')
        with pytest.raises(FileExistsError), replacing(tmp_path/'run'/'late.csv') as tmp:
            tmp.write_text('theirs')
            (tmp_path/'run'/'late.csv').write_text('my own, meanwhile')
        with replacing(tmp_path/'run'/'new.csv') as tmp: tmp.write_text('theirs')
    assert (tmp_path/'run'/'mine.csv').read_text() == 'my own' and (tmp_path/'run'/'late.csv').read_text() == 'my own, meanwhile'
    with open(tmp_path/'run'/MADE, 'ab') as f: f.write(b'"torn')
    with listing(tmp_path/'run'), replacing(tmp_path/'run'/'new.csv') as tmp: tmp.write_text('again')
    assert (tmp_path/'run'/'new.csv').read_text() == 'again'

def test_a_folder_of_version_0_1_0_goes_on(tmp_path):
    "It kept no list, but its lock is there."
    picture(tmp_path/'a.png')
    how = dict(output=tmp_path/'out', width=9, lines=4, iters=2)
    imageopt_folder(tmp_path/'a.png', **how)
    (tmp_path/'out'/MADE).unlink()
    picture(tmp_path/'b.png')
    assert len(imageopt_folder(tmp_path, **how, resume=True)) == 2

def test_a_run_that_fails_writes_nothing(tmp_path, capsys, monkeypatch):
    picture(tmp_path/'x.png')
    monkeypatch.chdir(tmp_path)
    real = ImageOptimiser.step
    def step(self):
        real(self)
        if self.iteration == 2: raise ValueError('the loss is nan')
    monkeypatch.setattr(ImageOptimiser, 'step', step)
    Path('f.png').write_text('from yesterday')
    for more in (['--final-raster', 'f.png', '--final-pdf', 'f.pdf'], ['--output', 'out']):
        code, line = said(capsys, 'x.png', '--width', '9', '--lines', '4', '--iters', '5', *more)
        assert code == 2 and 'the loss is nan' in line
    assert Path('f.png').read_text() == 'from yesterday' and not Path('f.pdf').exists()
    assert not [o for o in Path('out').iterdir() if o.suffix in ('.png', '.svg', '.pdf') or o.name == 'results.csv']

ODD = ['line\nbreak', 'sep\u2028arator', 'tab\x0b', 'next\x85line', 'carriage\rreturn', os.fsdecode(b'no \xff text'), 'comma, "quote"', 'a'*240, 'é'*120, 'dash-', ' space ']

def test_names_of_every_kind_are_drawn_listed_and_resumed(tmp_path):
    (tmp_path/'photos').mkdir()
    picture(tmp_path/'x.png')
    names = []
    for o in ODD:
        try: (tmp_path/'photos'/f'{o}.png').write_bytes((tmp_path/'x.png').read_bytes())
        except OSError: continue                                           # some file systems know text only
        names.append(o)
    assert len(names) > 7
    how = dict(output=tmp_path/'out', width=9, lines=4, iters=2, checkpoint_steps=1)
    rows = imageopt_folder(tmp_path/'photos', **how)
    assert sorted(r['image'] for r in rows) == sorted(str(tmp_path/'photos'/f'{o}.png') for o in names)
    for o in names:
        for kind in ('.png', '.svg', '.pdf', '.safetensors'): assert (tmp_path/'out'/f'{result_stem(tmp_path/"photos"/f"{o}.png")}{kind}').is_file(), o
    table = (tmp_path/'out'/'results.csv').read_bytes()
    assert imageopt_folder(tmp_path/'photos', **how, resume=True) == rows and (tmp_path/'out'/'results.csv').read_bytes() == table

@pytest.mark.parametrize('text', ['a,b\n1,2\n', 'image,strokes,iterations,loss,psnr,seconds\nx,1,2,3,four,5\n', 'image,strokes,iterations,loss,psnr,seconds\nx,1\n', '"'])
def test_a_damaged_table_is_named(tmp_path, text):
    picture(tmp_path/'x.png')
    how = dict(output=tmp_path/'out', width=9, lines=4, iters=2)
    imageopt_folder(tmp_path/'x.png', **how)
    (tmp_path/'out'/'results.csv').write_text(text)
    with pytest.raises(ValueError, match='results.csv is damaged') as e: imageopt_folder(tmp_path/'x.png', **how, resume=True)
    assert '\n' not in str(e.value) and (tmp_path/'out'/'results.csv').read_text() == text

def test_results_are_no_photographs(tmp_path, capsys, monkeypatch):
    "What Pillow can only write is no image of a folder, nor are the command's own results: the command can be given its folder again."
    monkeypatch.chdir(tmp_path)
    picture('photo.png')
    Path('paper.pdf').write_bytes(b'%PDF-1.4')
    assert said(capsys, 'photo.png', *FEW)[0] == 0 and said(capsys, 'photo.png', *FEW)[0] == 0
    assert [o.name for o in image_files(Path('.'))] == ['photo.png']
    assert said(capsys, '.', '--output', 'out', *FEW)[0] == 0
    assert named_images('out') == [str(Path('out/photo.png'))]                                     # where there is nothing else, drawings are images too
    picture('photo-strokes-of-mine.png')
    assert 'photo-strokes-of-mine.png' in [o.name for o in image_files(Path('.'))]

def test_a_finished_folder_with_a_broken_file_is_finished(tmp_path, capsys):
    picture(tmp_path/'a.png')
    (tmp_path/'b.jpg').write_bytes(b'broken')
    args = [tmp_path, '--output', tmp_path/'out', *FEW]
    assert said(capsys, *args)[0] == 0
    main([str(o) for o in (*args, '--resume')])
    assert 'skipped' in (err := capsys.readouterr().err) and 'b.jpg' in err
