"""Labels of proposals in videos that hold several classes, and folds, on features made elsewhere:
no video is needed.
"""

import json
import pathlib

import commands
import jax
import numpy as np
import pytest

from lofi_jax.config import defaults, named, optimizer, typed
from lofi_jax.data.annotations import activitynet, folds
from lofi_jax.detection.windows import Windows
from lofi_jax.errors import UserError
from lofi_jax.jobs import folds as pooled_folds
from lofi_jax.jobs import labels, pipeline
from lofi_jax.models.segment_classifier import SegmentClassifier
from lofi_jax.run import datasets
from lofi_jax.run.start import start_run
from lofi_jax.stages.classify_segments import SegmentLabels

CLASSES = ("hop", "run", "skip")
LENGTH = 24


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Videos of three actions of different classes; the features show when and which."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "features").mkdir()
    rng = np.random.default_rng(0)
    database = {}
    for i in range(32):
        features = 0.1 * rng.normal(size=(LENGTH, 8))
        entries = []
        for third, label in enumerate(rng.permutation(3)):
            start = 8 * third + int(rng.integers(1, 4))
            end = start + int(rng.integers(2, 5))
            features[start:end, [0, 1 + label]] += 1
            entries.append({"segment": [float(start), float(end)], "label": CLASSES[label]})
        np.save(folder / "features" / f"video{i}.npy", features)
        database[f"video{i}"] = {
            "subset": "training" if i < 24 else "testing",
            "duration": float(LENGTH),
            "fold": i % 2,
            "annotations": entries,
        }
    (folder / "annotations.json").write_text(json.dumps({"database": database}))
    return folder


def config(dataset, **changes):
    c = defaults()
    c.dataset, c.rows = "video_folder", "external"
    c.data.annotations = str(dataset / "annotations.json")
    c.data.feature_dirs = str(dataset / "features")
    c.data.snippets = LENGTH
    c.head = named("gtad", channels=16, widths=(16, 16, 16, 16), bins=(4, 2), groups=4)
    c.head_training.epochs, c.head_training.batch_size = 40.0, 8
    c.head_training.optimizer = optimizer(name="adam", learning_rate=5e-3)
    c.classifier.epochs, c.classifier.batch_size, c.classifier.hidden = 40.0, 8, 16
    c.classifier.optimizer.learning_rate = 5e-3
    c.mesh.data, c.mesh.cpu_devices = 1, 8
    c.update_from_flattened_dict(changes)
    return c


def finished(c, workdir):
    run = start_run(typed(c), str(workdir))
    return run, pipeline.run(run)


@pytest.fixture(scope="module")
def by_segment(dataset, tmp_path_factory):
    return finished(config(dataset), tmp_path_factory.mktemp("by_segment"))


@pytest.mark.slow
def test_labels_by_segment_are_worth_most_of_what_localization_is(by_segment, dataset, tmp_path):
    run, results = by_segment
    row = results["rows"][0]
    c = config(dataset, **{"classifier.level": "video"})
    (by_video,) = finished(c, tmp_path)[1]["rows"]
    # The same proposals, whose labels a classifier of videos can only guess.
    localized = row["class_agnostic"]["average_mAP"]
    assert row["average_mAP"] > 0.9 * localized > 0.7
    assert row["average_mAP"] > 2 * by_video["average_mAP"]


@pytest.mark.slow
def test_auto_says_what_it_takes_and_why(by_segment, dataset, tmp_path, capsys):
    run = by_segment[0]
    assert labels.level(run) == labels.trained_level(run) == "segment"
    said = "labels by segment: 100.0% of the training videos hold several classes"
    assert capsys.readouterr().out.startswith(said)
    one_class = json.loads((dataset / "annotations.json").read_text())
    for number, video in enumerate(one_class["database"].values()):
        if number >= 3:
            video["annotations"] = video["annotations"][:1]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(one_class))
    c = config(dataset, **{"data.annotations": str(path)})
    assert labels.level(start_run(typed(c), str(tmp_path / "run"))) == "video"
    assert capsys.readouterr().out.startswith("labels by video: 12.5% of")


@pytest.mark.slow
def test_a_killed_training_goes_on_and_ends_the_same(dataset, tmp_path):
    few = {"stages": "extract,head", "head_training.epochs": 1.0, "classifier.epochs": 3.0}
    often = {"log.checkpoint_seconds": 0.0, "log.every": 1}
    run = start_run(typed(config(dataset, **few, **often)), str(tmp_path / "run"))
    pipeline.run(run)
    folder = labels.folder(run, "segment")
    curve, checkpoints = folder / "curve.jsonl", folder / "checkpoints"
    ended = json.loads(curve.read_text().splitlines()[-1])
    (checkpoints / str(ended["step"])).rename(tmp_path / "lost")
    pipeline.run(run)
    again = json.loads(curve.read_text().splitlines()[-1])
    assert again["step"] == ended["step"] and (checkpoints / str(ended["step"])).is_dir()
    assert again["loss"] == pytest.approx(ended["loss"], rel=1e-4)


def test_segments_of_a_long_video_are_seen_as_in_their_window():
    rng = np.random.default_rng(0)
    model = SegmentClassifier(3, 8)
    windows = Windows(size=8, overlap=0.5, rate=2.0)
    features = rng.normal(size=(13, 5)).astype(np.float32)
    params = model.init(jax.random.key(0), features[None], np.zeros((1, 1, 2)))["params"]
    label = SegmentLabels(CLASSES, model, params, windows, top_k=10)
    # 13 snippets at 2 a second of a video of 6.6 s: seconds 2 to 3.5 are snippets 4 to 7.
    found = label(features, np.array([[2.0, 3.5], [0.0, 6.5]]) / 6.6, 6.6)
    logits = model.apply({"params": params}, features[None], np.array([[[4.0, 7.0], [0, 13]]]))
    expected = np.asarray(jax.nn.softmax(logits[0]))[:, :3]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # A short video is its one window, which repeats the last snippet.
    short = label(features[:5], np.array([[0.5, 2.0]]) / 2.4, 2.4)
    padded = features[[0, 1, 2, 3, 4, 4, 4, 4]][None]
    logits = model.apply({"params": params}, padded, np.array([[[1.0, 4.0]]]))
    np.testing.assert_allclose(short, np.asarray(jax.nn.softmax(logits[0]))[:, :3], atol=1e-5)


@pytest.mark.slow
def test_long_videos_get_labels_by_segment(dataset, tmp_path):
    windows = {"data.snippets_per_second": 1.0, "data.window": 12, "data.window_overlap": 0.5}
    run, results = finished(config(dataset, **windows), tmp_path)
    row = results["rows"][0]
    assert labels.trained_level(run) == "segment"
    assert row["average_mAP"] > 0.8 * row["class_agnostic"]["average_mAP"] > 0.2


def test_scores_of_videos_are_refused_for_segments(dataset, tmp_path):
    c = config(dataset, **{"classifier.level": "segment", "classifier.file": "scores.json"})
    with pytest.raises(UserError, match="whose scores are of videos"):
        start_run(typed(c), str(tmp_path))
    c = config(dataset, **{"classifier.level": "frame"})
    with pytest.raises(UserError, match="classifier.level is 'frame': choose one of auto, video"):
        start_run(typed(c), str(tmp_path))


@pytest.mark.slow
def test_a_fold_is_tested_and_the_others_train(by_segment, dataset, tmp_path):
    run = start_run(typed(config(dataset, **{"data.fold": 1})), str(tmp_path))
    target = datasets.target(run)
    # The training subset alone has folds; the testing one is not used.
    assert [v.video_id for v in target.test_videos] == [f"video{i}" for i in range(1, 24, 2)]
    assert [v.video_id for v in target.train_videos] == [f"video{i}" for i in range(0, 24, 2)]
    assert {v.subset for v in target.test_videos} == {"testing"}


@pytest.mark.slow
def test_a_study_pools_folds_as_evaluation_by_hand_does(dataset, tmp_path):
    annotations = dataset / "annotations.json"
    path = tmp_path / "config.py"
    path.write_text(
        "import pathlib, sys\n"
        f"sys.path[:0] = {[str(folder) for folder in pathlib.Path(__file__).parents[:2]]}\n"
        "import test_labels\n"
        "def get_config():\n"
        f"    c = test_labels.config(pathlib.Path({str(dataset)!r}))\n"
        "    c.head_training.epochs = c.classifier.epochs = 2.0\n"
        "    return c\n"
    )
    folder = tmp_path / "study"
    ended = commands.run("study", f"--config={path}", f"--workdir={folder}", "--folds=2")
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads((folder / "study.json").read_text())["pooled"]["rows"]
    output = tmp_path / "evaluated.json"
    found = folder / "detections" / "external_gtad.json"
    by_hand = commands.run(
        *("evaluate", f"--ground_truth={annotations}", f"--predictions={found}"),
        *("--subset=training", f"--output={output}"),
    )
    assert by_hand.returncode == 0, by_hand.stderr
    evaluated = json.loads(output.read_text())
    assert row["average_mAP"] == pytest.approx(evaluated["average_mAP"], abs=1e-9)
    low, high = row["interval"]
    assert low <= row["average_mAP"] <= high and low < high
    printed = f"{100 * row['average_mAP']:.1f}  {100 * low:.1f} to {100 * high:.1f}"
    assert printed in ended.stdout and "fold 0" in ended.stdout and "fold 1" in ended.stdout
    parts = [json.loads((folder / f"fold_{k}" / "detections.json").read_text()) for k in (0, 1)]
    both = parts[0]["results"] | parts[1]["results"]
    assert json.loads(found.read_text())["results"] == both and len(both) == 24


def changed(dataset, path, change):
    """The annotations with a change to each video's entry."""
    content = json.loads((dataset / "annotations.json").read_text())
    for number, video in enumerate(content["database"].values()):
        change(number, video)
    path.write_text(json.dumps(content))
    return path


def test_bad_folds_are_one_line_that_names_the_fix(dataset, tmp_path):
    def target(**changes):
        run = start_run(typed(config(dataset, **changes)), str(tmp_path / str(len(changes))))
        return datasets.target(run)

    with pytest.raises(UserError, match=r"fold is 2: .*annotations.json has the folds 0, 1"):
        target(**{"data.fold": 2})
    with pytest.raises(UserError, match="fold is -2: it must be at least -1"):
        target(**{"data.fold": -2})
    with pytest.raises(UserError, match="split by fold, not by subset"):
        target(**{"data.fold": 0, "source.test_subset": "testing"})
    one = changed(dataset, tmp_path / "one.json", lambda i, v: v.update(fold=0))
    with pytest.raises(UserError, match="are of one 'fold'"):
        target(**{"data.fold": 0, "data.annotations": str(one), "seed": 1})
    none = changed(dataset, tmp_path / "none.json", lambda i, v: i == 4 and v.pop("fold"))
    with pytest.raises(UserError, match=r"none.json: video 'video4' has no 'fold': give one"):
        target(**{"data.fold": 0, "data.annotations": str(none), "seed": 1, "timelines": 1})
    bad = changed(dataset, tmp_path / "bad.json", lambda i, v: v.update(fold="first"))
    with pytest.raises(UserError, match="video 'video0': 'fold' is 'first', not a number"):
        activitynet.load(bad)


def test_a_study_of_other_folds_than_the_files_is_refused(dataset):
    with pytest.raises(UserError, match=r"--folds=3: .*annotations.json has the folds 0, 1"):
        pooled_folds.check(typed(config(dataset)), 3)
    pooled_folds.check(typed(config(dataset)), 2)


def test_folds_survive_saving(dataset, tmp_path):
    loaded = activitynet.load(dataset / "annotations.json")
    activitynet.save(tmp_path / "again.json", loaded.videos.values())
    again = activitynet.load(tmp_path / "again.json")
    assert folds.numbers(again, "training") == folds.numbers(loaded, "training")
