"""The one-shot game on rounds laid out by hand, whose answers are known."""
import shutil

import pytest, torch
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageDraw

from dsketch_nb.classifiers import LakeThesisCNN
from dsketch_nb.losses import ink_coordinates, mod_hausdorff_distance
from dsketch_nb.oneshot import Hausdorff, Network, OneShot, Run, evaluate_one_shot, main, read_run
from dsketch_nb.training import save_weights

SHAPES = [[(20, 20, 20, 80)], [(20, 50, 80, 50)], [(20, 20, 80, 80)], [(20, 20, 80, 20), (80, 20, 80, 80)]]        # lines x, y, x, y

def picture(path, lines, dx=0, dy=0):
    image = Image.new('1', (105, 105), 1)
    for a, b, c, d in lines: ImageDraw.Draw(image).line((a + dx, b + dy, c + dx, d + dy), 0, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)

def rounds(root, wrong=0, runs=2):
    "Rounds of four characters; the items are the examples moved, and of the first round `wrong` items show another character."
    for r in range(1, runs + 1):
        folder, lines = root/'omniglot-one-shot'/f'run{r:02d}', []
        for i, shape in enumerate(SHAPES):
            picture(folder/'training'/f'class{i+1:02d}.png', shape)
            j = (i + 1) % 4 if r == 1 and i < wrong else i
            picture(folder/'test'/f'item{4-i:02d}.png', SHAPES[j], 7, -5)
            lines.append(f'run{r:02d}/test/item{4-i:02d}.png run{r:02d}/training/class{i+1:02d}.png')
        (folder/'class_labels.txt').write_text('\n'.join(lines) + '\n')
    return root

@pytest.mark.parametrize('wrong', [0, 1, 3])
def test_known_answers(tmp_path, wrong, capsys):
    assert evaluate_one_shot('Hausdorff', rounds(tmp_path, wrong)) == [25.*wrong, 0.]
    main(['--model', 'Hausdorff', '--dataset-root', str(tmp_path)])
    assert capsys.readouterr().out.splitlines() == [f'run01: {25*wrong} % wrong', 'run02: 0 % wrong', f'mean error {12.5*wrong:.2f} % over 2 runs']

@given(st.integers(0, 999), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_the_tree_finds_the_distance_of_all_pairs(seed, n, m):
    g = torch.Generator().manual_seed(seed)
    images = [torch.zeros(1, 1, 24, 24) for _ in range(2)]
    for o, k in zip(images, (n, m)): o.view(-1)[torch.randperm(576, generator=g)[:k]] = 1
    want = mod_hausdorff_distance(*(ink_coordinates(o[0].double()) for o in images)).item()
    assert Hausdorff().costs(*images).item() == pytest.approx(want, abs=1e-9)

@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights')/'w.safetensors'
    save_weights(path, LakeThesisCNN((28, 28), 1, 5), {'config': dict(model='LakeThesisCNN', model_options={}, size=(28, 28), channels=1, classes=5)})
    return path

@pytest.mark.parametrize('measure', ['cosine', 'euclidean'])
def test_a_network_knows_the_same_drawing_again(tmp_path, weights, measure, capsys):
    "Centring undoes the move, so even features that nothing was learned for tell four shapes apart."
    main(f'--model Network --weights {weights} --size 28 --measure {measure} --dataset-root {rounds(tmp_path)}'.split())
    assert capsys.readouterr().out.endswith('mean error 0.00 % over 2 runs\n')

def test_measures_are_what_they_say(weights):
    a, b = torch.rand(3, 1, 28, 28), torch.rand(2, 1, 28, 28)
    for measure, f in (('cosine', lambda x, y: 1 - torch.cosine_similarity(x, y, 0)), ('euclidean', torch.dist)):
        net = Network(weights, measure=measure)
        costs = net.costs(a, b)
        for i, x in enumerate(net.features(a)):
            for j, y in enumerate(net.features(b)): assert costs[i, j].item() == pytest.approx(f(x, y).item(), abs=1e-4)

def test_one_of_ones_own(tmp_path):
    class Ink(OneShot):
        "The difference in ink, and nothing else."
        def costs(self, items, examples): return (items.sum((1, 2, 3))[:, None] - examples.sum((1, 2, 3))).abs()
    OneShot.known.pop('Ink')
    run = Run('two', torch.stack([torch.zeros(1, 3, 3), torch.ones(1, 3, 3)]), torch.ones(1, 1, 3, 3), torch.tensor([1]))
    assert Ink().error(run) == 0 and Ink().error(Run('two', run.examples, run.items, torch.tensor([0]))) == 100

@pytest.mark.parametrize('more, says', [
    ('--model Hausdorff --dataset-root {}/nowhere', 'cannot be fetched: download'), ('--model Nobody', "one-shot model 'Nobody' is not known"), ('--model Network', 'needs weights'),
    ('--model Network --weights {}/absent.safetensors', 'no file'), ('--model Network --weights {w} --size 105', '28 x 28 pixels, these have 105 x 105'),
    ('--model Network --weights {w} --size 64', 'size 64 must be 28 or 105'), ('--model Network --weights {w} --measure taste', "measure 'taste'"),
    ('--model Hausdorff --dataset-root {}/damaged', 'is damaged'), ('--model Hausdorff --dataset-root {}/broken', 'is damaged, or of another kind'), ('--model Hausdorff --dataset-root {}/missing', 'is not there: fetch it again'),
    ('--model Hausdorff --dataset-root {}/unlisted', 'class_labels.txt is not there'), ('--model Hausdorff --dataset-root {}/nozip', 'is damaged, or of another kind')])
def test_bad_input_is_one_line(tmp_path, weights, capsys, monkeypatch, more, says):
    monkeypatch.setattr('dsketch_nb.perceptual.urllib.request.urlopen', lambda *a, **k: (_ for _ in ()).throw(OSError('no network')))
    for kind in ('damaged', 'broken', 'missing', 'unlisted'):
        if kind not in more: continue
        run = rounds(tmp_path/kind)/'omniglot-one-shot'/'run01'
        if kind == 'damaged': (run/'class_labels.txt').write_text('one two three\n')
        if kind == 'broken': (run/'test'/'item01.png').write_bytes(b'no picture')
        if kind == 'missing': (run/'test'/'item01.png').unlink()
        if kind == 'unlisted': (run/'class_labels.txt').unlink()
    if 'nozip' in more:
        (tmp_path/'nozip'/'omniglot-one-shot').mkdir(parents=True)
        (tmp_path/'nozip'/'omniglot-one-shot'/'all_runs.zip').write_bytes(b'no zip')
    with pytest.raises(SystemExit) as e: main(more.format(tmp_path, w=weights).split())
    err = capsys.readouterr().err.strip().split('\n')
    assert e.value.code == 2 and says in err[-1] and len(err) == 1, err

def test_an_archive_is_unpacked(tmp_path):
    rounds(tmp_path/'made')
    where = tmp_path/'root'/'omniglot-one-shot'
    where.mkdir(parents=True)
    shutil.make_archive(where/'all_runs', 'zip', tmp_path/'made'/'omniglot-one-shot')
    assert evaluate_one_shot('Hausdorff', tmp_path/'root') == [0., 0.]

def test_items_come_in_the_order_of_the_list(tmp_path):
    run = read_run(rounds(tmp_path)/'omniglot-one-shot'/'run01')
    assert run.examples.shape == run.items.shape == (4, 1, 105, 105) and run.answers.tolist() == [0, 1, 2, 3]
    assert set(run.examples.unique().tolist()) == {0., 1.} and run.examples.mean() < .1                 # ink is 1
