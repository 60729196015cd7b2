"""The fuse command on cases worked by hand."""

import json
import math

import numpy as np
import pytest
from commands import misused, refused, run
from test_evaluate import entry, write

from lofi_jax.detection.proposals import Proposals, union, with_classes
from lofi_jax.results import submissions


def fuse(folder, files, *more):
    paths = [str(write(folder / f"{i}.json", results)) for i, results in enumerate(files)]
    output = folder / "out" / "fused.json"
    ended = run("fuse", f"--predictions={','.join(paths)}", f"--output={output}", *more)
    results = json.loads(output.read_text())["results"] if ended.returncode == 0 else None
    return ended, results


def close(found, wanted):
    assert [one["label"] for one in found] == [one["label"] for one in wanted]
    assert [one["segment"] for one in found] == [one["segment"] for one in wanted]
    assert [one["score"] for one in found] == pytest.approx([one["score"] for one in wanted])


def test_scores_are_weighted_and_overlaps_suppressed_by_class(tmp_path):
    one = {"a": [entry(0, 10, "run", 0.9), entry(0, 10, "jump", 0.5)], "only": []}
    other = {"b": [entry(1, 2, "run", 1)], "a": [entry(0, 8, "run", 0.5), entry(0, 10, "run", 0.2)]}
    more = ("--weights=1,0.5", "--nms_sigma=0.5")
    ended, results = fuse(tmp_path, [one, other], *more)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(results) == ["a", "only", "b"]
    # The one found twice counts once; the shorter one is lowered by exp(-0.8^2 / 0.5).
    lowered = 0.25 * math.exp(-(0.8**2) / 0.5)
    wanted = [entry(0, 10, "run", 0.9), entry(0, 10, "jump", 0.5), entry(0, 8, "run", lowered)]
    close(results["a"], wanted)
    close(results["b"], [entry(1, 2, "run", 0.5)])
    assert results["only"] == []
    assert "5 predictions of 3 videos in 2 files -> 4 in " in ended.stdout
    assert list(submissions.findings(tmp_path / "out" / "fused.json")) == []


def test_other_suppression(tmp_path):
    files = [{"a": [entry(0, 10, "run", 0.9), entry(0, 8, "run", 0.8), entry(20, 30, "run", 0.3)]}]
    _, hard = fuse(tmp_path, files, "--nms=hard", "--nms_threshold=0.7")
    close(hard["a"], [entry(0, 10, "run", 0.9), entry(20, 30, "run", 0.3)])
    _, linear = fuse(tmp_path, files, "--nms=linear", "--top_k=2")
    close(linear["a"], [entry(0, 10, "run", 0.9), entry(20, 30, "run", 0.3)])
    _, voted = fuse(tmp_path, files, "--nms=hard", "--vote=0.7", "--top_k=1")
    end = (10 * 0.9 + 8 * 0.8 * 0.8) / (0.9 + 0.8 * 0.8)
    assert voted["a"][0]["segment"] == pytest.approx([0, end])


def test_external_class_scores_label_proposals(tmp_path):
    scores = tmp_path / "scores.json"
    results = {"a": [0.1, 0.7, 0.2]}
    scores.write_text(json.dumps({"class": ["run", "jump", "swim"], "results": results}))
    files = [
        {"a": [entry(0, 10, "x", 0.5), entry(0, 10, "y", 1.0)], "b": [entry(0, 4, "x", 1)]},
        {"a": [entry(20, 30, "x", 0.4)]},
    ]
    ended, found = fuse(tmp_path, files, f"--class_scores={scores}")
    assert ended.stderr == (
        f"warning: {scores}: lacks 1 videos: b: all their classes count as equally probable\n"
    )
    wanted = [
        entry(0, 10, "jump", 0.7),
        entry(20, 30, "jump", 0.4 * 0.7),
        entry(0, 10, "swim", 0.2),
        entry(20, 30, "swim", 0.4 * 0.2),
    ]
    close(found["a"], wanted)
    close(found["b"], [entry(0, 4, "run", 1 / 3), entry(0, 4, "jump", 1 / 3)])


def test_a_proposal_gets_the_best_classes_by_score():
    found = Proposals(np.array([[0.0, 1], [2, 3]]), np.array([0.5, 0.4]))
    named = with_classes(found, np.array([0.2, 0.1, 0.6]), 2)
    assert named.labels.tolist() == [2, 2, 0, 0]
    np.testing.assert_allclose(named.scores, [0.3, 0.24, 0.1, 0.08])
    assert named.segments[:, 0].tolist() == [0, 2, 0, 2]


def test_each_proposal_may_have_classes_of_its_own():
    found = Proposals(np.array([[0.0, 1], [2, 3]]), np.array([0.5, 0.4]))
    named = with_classes(found, np.array([[0.2, 0.1, 0.6], [0.0, 0.9, 0.05]]), 2)
    assert named.labels.tolist() == [1, 2, 0, 2]
    np.testing.assert_allclose(named.scores, [0.36, 0.3, 0.1, 0.02])
    assert named.segments[:, 0].tolist() == [2, 0, 0, 2]


def test_the_union_of_nothing():
    none = Proposals(np.empty((0, 2)), np.empty(0), np.empty(0, int))
    assert len(union([none, none], [1, 2]).scores) == 0


@pytest.mark.parametrize(
    "weights", ["1", "1,0", "1,x", "1,-1", "1,nan", "1,inf", "1,1e16", "1,1,1"]
)
def test_bad_weights(tmp_path, weights):
    ended, _ = fuse(tmp_path, [{"a": []}, {"a": []}], f"--weights={weights}")
    assert misused(ended, f"--weights={weights}: not 2 numbers above 0")


@pytest.mark.parametrize("flag", ["--nms_sigma=nan", "--nms_threshold=nan", "--vote=nan"])
def test_what_is_no_number_is_no_setting(tmp_path, flag):
    ended, _ = fuse(tmp_path, [{"a": []}], flag)
    assert misused(ended, f"flag {flag}: nan is not a number ")


def test_scores_that_the_weights_make_too_large_are_refused(tmp_path):
    ended, _ = fuse(tmp_path, [{"a": [entry(0, 1, "run", 1e15)]}], "--weights=10")
    assert refused(ended, "fused.json: video 'a', entry 0: the score is 1e+16", "lower --weights")


def test_bad_files(tmp_path):
    ended, _ = fuse(tmp_path, [{"a": [entry(0, 1, "run", -1)]}])
    assert refused(ended, "0.json: video 'a', entry 0: a score below 0")
    scores = tmp_path / "scores.json"
    for content, says in (
        ({"class": ["run"]}, "not class scores"),
        ({"class": ["run"], "results": {"b": [1]}}, "has scores of none of the videos, such as a"),
        ({"class": ["run"], "results": {"a": [1, 2]}}, "video 'a': not 1 scores of 0 or above"),
        ({"class": ["run"], "results": {"a": "x"}}, "video 'a': not 1 scores of 0 or above"),
        ({"class": ["run"], "results": {"a": [-1]}}, "video 'a': not 1 scores of 0 or above"),
    ):
        scores.write_text(json.dumps(content))
        ended, _ = fuse(tmp_path, [{"a": [entry(0, 1, "run", 1)]}], f"--class_scores={scores}")
        assert refused(ended, f"{scores}: {says}"), ended.stderr


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (entry(0, 10, "run", -0.5), "video 'a', entry 1: a score below 0"),
        (entry(10, 0, "run", 0.5), "video 'a', entry 1: a segment that ends before it starts"),
    ],
)
def test_what_cannot_be_weighed_is_refused(tmp_path, one, says):
    path = write(tmp_path / "odd.json", {"a": [entry(0, 10, "run", 0.9), one]})
    ended = run("fuse", f"--predictions={path}", f"--output={tmp_path / 'fused.json'}")
    assert refused(ended, "odd.json", says)
