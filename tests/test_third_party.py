"""Encoders, heads and datasets of others: the examples in tests/examples, used without touching the
project's files.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
from commands import ROOT, main, misused, run
from examples import charades
from examples.tiny_encoder import TinyEncoder
from examples.tiny_head import TinyHead

import lofi_jax
from lofi_jax.data.annotations import activitynet
from lofi_jax.detection import nms
from lofi_jax.stages import joint

ENCODER = "tests.examples.tiny_encoder:TinyEncoder"
HEAD = "tests.examples.tiny_head:TinyHead"


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "examples").glob("*.py")), ids=str)
def test_an_example_is_at_most_60_lines(path):
    assert len(path.read_text().splitlines()) <= 60


def named(tmp_path: pathlib.Path) -> pathlib.Path:
    """The tiny config with the examples' encoder and head."""
    config = tmp_path / "others.py"
    config.write_text(
        "from lofi_jax.config import named\nfrom tests import tiny\n\n\n"
        "def get_config():\n    c = tiny.get_config()\n    c.rows = 'lofi'\n"
        f"    c.encoder = named({ENCODER!r}, width=12)\n    c.head = named({HEAD!r},"
        " channels=12)\n    return c\n"
    )
    return config


def test_a_run_trains_with_them_and_a_localizer_loads_it(tmp_path, finished_run, monkeypatch):
    data = f"--config.data.data_dir={finished_run[0] / 'data'}"
    ended = run(*main(tmp_path / "run", data, config=named(tmp_path)))
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    assert row["head"] == HEAD and 0 <= row["average_mAP"] <= 1
    monkeypatch.syspath_prepend(ROOT)
    video = finished_run[0] / "data" / "world" / "target" / "videos" / "v_target_testing_00000.mp4"
    localizer = lofi_jax.Localizer.load(tmp_path / "run")
    found = localizer.detect(video)
    assert localizer.features(video).shape == (16, 12)
    assert len(found) > 0 and set(found.labels) <= set(localizer.classes)
    encode = lofi_jax.load_encoder(tmp_path / "run" / "encoders" / "acp")
    assert encode(np.zeros((1, 2, 16, 16, 3), np.uint8)).shape == (1, 12)


def test_a_class_that_is_not_there_is_one_line(tmp_path):
    wrong = "--config.encoder.name=tests.examples.tiny_encoder:Tiny"
    ended = run(*main(tmp_path / "run", wrong))
    assert misused(ended, "config.encoder is named 'tests.examples.tiny_encoder:Tiny'")


@pytest.mark.parametrize("part", ["head", "encoder"])
@pytest.mark.parametrize("name", ["os:path", "builtins:int", "os:getcwd"])
def test_what_is_no_class_of_a_module_is_one_line(part, name, tmp_path):
    ended = run(*main(tmp_path / "run", f"--config.{part}.name={name}"))
    assert misused(ended, f"config.{part} is named '{name}', which is no class of a Flax module")


def test_modules_train_together_on_arrays():
    networks = joint.Networks(TinyEncoder(), TinyHead(channels=16))
    # An action is what is bright.
    frames = np.zeros((4, 8, 2, 8, 8, 3), np.uint8)
    segments = np.array([[[0.25, 0.75]], [[0.0, 0.5]], [[0.5, 1.0]], [[0.0, 0.25]]], np.float32)
    for i, ((start, end),) in enumerate(segments):
        frames[i, int(8 * start) : int(8 * end)] = 255
    batch = {"frames": frames, "segments": segments, "valid": np.ones((4, 1), bool)}
    state, step = joint.begin(networks, (8, 2, 8, 8, 3), optax.adam(0.02))
    for _ in range(300):
        state, terms = step(state, batch)
    assert float(terms["loss"]) < 0.25 and int(state.step) == 300
    encode = lambda clips: networks.encoder.apply({"params": state.params["encoder"]}, clips)  # noqa: E731
    features = jax.vmap(encode)(frames)
    outputs = networks.head.apply({"params": state.params["head"]}, features)
    for found, wanted in zip(
        networks.head.proposals(jax.device_get(outputs)), segments, strict=True
    ):
        assert nms.tiou(found.segments[[found.scores.argmax()]], wanted) > 0.5


class Listed(TinyEncoder):
    """An encoder that cannot be hashed, for one of its options is a list."""

    sizes: list[int] = dataclasses.field(default_factory=lambda: [1])


def test_an_encoder_whose_options_cannot_be_hashed_trains():
    networks, frames = joint.Networks(Listed(), TinyHead()), np.zeros((1, 8, 2, 8, 8, 3), np.uint8)
    batch = {"frames": frames, "segments": np.array([[[0.2, 0.6]]]), "valid": np.ones((1, 1), bool)}
    state, step = joint.begin(networks, frames.shape[1:], optax.sgd(0.1))
    with pytest.raises(TypeError):
        hash(networks.encoder)
    assert np.isfinite(step(state, batch)[1]["loss"])


def test_charades_becomes_the_activitynet_form(tmp_path):
    head = "id,subject,length,actions\n"
    train, test, output = (tmp_path / name for name in ("train.csv", "test.csv", "out.json"))
    train.write_text(head + "46GP8,HR43,24.83,c092 11.90 21.20;c147 0.00 12.60\nN11GT,0KZ7,18.0,\n")
    test.write_text(head + "YSKX3,QXK8,30.0,c092 1.50 2.00\n")
    command = [sys.executable, charades.__file__, train, test, output]
    subprocess.run(command, check=True)
    made = activitynet.load(output)
    assert made.classes == ("c092", "c147")
    assert made.problems == {"videos without segments": ("N11GT",)}
    video = made.subset("training")["46GP8"]
    assert (video.duration, video.labels) == (24.83, ("c092", "c147"))
    assert video.segments.tolist() == [[11.9, 21.2], [0.0, 12.6]]
    assert len(made.subset("training")["N11GT"].labels) == 0
    assert list(made.subset("testing")) == ["YSKX3"]
