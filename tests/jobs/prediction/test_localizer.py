"""Localizer and load_encoder on what the tiny run trained, in a process that has used JAX long
before.
"""

import dataclasses
import json
import pathlib
import re
import shutil

import jax
import numpy as np
import pytest
import videos

import lofi_jax
from lofi_jax.errors import UserError
from lofi_jax.jobs import pipeline
from lofi_jax.models import ENCODERS
from lofi_jax.models.encoders.tsm import TSM
from lofi_jax.results import by_ending
from lofi_jax.run.start import load_run
from lofi_jax.training.sharding import make_mesh

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 2, 16, 16, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def workdir(finished_run) -> pathlib.Path:
    assert jax.device_count() == 8
    return finished_run[0]


@pytest.fixture(scope="module")
def video(workdir) -> pathlib.Path:
    return workdir / "data" / "world" / "target" / "videos" / "v_target_testing_00000.mp4"


@pytest.fixture(scope="module")
def localizer(workdir) -> lofi_jax.Localizer:
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_num_cpu_devices
    made = lofi_jax.Localizer.load(workdir)
    assert (jax.config.jax_compilation_cache_dir, jax.config.jax_num_cpu_devices) == before
    return made


def test_finds_in_a_file_what_the_run_found_in_it(localizer, workdir, video):
    found = localizer.detect(video)
    saved = lofi_jax.load_detections(workdir / "detections.json")["target_testing_00000"]
    assert found.video == "target_testing_00000"
    assert found.labels == saved.labels and set(found.labels) <= set(localizer.classes)
    np.testing.assert_allclose(found.segments, saved.segments, rtol=1e-5)
    np.testing.assert_allclose(found.scores, saved.scores, rtol=1e-4)
    least = float(found.scores[10])
    assert localizer.detect(video, min_score=least, top_k=5) == found[:5]
    assert localizer.detect(video, min_score=least) == found.filter(least)


def test_features_are_those_that_were_extracted(localizer, workdir, video):
    stored = np.load(workdir / "features" / "lofi_temporal_gtad" / "target_testing_00000.npy")
    np.testing.assert_allclose(localizer.features(video), stored, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "folder, row",
    [
        ("heads/acp_gtad", "acp_gtad"),
        ("encoders/acp", "acp_gtad"),
        ("encoders/lofi_temporal_gtad/checkpoints", "lofi_temporal_gtad"),
    ],
)
def test_a_training_says_which_row_is_meant(workdir, folder, row):
    assert lofi_jax.Localizer.load(workdir / folder).row.name == row


def test_what_is_no_video_is_refused(localizer, tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("not a video\n")
    with pytest.raises(UserError, match=f"{path}: cannot be opened as a video"):
        localizer.detect(path)


def test_of_a_broken_video_the_part_that_decodes_is_used(localizer, tmp_path):
    whole = videos.write(tmp_path / "whole.mkv", [videos.numbered(i) for i in range(60)], g="10")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.warns(UserWarning, match=r"cut.mkv: decodes up to 3.20 of 6.00 s"):
        found = localizer.detect(cut)
    assert len(found) > 0 and found.segments.max() <= 3.2 + 1e-6


def test_a_checkpoint_alone_says_what_is_missing(workdir, tmp_path):
    lone = tmp_path / "lone"
    shutil.copytree(workdir / "encoders" / "lofi_temporal_gtad", lone)
    with pytest.raises(UserError) as refused:
        lofi_jax.Localizer.load(lone)
    says = f"{lone}: a lone checkpoint of encoder and head: config.json"
    assert str(refused.value).startswith(says) and "\n" not in str(refused.value)
    with pytest.raises(UserError, match="holds no run"):
        lofi_jax.Localizer.load(tmp_path / "none")
    with pytest.raises(UserError, match="no head has been trained on it"):
        lofi_jax.Localizer.load(workdir / "features")


def test_an_encoder_in_its_workdir_knows_its_network(workdir):
    encode = lofi_jax.load_encoder(workdir / "encoders" / "acp")
    assert np.shape(encode(FRAMES)) == (3, 16)
    apart = np.concatenate([encode(FRAMES[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(encode(FRAMES), apart, rtol=1e-4, atol=1e-5)


def test_a_copied_encoder_is_told_its_network(workdir, tmp_path):
    shutil.copytree(workdir / "encoders" / "acp", tmp_path / "lone")
    wanted = lofi_jax.load_encoder(workdir / "encoders" / "acp")(FRAMES)
    options = {"stage_sizes": (1, 1), "widths": (8, 16), "stem": "small", "shift_div": 4}
    for given in (
        {"encoder": "tsm_resnet", **options},
        {"encoder": ENCODERS["tsm_resnet"](**options)},
    ):
        np.testing.assert_array_equal(
            lofi_jax.load_encoder(tmp_path / "lone", **given)(FRAMES), wanted
        )


def test_what_is_no_encoder_is_refused(workdir, tmp_path):
    shutil.copytree(workdir / "encoders" / "acp" / "checkpoints", tmp_path / "lone")
    for path, given, says in (
        (tmp_path / "lone", {}, "no config.json above it names the network"),
        (
            tmp_path / "lone",
            {"encoder": "tsm_resnet18"},
            "holds an encoder other than tsm_resnet18",
        ),
        (tmp_path / "lone", {"encoder": "tsm"}, "encoder is named 'tsm': choose one of"),
        (tmp_path / "lone", {"encoder": "tsm_resnet18", "wide": 1}, "cannot be made with"),
        (tmp_path / "lone", {"encoder": "tsm_resnet18", "shift_div": 0}, "cannot work on"),
        (tmp_path / "none", {}, "no such checkpoint folder"),
        (workdir, {}, "a workdir: load one of its folders in encoders: acp, lofi_temporal_gtad"),
        (workdir / "heads" / "acp_gtad", {}, "holds no encoder"),
    ):
        with pytest.raises(UserError, match=says) as refused:
            lofi_jax.load_encoder(path, **given)
        assert "\n" not in str(refused.value)
    encode = lofi_jax.load_encoder(workdir / "encoders" / "acp")
    for frames in (FRAMES[0], FRAMES.astype(np.float32), FRAMES[..., :2]):
        with pytest.raises(ValueError, match=r"frames are uint8 \(B, T, H, W, 3\)"):
            encode(frames)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"encoder": TSM}, "TSM'>: give a name or a Flax module"),
        ({"encoder": "builtins:int"}, "which is no class of a Flax module"),
        ({"nope": 3}, "options nope: give encoder=, the name of their network"),
    ],
)
def test_what_is_no_network_is_refused(workdir, given, says):
    with pytest.raises(UserError, match=re.escape(says)):
        lofi_jax.load_encoder(workdir / "encoders" / "acp", **given)


def test_a_path_that_cannot_be_and_a_negative_number_are_refused(localizer):
    path = "a" * 5000
    with pytest.raises(UserError, match="aaa: File name too long"):
        lofi_jax.Localizer.load(path)
    with pytest.raises(UserError, match="cannot be opened as a video"):
        localizer.detect(path)
    with pytest.raises(ValueError, match="the number of the best is -1, not 0 or more"):
        localizer.detect("absent.mp4", top_k=-1)


@pytest.mark.parametrize("shape", [(0, 2, 16, 16, 3), (1, 0, 16, 16, 3), (1, 2, 0, 16, 3)])
def test_no_frames_are_refused(workdir, shape):
    encode = lofi_jax.load_encoder(workdir / "encoders" / "acp")
    with pytest.raises(ValueError, match="no frames: their shape is"):
        encode(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    "part, says",
    [
        ("heads", "holds no trained head"),
        ("classifier", "holds no trained classifier"),
        ("features", "no finished features"),
        ("encoders", "no such checkpoint folder"),
    ],
)
def test_a_workdir_without_a_part_says_which(workdir, tmp_path, part, says):
    copied = tmp_path / "run"
    shutil.copytree(workdir, copied, ignore=shutil.ignore_patterns("data", "timelines", part))
    with pytest.raises(UserError, match=says) as refused:
        lofi_jax.Localizer.load(copied)
    assert str(copied) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.slow
def test_labels_by_segment_in_a_file_are_those_of_the_run(workdir, video, tmp_path):
    folder = shutil.copytree(workdir, tmp_path / "by_segment")
    for part in ("classifier", "detections"):
        shutil.rmtree(folder / part)
    content = json.loads((folder / "config.json").read_text())
    content["classifier"]["level"] = "segment"
    (folder / "config.json").write_text(json.dumps(content))
    run = load_run(folder)
    config = dataclasses.replace(run.config, stages="head,detect")
    mesh = make_mesh(1, 1, jax.local_devices()[:1])
    pipeline.run(dataclasses.replace(run, config=config, mesh=mesh))
    found = lofi_jax.Localizer.load(folder).detect(video)
    row = by_ending.load(folder / "detections" / "lofi_temporal_gtad.json")
    saved = row["target_testing_00000"]
    assert found.labels == saved.labels
    np.testing.assert_allclose(found.scores, saved.scores, rtol=1e-4)
    shutil.rmtree(folder / "classifier" / "acp_segments")
    with pytest.raises(UserError, match="holds no trained classifier"):
        lofi_jax.Localizer.load(folder)
