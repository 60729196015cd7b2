"""The command as a user calls it: each call is a process of its own."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from lofi_jax.data.annotations import activitynet
from lofi_jax.detection import metrics, thresholds
from lofi_jax.results import ground_truth

ROOT = pathlib.Path(__file__).parents[1]
TIOUS_THUMOS = thresholds.parse(thresholds.THUMOS, "")


def run(ground_truth, predictions, subset, *more):
    flags = [f"--ground_truth={ground_truth}", f"--predictions={predictions}", f"--subset={subset}"]
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "lofi_jax.evaluate", *flags, *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def video(*segments, subset="val"):
    entries = [{"segment": [start, end], "label": label} for start, end, label in segments]
    return {"subset": subset, "duration": 100, "annotations": entries}


def entry(start, end, label, score):
    return {"segment": [start, end], "label": label, "score": score}


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth.json"
    database = {
        "a": video((0, 10, "run")),
        "b": video((0, 10, "run"), (50, 60, "jump")),
        "silent": video((5, 5, "jump")),
        "t": video((0, 10, "swim"), subset="train"),
    }
    path.write_text(json.dumps({"database": database}))
    return path


def write(path, results):
    path.write_text(json.dumps({"version": "1", "results": results, "external_data": {}}))
    return path


def test_prints_a_table_and_warnings_and_writes_the_metrics(tmp_path, truth):
    found = write(
        tmp_path / "found.json",
        {
            "a": [entry(0, 10, "run", 0.9), entry(0, 10, "fly", 0.8)],
            "b": [entry(0, 6, "run", 0.7), entry(50, 60, "jump", 0.6)],
            "t": [entry(0, 10, "swim", 0.9)],
            "elsewhere": [entry(0, 10, "run", 1.0)],
        },
    )
    output = tmp_path / "folder" / "metrics.json"
    done = run(truth, found, "val", f"--output={output}")
    assert done.returncode == 0, done.stderr
    scores = json.loads(output.read_text())
    # run: both found up to 0.6, then one of two; jump: one of two, the other is empty.
    low, high = (1 + 0.5) / 2, (0.5 + 0.5) / 2
    tious = [f"0.{hundredths}" for hundredths in range(50, 100, 5)]
    assert scores["mAP"] == pytest.approx(
        {tiou: low if tiou <= "0.60" else high for tiou in tious}, abs=1e-9
    )
    assert scores["average_mAP"] == pytest.approx((3 * low + 7 * high) / 10, abs=1e-9)
    assert list(scores["AR"]) == ["1", "5", "10", "100"]
    # Two of the four segments are found at every threshold, a third at three of ten.
    assert scores["AR"]["100"] == pytest.approx((2 + 0.3) / 4, abs=1e-9)
    assert 0 < scores["AUC"] < 1
    assert "4 predictions against 4 segments of 2 classes in 3 videos of 'val'" in done.stdout
    assert f"{100 * scores['average_mAP']:.2f}" in done.stdout
    assert f"{100 * scores['AUC']:.2f}" in done.stdout
    assert done.stderr.splitlines() == [
        "warning: 1 segments of the ground truth with end <= start: silent[0]: missed",
        "warning: 2 predicted videos are not in the subset: t, elsewhere: left out",
        "warning: 1 videos have no predictions: silent: all missed",
        "warning: 2 predictions have labels that the ground truth lacks: 'fly', 'swim': left out "
        "of the mAP",
    ]


def test_other_thresholds(tmp_path, truth):
    found = write(tmp_path / "found.json", {"a": [entry(0, 10, "run", 0.9)]})
    for flag, keys in (
        ("--tiou=0.3:0.1:0.7", ["0.30", "0.40", "0.50", "0.60", "0.70"]),
        ("--tiou=0.5", ["0.50"]),
    ):
        output = tmp_path / "metrics.json"
        done = run(truth, found, "val", flag, f"--output={output}")
        assert done.returncode == 0, done.stderr
        assert list(json.loads(output.read_text())["mAP"]) == keys


@pytest.mark.parametrize("tiou", ["0.5:0.1:0.95", "0.9:0.1:0.5", "a:b", "0:0.1:1", "0.5:0:0.9"])
def test_bad_thresholds(tmp_path, truth, tiou):
    done = run(truth, tmp_path / "none.json", "val", f"--tiou={tiou}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: --tiou={tiou}: not first:step:last")
    assert len(done.stderr.splitlines()) == 1


def bad_cases(folder, truth):
    good = {"a": [entry(0, 10, "run", 0.9)]}
    (folder / "empty.json").touch()
    (folder / "text.json").write_text("no JSON")
    yield truth, folder / "missing.json", "val", "missing.json: cannot be read (No such file"
    yield truth, folder / "empty.json", "val", "empty.json: the file is empty"
    yield truth, folder / "text.json", "val", "text.json: not JSON"
    yield folder / "empty.json", write(folder / "1.json", good), "val", "empty.json: the file is"
    yield truth, write(folder / "2.json", good), "test", "truth.json: no video is of subset 'test'"
    foreign = {"v_x": [entry(0, 10, "run", 0.9)]}
    yield truth, write(folder / "3.json", foreign), "val", "3.json: no video in common with subset"
    minus = {"a": [*good["a"], entry(0, 10, "run", -1)]}
    yield truth, write(folder / "4.json", minus), "val", "video 'a', entry 1: 'score' is -1"
    backward = {"a": [entry(9, 1, "run", 0.9)]}
    yield truth, write(folder / "5.json", backward), "val", "video 'a', entry 0: 'segment' is [9, 1"
    nan = {"b": [*good["a"], entry(0, 1, "run", float("nan"))]}
    yield truth, write(folder / "6.json", nan), "val", "6.json: video 'b', entry 1: 'score' is nan"
    words = {"a": [entry("zero", "one", "run", 1)]}
    yield truth, write(folder / "7.json", words), "val", "video 'a', entry 0: 'segment' is ['zero',"
    (folder / "shape.json").write_text('{"a": []}')
    yield truth, folder / "shape.json", "val", "shape.json: no 'results' object"
    yield folder / "shape.json", folder / "2.json", "val", "shape.json: no 'database' object"
    with (folder / "huge.json").open("w") as huge:
        huge.truncate(1_000_000_001)  # holds no bytes on disk
    yield (
        truth,
        folder / "huge.json",
        "val",
        "huge.json: 1.0 GB, over the 1 GB that are read as JSON",
    )


def test_bad_input_is_one_line(tmp_path, truth):
    for annotations, found, subset, says in bad_cases(tmp_path, truth):
        done = run(annotations, found, subset, f"--output={tmp_path / 'metrics.json'}")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ") and says in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "metrics.json").exists()


def test_a_missing_flag_is_one_line(truth):
    done = subprocess.run(
        [sys.executable, "-m", "lofi_jax.evaluate", f"--ground_truth={truth}", "--predictions=x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "--subset" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_subset_whose_segments_are_secret(tmp_path):
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"database": {"v": video(subset="testing")}}))
    done = run(truth, write(tmp_path / "found.json", {"v": []}), "testing")
    assert done.returncode == 2
    assert "truth.json: subset 'testing' has no segments to find" in done.stderr


def test_starts_without_the_heavy_libraries():
    code = "import sys, lofi_jax.evaluate; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "lofi_jax.detection.metrics" in loaded
    assert not loaded & {"jax", "flax", "optax", "orbax", "grain", "tensorflow_datasets", "cv2"}


def test_real_annotations_against_the_library(shared_data, tmp_path):
    path = shared_data / "annotations" / "thumos14.json"
    videos = activitynet.load(path, repair=False).subset("test")
    rng = np.random.default_rng(0)
    results = {
        key: [
            entry(start, end + 1, label, float(score))
            for (start, end), label, score in zip(
                one.segments.tolist(), one.labels, rng.random(len(one.labels)), strict=True
            )
        ]
        for key, one in videos.items()
    }
    output = tmp_path / "metrics.json"
    found = write(tmp_path / "found.json", results)
    done = run(path, found, "test", "--tiou=0.3:0.1:0.7", f"--output={output}")
    assert (done.returncode, done.stderr) == (0, "")
    classes = tuple(sorted({label for one in videos.values() for label in one.labels}))
    truth = ground_truth.ground_truth(videos, classes)
    rng = np.random.default_rng(0)
    guessed = truth._replace(
        segment=truth.segment + [0, 1],
        score=np.concatenate([rng.random(len(one.labels)) for one in videos.values()]),
    )
    expected = metrics.evaluate(truth, guessed, len(classes), TIOUS_THUMOS)
    assert json.loads(output.read_text()) == expected
    assert 0.5 < expected["average_mAP"] < 1
