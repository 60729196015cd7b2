"""Exports, read back by the rules that OpenTAD and ActionFormer document in their dataset
classes.
"""

import json
import os
import pathlib
import runpy

import numpy as np
import pytest
from commands import misused, refused, run, run_each

from lofi_jax.data.annotations import activitynet
from lofi_jax.errors import UserError
from lofi_jax.jobs.exports import export_layouts, names

ENCODER = "lofi_temporal_gtad"


@pytest.fixture(scope="module")
def exports(finished_run, tmp_path_factory):
    """The tiny run's workdir, and the folder of each layout."""
    folder = tmp_path_factory.mktemp("exports")
    workdir = finished_run[0]
    usual = ["export", f"--workdir={workdir}", f"--encoder={ENCODER}"]
    jobs = {
        name: [*usual, f"--layout={name}", f"--output={folder / name}"]
        for name in export_layouts.NAMES
    }
    for name, ended in run_each(jobs).items():
        assert ended.returncode == 0, ended.stderr
        assert (
            "12 videos of 192 features in 16 channels" in ended.stdout
            and str(folder / name) in ended.stdout
        )
    return workdir, folder


def expected(workdir):
    """For each video its stored features, and its instances as (start, end, label) with the times
    in snippets.
    """
    truth = activitynet.load(workdir / "data" / "world" / "target" / "annotations.json")
    return {
        video_id: (
            np.load(workdir / "features" / ENCODER / f"{video_id}.npy"),
            [
                (16 * start / video.duration, 16 * end / video.duration, label)
                for (start, end), label in zip(video.segments, video.labels, strict=True)
            ],
        )
        for video_id, video in truth.videos.items()
    }


def check(found, wanted, shift):
    assert found.keys() == wanted.keys()
    for video_id, (features, instances) in found.items():
        np.testing.assert_array_equal(features, wanted[video_id][0])
        assert [label for *_, label in instances] == [label for *_, label in wanted[video_id][1]]
        times = np.array([instance[:2] for instance in wanted[video_id][1]])
        np.testing.assert_allclose([i[:2] for i in instances], times + shift, rtol=0.02, atol=0.05)


def as_opentad_reads(part):
    """A subset of the resizing dataset: seconds over the duration, times the length to resize
    to.
    """
    database = json.loads(pathlib.Path(part["ann_file"]).read_text())["database"]
    classes = pathlib.Path(part["class_map"]).read_text().splitlines()
    prefix = next(step for step in part["pipeline"] if step["type"] == "LoadFeats").get(
        "prefix", ""
    )
    for name, video in database.items():
        if video["subset"] not in part["subset_name"]:
            continue
        features = np.load(f"{part['data_path']}/{prefix}{name}.npy").astype(np.float32)
        assert len(features) == part["resize_length"]
        scale = part["resize_length"] / float(video["duration"])
        yield (
            name,
            (
                features,
                [
                    (*(scale * float(t) for t in a["segment"]), classes[classes.index(a["label"])])
                    for a in video["annotations"]
                ],
            ),
        )


def test_opentad_reads_what_was_extracted(exports):
    workdir, folder = exports
    config = runpy.run_path(str(folder / "opentad" / "dataset.py"))
    parts = config["dataset"]
    assert {part["subset_name"] for part in parts.values()} == {"training", "testing"}
    assert not parts["val"]["test_mode"] and parts["test"]["test_mode"]
    found = dict(as_opentad_reads(parts["train"])) | dict(as_opentad_reads(parts["val"]))
    check(found, expected(workdir), shift=0)
    assert config["evaluation"]["subset"] == "testing"
    # Its other datasets take a video's rate from the number of its frames.
    database = json.loads((folder / "opentad" / "annotations.json").read_text())["database"]
    for video in database.values():
        assert video["frame"] / video["duration"] == pytest.approx(video["fps"])
        assert video["frame"] == 2 * 16


def as_actionformer_reads(config, split):
    """A split of its ActivityNet dataset: a grid whose place 0 is the first feature's centre."""
    settings = config["dataset"]
    database = json.loads(pathlib.Path(settings["json_file"]).read_text())["database"]
    labels = {
        a["label"]: a["label_id"] for video in database.values() for a in video["annotations"]
    }
    assert len(labels) == settings["num_classes"]
    assert sorted(labels.values()) == list(range(settings["num_classes"]))
    names = dict(zip(labels.values(), labels, strict=True))
    for name, video in database.items():
        if video["subset"].lower() not in split:
            continue
        fps = settings["default_fps"] or video["fps"]
        path = (
            f"{settings['feat_folder']}/{settings['file_prefix'] or ''}{name}{settings['file_ext']}"
        )
        features = np.load(path).astype(np.float32)
        assert features.shape[1] == settings["input_dim"] and settings["feat_stride"] <= 0
        assert len(features) <= settings["max_seq_len"]
        # Without its upsampling, which moves features and segments alike.
        stride = video["duration"] * fps / len(features)
        frames = stride * settings["num_frames"]
        yield (
            name,
            (
                features,
                [
                    (
                        *((t * fps - 0.5 * frames) / stride for t in a["segment"]),
                        names[a["label_id"]],
                    )
                    for a in video["annotations"]
                ],
            ),
        )


def test_actionformer_reads_what_was_extracted(exports):
    workdir, folder = exports
    config = json.loads((folder / "actionformer" / "config.yaml").read_text())
    found = dict(as_actionformer_reads(config, config["train_split"]))
    assert len(found) == 8
    found |= dict(as_actionformer_reads(config, config["val_split"]))
    check(found, expected(workdir), shift=-0.5)
    # Its model asserts that the coarsest of its six levels divides the length.
    assert config["dataset"]["max_seq_len"] % 2**5 == 0


def test_videos_of_many_lengths_lie_on_the_same_grid_in_both():
    """Of 100.3 s at half a snippet a second, 51 snippets; second 31 lies 15 snippets past the first
    one's centre.
    """
    video = activitynet.Video("a", "training", 100.3, np.array([[31.0, 41.0]]), ("run",))
    form = export_layouts.Form(width=8, snippets=40, rate=0.5, overlap=0.5)
    entry = export_layouts.database([video], [51], ["run"], form.rate)["database"]["a"]
    subsets = ("training", "testing")
    settings = json.loads(export_layouts.actionformer_config("f", "a", subsets, 1, form))["dataset"]
    assert settings["feat_stride"] > 0 and settings["max_seq_len"] == 64
    grid = (31.0 * entry["fps"] - 0.5 * settings["num_frames"]) / settings["feat_stride"]
    assert grid == 15.0
    scope = {}
    exec(export_layouts.opentad_config("f", "a", "c", subsets, form), scope)
    train = scope["dataset"]["train"]
    assert train["window_size"] == 40 and train["window_overlap_ratio"] == 0.5
    assert (31.0 * train["fps"] - train["offset_frames"]) / train["feature_stride"] == 15.0
    # It counts whole features by the duration; ActionFormer and its other datasets take all.
    assert len(range(0, int(video.duration * train["fps"]), train["feature_stride"])) == 50
    assert entry["frame"] == 2 * 51


def test_what_a_killed_export_left_long_ago_is_removed(finished_run, tmp_path):
    left = [folder / f".{'0' * 32}.tmp" for folder in (tmp_path, tmp_path / "features")]
    (tmp_path / "features").mkdir()
    for path in left:
        path.touch()
        os.utime(path, (1, 1))
    arguments = f"--workdir={finished_run[0]}", f"--output={tmp_path}", "--encoder=acp"
    ended = run("export", *arguments, "--layout=opentad")
    assert ended.returncode == 0 and not any(path.exists() for path in left)


def test_what_cannot_be_exported_is_said(finished_run, tmp_path):
    workdir = f"--workdir={finished_run[0]}"
    usual = ["export", workdir, f"--output={tmp_path}"]
    ended = run_each(
        {
            "encoder": [*usual, "--encoder=acq", "--layout=opentad"],
            "layout": [*usual, "--encoder=acp", "--layout=coco"],
        }
    )
    assert refused(ended["encoder"], "--encoder=acq", "only: acp, lofi_temporal_gtad")
    assert misused(ended["layout"], "--layout=coco: choose one of opentad, actionformer")
    (tmp_path / "file").touch()
    ended = run(
        "export", workdir, f"--output={tmp_path / 'file'}", "--encoder=acp", "--layout=opentad"
    )
    assert refused(ended, str(tmp_path / "file"), "cannot be written")


@pytest.mark.parametrize("label", ["two\nlines", "a\rb", "bell\x07", "half \ud800"])
def test_a_label_that_no_line_can_hold_is_named(label):
    names.check("a.json", "label", ["long jump", "naïve", "走る"])
    with pytest.raises(UserError, match="a.json: the label .*, which this layout cannot: rename"):
        names.check("a.json", "label", ["run", label])
