"""The main job with a video transformer: stage 1 trains its backbone, joint training its adapters
alone, each row's features are its own encoder's.
"""

import pathlib

import commands
import jax
import numpy as np
import pytest

import lofi_jax
from lofi_jax.errors import UserError
from lofi_jax.training.checkpoints import load_state

CONFIG = commands.ROOT / "tests" / "tiny_transformer.py"
STAGES = "--config.stages=data,pretrain,joint,extract"


def params(workdir: pathlib.Path, encoder: str):
    return load_state(workdir / "encoders" / encoder / "checkpoints")["params"]["encoder"]


@pytest.mark.slow
def test_adapters_train_in_a_frozen_backbone_at_low_fidelity(tmp_path):
    workdir = tmp_path / "run"
    rows = "--config.rows=acp,lofi:spatiotemporal"
    ended = commands.run(*commands.main(workdir, STAGES, rows, config=CONFIG))
    assert ended.returncode == 0, ended.stderr
    before, after = params(workdir, "acp"), params(workdir, "lofi_spatiotemporal_gtad")
    assert set(before) == {"patch_embed", "blocks"}
    for part in before:
        jax.tree.map(np.testing.assert_array_equal, before[part], after[part])
    assert np.abs(after["adapters"]["up"]["kernel"]).max() > 0

    frames = np.random.default_rng(0).integers(0, 256, (1, 8, 16, 16, 3), np.uint8)
    features = [
        np.asarray(lofi_jax.load_encoder(workdir / "encoders" / name)(frames))
        for name in ("acp", "lofi_spatiotemporal_gtad")
    ]
    assert [x.shape for x in features] == [(1, 4, 16)] * 2
    assert 0 < np.abs(features[0] - features[1]).max() < 1
    with pytest.raises(UserError, match="clips of 2 frames do not divide the 3"):
        lofi_jax.load_encoder(workdir / "encoders" / "acp")(frames[:, :3])


def test_a_stage_1_that_sees_no_whole_clip_is_refused_before_any_work(tmp_path):
    arguments = commands.main(tmp_path / "run", "--config.data.frames=3", config=CONFIG)
    ended = commands.run(*arguments)
    assert commands.misused(ended, "config.data.frames is 3", "clips of 2 do not divide")
    assert not (tmp_path / "run" / "data").exists()
