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
    # run: false in another video, then both found up to 0.6, then one of two; jump: one of two, the
    # other is empty.
    low, high = (2 / 3 + 0.5) / 2, (0.25 + 0.5) / 2
    tious = [f"0.{hundredths}" for hundredths in range(50, 100, 5)]
    assert scores["mAP"] == pytest.approx(
        {tiou: low if tiou <= "0.60" else high for tiou in tious}, abs=1e-9
    )
    assert scores["average_mAP"] == pytest.approx((3 * low + 7 * high) / 10, abs=1e-9)
    assert list(scores["AR"]) == ["1", "5", "10", "100"]
    # Two of the four segments are found at every threshold, a third at three of ten.
    assert scores["AR"]["100"] == pytest.approx((2 + 0.3) / 4, abs=1e-9)
    assert 0 < scores["AUC"] < 1
    assert "6 predictions against 4 segments of 2 classes in 3 videos of 'val'" in done.stdout
    assert f"{100 * scores['average_mAP']:.2f}" in done.stdout
    assert f"{100 * scores['AUC']:.2f}" in done.stdout
    assert done.stderr.splitlines() == [
        "warning: 1 segments of the ground truth with end <= start: silent[0]: missed",
        "warning: 2 predicted videos are not in the subset: t, elsewhere: their 2 predictions"
        " count as "
        "false positives, as in the official evaluation; --ignore_other_videos leaves them out",
        "warning: 1 videos have no predictions: silent: all missed",
        "warning: 2 predictions have labels that the ground truth lacks: 'fly', 'swim': left out "
        "of the mAP",
    ]


def test_other_videos_can_be_ignored(tmp_path, truth):
    found = write(
        tmp_path / "found.json",
        {
            "a": [entry(0, 10, "run", 0.9)],
            "t": [entry(0, 10, "run", 1.0)],
            "b": [entry(0, 10, "run", 0.8), entry(50, 60, "jump", 0.6)],
        },
    )
    output = tmp_path / "metrics.json"
    for flag, of_run in (("--ignore_other_videos", 1.0), ("--noignore_other_videos", 2 / 3)):
        done = run(truth, found, "val", flag, f"--output={output}")
        assert done.returncode == 0, done.stderr
        scores = json.loads(output.read_text())
        assert scores["average_mAP"] == pytest.approx((of_run + 0.5) / 2, abs=1e-9)
    # Without the third prediction every video keeps all of its own; the recall counts labels and
    # videos alike.
    assert scores["AR"]["100"] == pytest.approx(3 / 4, abs=1e-9)


def official_average_map(database, results, subset, tious):
    """The official evaluation read literally: files in, average mAP out; what is found elsewhere is
    false.
    """
    truth = {}
    for key, video in database.items():
        if video["subset"] == subset:
            for annotation in video["annotations"]:
                of_class = truth.setdefault(annotation["label"], {})
                of_class.setdefault(key, []).append(annotation["segment"])
    found = {label: [] for label in truth}
    for key, entries in results.items():
        for one in entries:
            found[one["label"]].append((one["score"], key, one["segment"]))
    values = []
    for label, segments in truth.items():
        positives = sum(map(len, segments.values()))
        for tiou in tious:
            locked, hits, precision = set(), 0, []
            ordered = sorted(found[label], key=lambda one: -one[0])
            for count, (_, key, (start, end)) in enumerate(ordered, 1):
                overlaps = []
                for i, (s, e) in enumerate(segments.get(key, [])):
                    common = max(min(e, end) - max(s, start), 0)
                    overlaps.append((common / ((e - s) + (end - start) - common), i))
                for overlap, i in sorted(overlaps, reverse=True):
                    if overlap >= tiou and (key, i) not in locked:
                        locked.add((key, i))
                        hits += 1
                        precision.append((hits, hits / count))
                        break
            best = [max(p for h, p in precision if h >= n) for n in range(1, hits + 1)]
            values.append(sum(best) / positives)
    return np.mean(values)


def test_equals_the_official_evaluation_on_files_with_all_that_is_odd(tmp_path):
    rng = np.random.default_rng(0)
    labels, database, results = ("run", "jump", "swim"), {}, {}
    for i in range(30):
        starts = rng.uniform(0, 60, rng.integers(1, 4)).round(2).tolist()
        segments = [(s, s + float(rng.uniform(2, 20)), str(rng.choice(labels))) for s in starts]
        database[f"v{i}"] = video(*segments, subset="val" if i < 20 else "train")
        if i % 7:  # some videos have no predictions
            results[f"v{i}"] = [
                entry(s + 1, (s - 2 if rng.random() < 0.2 else e + 1), label, np.log(rng.random()))
                for s, e, label in segments
                for _ in range(3)
            ]
    results["nowhere"] = [entry(0, 10, "run", 0.0), entry(0, 10, "jump", -0.01)]
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"database": database}))
    output = tmp_path / "metrics.json"
    done = run(truth, write(tmp_path / "found.json", results), "val", f"--output={output}")
    assert done.returncode == 0, done.stderr
    tious = thresholds.parse(thresholds.ACTIVITYNET, "")
    expected = official_average_map(database, results, "val", tious)
    assert json.loads(output.read_text())["average_mAP"] == pytest.approx(expected, abs=1e-9)
    inside = {key: found for key, found in results.items() if key in list(database)[:20]}
    assert abs(expected - official_average_map(database, inside, "val", tious)) > 0.01
    backward = sum(one["segment"][1] < one["segment"][0] for f in results.values() for one in f)
    assert f"{backward} predictions end before they start: they match nothing" in done.stderr


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
        "huge.json: 1.0 GB; at most 1 GB are read at once",
    )


def test_bad_input_is_one_line(tmp_path, truth):
    for annotations, found, subset, says in bad_cases(tmp_path, truth):
        done = run(annotations, found, subset, f"--output={tmp_path / 'metrics.json'}")
        assert (done.returncode, done.stdout) == (1, "")
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
    assert done.returncode == 1
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
