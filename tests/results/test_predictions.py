import json
import os

import numpy as np
import pytest

from lofi_jax.errors import UserError
from lofi_jax.results import predictions


def entry(label="run", score=0.5, segment=(1.0, 2.0)):
    return {"label": label, "score": score, "segment": list(segment)}


def write(path, results):
    path.write_text(json.dumps({"version": "1", "results": results, "external_data": {}}))
    return path


RESULTS = {
    "b": [entry("run", 0.9, (0, 4)), entry("jump", 1, (2.5, 2.5))],
    "empty": [],
    "a": [entry("swim", 0, (7, 8))],
}


def test_reads_flat_arrays_in_the_files_order(tmp_path):
    loaded = predictions.load(write(tmp_path / "p.json", RESULTS))
    assert loaded.video_ids == ("b", "empty", "a")
    assert loaded.labels == ("jump", "run", "swim")
    assert loaded.video.tolist() == [0, 0, 2]
    assert loaded.label.tolist() == [1, 0, 2]
    assert loaded.score.tolist() == [0.9, 1, 0]
    assert loaded.segment.tolist() == [[0, 4], [2.5, 2.5], [7, 8]]
    assert (loaded.video.dtype, loaded.label.dtype) == (np.int64, np.int64)
    assert (loaded.score.dtype, loaded.segment.dtype) == (np.float64, np.float64)
    assert loaded.duplicates == ()


def test_videos_without_any_predictions(tmp_path):
    loaded = predictions.load(write(tmp_path / "p.json", {"v": [], "w": []}))
    assert loaded.video_ids == ("v", "w")
    assert loaded.segment.shape == (0, 2)
    assert len(loaded.score) == len(loaded.label) == len(loaded.video) == 0


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "folder" / "p.json"
    predictions.save(path, RESULTS)
    assert set(json.loads(path.read_text())) == {"version", "results", "external_data"}
    assert json.loads(path.read_text())["results"] == RESULTS
    assert predictions.load(path).score.tolist() == [0.9, 1, 0]
    assert os.listdir(path.parent) == ["p.json"]


def test_numpy_numbers_are_saved_too(tmp_path):
    made = {"v": [entry(score=np.float32(0.5), segment=np.array([1, 2.5]))]}
    made["v"][0]["segment"] = np.array([1, 2.5], np.float32)
    predictions.save(tmp_path / "p.json", made)
    assert predictions.load(tmp_path / "p.json").segment.tolist() == [[1, 2.5]]


def test_numbers_that_json_lacks_are_not_saved(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        predictions.save(tmp_path / "p.json", {"v": [entry(score=float("nan"))]})
    assert not os.listdir(tmp_path)


def test_duplicate_ids_keep_the_first_and_are_listed(tmp_path):
    path = tmp_path / "p.json"
    twins = [json.dumps([entry(score=score)]) for score in (0.1, 0.2)]
    path.write_text(f'{{"results": {{"v": {twins[0]}, "v": {twins[1]}}}}}')
    loaded = predictions.load(path)
    assert loaded.score.tolist() == [0.1]
    assert loaded.duplicates == ("v",)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (entry(score=float("nan")), "'score' is nan, not a number"),
        (entry(score=float("inf")), "'score' is inf"),
        (entry(score="0.5"), "'score' is '0.5'"),
        (entry(score=None), "'score' is None"),
        (entry(score=[0.5]), "'score' is [0.5]"),
        (entry(score=10**400), "'score' is 1000"),
        (entry(score=-(2**63)), "'score' is -9223372036854775808, not a number"),
        (entry(segment=(-(2**63), 1)), "'segment' is [-9223372036854775808, 1], not two numbers"),
        (entry(segment=("1", "2")), "'segment' is ['1', '2'], not two numbers"),
        (entry(segment=(1, float("nan"))), "'segment' is [1, nan]"),
        (entry(segment=(1,)), "'segment' is [1], not [start, end]"),
        (entry(segment=(1, 2, 3)), "'segment' is [1, 2, 3]"),
        (entry() | {"segment": 3}, "'segment' is 3"),
        (entry() | {"segment": {"1": 2}}, "'segment' is {'1': 2}"),
        (entry(label=7), "'label' is 7, not a class name"),
        (entry(label=""), "'label' is ''"),
        (entry(label=["run"]), "'label' is ['run']"),
        ({"label": "run", "segment": [1, 2]}, "'score' is None"),
        ("run", "is not an object"),
        (None, "is not an object"),
    ],
)
def test_a_bad_entry_is_named(tmp_path, broken, says):
    good = [entry(), entry("jump", 1, (0, 3))]
    path = write(tmp_path / "p.json", {"v_first": good, "v_bad": [*good, broken, *good]})
    with pytest.raises(UserError) as caught:
        predictions.load(path)
    assert str(caught.value).startswith(f"{path}: video 'v_bad', entry 2")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        *(entry(score="0.5"), entry(segment=("1", "2")), entry(score=[1])),
        *(entry(score=-(2**63)), entry(segment=(-(2**63), 1))),
    ],
)
def test_a_bad_entry_that_is_alone_is_named(tmp_path, broken):
    with pytest.raises(UserError, match=r"p\.json: video 'v', entry 0: "):
        predictions.load(write(tmp_path / "p.json", {"v": [broken]}))


@pytest.mark.parametrize("video", [{}, {"label": "run"}, "", "run", 3, None])
def test_a_video_that_is_no_list_is_named(tmp_path, video):
    with pytest.raises(UserError, match=r"p\.json: video 'v' is not a list"):
        predictions.load(write(tmp_path / "p.json", {"w": [entry()], "v": video}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("{", "not JSON"),
        ("[]", "no 'results' object"),
        ('{"database": {}}', "no 'results' object"),
        ('{"results": []}', "no 'results' object"),
        ('{"results": {}}', "the results hold no videos"),
    ],
)
def test_files_of_another_form(tmp_path, text, says):
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        predictions.load(path)
    assert str(caught.value).startswith(f"{path}: {says}")


def test_any_finite_score_and_any_two_times_are_read(tmp_path):
    odd = [entry(score=-0.5, segment=(2, 1)), entry(score=-1e9, segment=(-3, 1))]
    loaded = predictions.load(write(tmp_path / "p.json", {"v": odd}))
    assert loaded.score.tolist() == [-0.5, -1e9]
    assert loaded.segment.tolist() == [[2, 1], [-3, 1]]


def test_some_of_the_videos(tmp_path):
    made = predictions.load(write(tmp_path / "p.json", RESULTS))
    some = predictions.of_videos(made, {"a", "empty"})
    assert (some.video_ids, some.video.tolist()) == (("empty", "a"), [1])
    assert some.of("a") == made.of("a") and some.of("b") == []


def test_instances_number_videos_and_labels_as_the_ground_truth_does(tmp_path):
    made = predictions.load(write(tmp_path / "p.json", RESULTS | {"other": [entry("run")]}))
    found = predictions.instances(made, ("a", "x", "b"), ("run", "swim"))
    assert found.video.tolist() == [2, 0]
    assert found.label.tolist() == [0, 1]
    assert found.segment.tolist() == [[0, 4], [7, 8]]
    assert found.score.tolist() == [0.9, 0]
