"""Files that version 0.1.0 wrote can still be read, and runs that it began go on. They were made by that version, once: a scene with every kind of
stroke and its picture, a run of strokes stopped at iteration 4 of 12, and a tiny auto-encoder trained for an epoch."""
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dsketch_nb.experiments import load, train_autoencoder
from dsketch_nb.imageopt import imageopt
from dsketch_nb.optimise import Callback, Checkpoint
from dsketch_nb.runs import listing
from dsketch_nb.scene import Scene

old = Path(__file__).parent/'from_0_1_0'

def test_a_scene_is_drawn_as_it_was():
    scene = Scene.load(old/'scene.safetensors')
    assert [g.kind for g in scene.groups] == ['points', 'segments', 'polylines', 'beziers', 'catmull_roms'] and len(scene) == 8
    assert np.abs(scene.draw().detach().numpy() - np.load(old/'scene.npy')).max() < 1e-5

class Begin(Callback):
    def after_loss(self, o): self.first = getattr(self, 'first', o.iteration)

def test_a_run_of_strokes_goes_on(tmp_path):
    shutil.copy(old/'strokes.checkpoint.safetensors', tmp_path/'c.safetensors')
    begin = Begin()
    scene = imageopt(str(old/'ramp.png'), preset='paint', lines=8, iters=12, seed=3, callbacks=[Checkpoint(tmp_path/'c.safetensors', 100), begin])
    assert begin.first == 4 and len(scene.history) == 12 and all(np.isfinite(scene.history))

def test_a_network_is_loaded_and_goes_on_learning(tmp_path):
    model = load(old/'run'/'model.safetensors')
    with torch.no_grad(): assert torch.isfinite(model.decoder.strokes(torch.zeros(1, 2)).draw()).all()
    shutil.copytree(old/'run', tmp_path/'run')
    t = train_autoencoder('Digits', output=tmp_path/'run', resume=True, encoder='SimpleMLPEncoder', decoder='SinglePassSimpleLineDecoder', nlines=2, latent_size=2,
                          encoder_hidden=2, decoder_hidden=2, decoder_hidden2=2, epochs=2, num_workers=0, num_reconstructions=4)
    assert len((tmp_path/'run'/'log.csv').read_text(encoding='utf-8').splitlines()) == 3 and t.epoch == 2

def test_a_checkpoint_of_another_program_is_no_sign_of_ours(tmp_path):
    "Files beside it are somebody's, and are not written over."
    from safetensors.torch import save_file
    save_file({'w': torch.zeros(2)}, tmp_path/'checkpoint.safetensors')
    (tmp_path/'mine.png').write_bytes(b'mine')
    with listing(tmp_path) as made:
        with pytest.raises(FileExistsError, match='no run has made it'): made.check(tmp_path/'mine.png')
    shutil.copy(old/'run'/'checkpoint.safetensors', tmp_path/'checkpoint.safetensors')
    with listing(tmp_path) as made: made.check(tmp_path/'mine.png')
