"""Heads on features made elsewhere, as the two-stream baselines are trained: no video is needed."""

import json

import numpy as np
import pytest

from lofi_jax.config import defaults, named, optimizer, typed
from lofi_jax.errors import UserError
from lofi_jax.jobs import pipeline
from lofi_jax.run.start import start_run

CLASSES = ("jump", "run")
LENGTH = 40


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Videos of one action each; one source of features shows where it is, the other one which."""
    folder = tmp_path_factory.mktemp("external")
    rng = np.random.default_rng(0)
    database, scores = {}, {}
    for source in ("where", "which"):
        (folder / source).mkdir()
    for i in range(24):
        start, length, label = rng.uniform(0.05, 0.5), rng.uniform(0.2, 0.45), int(rng.integers(2))
        centres = (np.arange(LENGTH) + 0.5) / LENGTH
        inside = ((centres > start) & (centres < start + length)).astype(float)
        noise = 0.1 * rng.normal(size=(LENGTH, 6))
        noise[:, 0] += inside
        np.save(folder / "where" / f"video{i}.npy", noise)
        which = np.full((LENGTH // 2, 2), 2.0 * label - 1) + 0.1 * rng.normal(size=(LENGTH // 2, 2))
        np.savetxt(folder / "which" / f"v_video{i}.csv", which, delimiter=",")
        segment = [100 * start, 100 * (start + length)]
        database[f"video{i}"] = {
            "subset": "training" if i < 16 else "testing",
            "duration": 100.0,
            "annotations": [{"segment": segment, "label": CLASSES[label]}],
        }
        if i != 20:
            scores[f"video{i}"] = [0.9, 0.1] if label else [0.1, 0.9]
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    (folder / "scores.json").write_text(json.dumps({"class": ["run", "jump"], "results": scores}))
    return folder


def config(dataset):
    c = defaults()
    c.dataset, c.rows = "activitynet", "external"
    c.data.annotations = str(dataset / "annotations.json")
    c.data.feature_dirs = f"{dataset / 'where'},{dataset / 'which'}"
    c.data.snippets = 20
    c.head = named("gtad", channels=16, widths=(16, 16, 16, 16), bins=(4, 2), groups=4)
    c.head_training.epochs = 60.0
    c.head_training.batch_size = 8
    c.head_training.optimizer = optimizer(name="adam", learning_rate=5e-3)
    c.classifier.batch_size, c.classifier.hidden = 8, 16
    c.mesh.data, c.mesh.cpu_devices = 1, 8
    return c


@pytest.mark.slow
def test_a_head_learns_from_two_sources_and_external_labels(dataset, tmp_path, capsys):
    c = config(dataset)
    c.classifier.file = str(dataset / "scores.json")
    results = pipeline.run(start_run(typed(c), str(tmp_path)))
    (row,) = results["rows"]
    assert (row["start"], row["fidelity"], row["head"]) == ("external", "none", "gtad")
    assert row["mAP"]["0.50"] > 0.7
    assert "lacks 1 test videos, such as video20" in capsys.readouterr().out
    assert (tmp_path / "timelines" / "video16.png").exists()
    features = np.load(tmp_path / "features" / "external" / "video0.npy")
    assert features.shape == (20, 8)


@pytest.mark.slow
def test_our_own_classifier_labels_them_as_well(dataset, tmp_path):
    results = pipeline.run(start_run(typed(config(dataset)), str(tmp_path)))
    assert results["rows"][0]["mAP"]["0.50"] > 0.7


def test_a_missing_feature_file_or_folder_is_named(dataset, tmp_path):
    c = config(dataset)
    c.data.feature_dirs = str(tmp_path / "nowhere")
    with pytest.raises(UserError, match="nowhere: no features of video 'video0'"):
        pipeline.run(start_run(typed(c), str(tmp_path / "run")))
    c.data.feature_dirs = ""
    with pytest.raises(UserError, match="config.data.feature_dirs is empty"):
        start_run(typed(c), str(tmp_path / "other"))


def test_a_feature_file_of_another_width_is_named(dataset, tmp_path):
    c = config(dataset)
    (tmp_path / "features").mkdir()
    for path in (dataset / "where").glob("*.npy"):
        found = np.load(path)
        np.save(tmp_path / "features" / path.name, found[:, :5] if path.stem == "video3" else found)
    c.data.feature_dirs = str(tmp_path / "features")
    with pytest.raises(UserError, match="video3.*5 channels.*6"):
        pipeline.run(start_run(typed(c), str(tmp_path / "run")))
