"""The value that holds what was found in one video."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofi_jax.detection.nms import soft_nms_batch
from lofi_jax.errors import UserError
from lofi_jax.results import predictions
from lofi_jax.results.detections import Detection, Detections, by_video


@st.composite
def detections(draw, video="v"):
    times = st.floats(0, 1e6, width=32)
    count = draw(st.integers(0, 8))
    segments = [sorted(draw(st.tuples(times, times))) for _ in range(count)]
    labels = [draw(st.sampled_from(("run", "long jump", "a<b, 'c'"))) for _ in range(count)]
    scores = [draw(st.floats(0, 1, width=32)) for _ in range(count)]
    return Detections(segments, labels, scores, video)


FOUND = Detections([[1, 3], [1.5, 3], [7, 9]], ["run", "run", "jump"], [0.5, 0.75, 0.25], "v")


def test_has_a_length_and_gives_its_entries():
    assert len(FOUND) == 3
    assert list(FOUND)[1] == FOUND[1] == FOUND[-2] == Detection(1.5, 3.0, "run", 0.75)
    assert [d.label for d in FOUND] == ["run", "run", "jump"]
    assert FOUND[1:].labels == FOUND[[1, 2]].labels == FOUND[FOUND.segments[:, 0] > 1].labels
    with pytest.raises(IndexError):
        FOUND[3]


def test_nothing_found_is_a_value_too():
    none = Detections([], [], [], "v")
    assert (len(none), none.segments.shape, none.scores.shape) == (0, (0, 2), (0,))
    assert none + FOUND == FOUND + none == FOUND
    assert none.top(3) == none.filter(0.5, ["run"]) == none.suppress() == none
    assert repr(none) == "Detections of 'v': 0 of 0 classes"


def test_never_changes():
    given_scores = np.array([0.5])
    found = Detections(np.array([[1, 2]]), ["run"], given_scores)
    given_scores[0] = 7
    assert found.scores.tolist() == [0.5]
    with pytest.raises(ValueError, match="read-only"):
        found.scores[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.video = "w"
    assert dataclasses.replace(found, video="w").video == "w"


def test_equals_what_holds_the_same():
    again = Detections(FOUND.segments, FOUND.labels, FOUND.scores, "v")
    assert again == FOUND
    assert FOUND != dataclasses.replace(FOUND, video="w")
    assert FOUND != FOUND[[1, 0, 2]]
    assert FOUND != "v"


WRONG = {
    "an end before the start": (
        ([[1, 2], [3, 2]], "ab", [1, 1]),
        "entry 1: the segment is [3.0, 2.0]",
    ),
    "no time": (([[1, np.nan]], "a", [1]), "entry 0: the segment is [1.0, nan]"),
    "a negative score": (([[1, 2]], "a", [-0.5]), "entry 0: the score is -0.5"),
    "an endless score": (([[1, 2]], "a", [np.inf]), "entry 0: the score is inf"),
    "a score over the most": (
        ([[1, 2]], "a", [1e16]),
        "the score is 1e+16, not a number from",
    ),
    "a time over the most": (([[1, 1e16]], "a", [1]), "the segment is [1.0, 1e+16], not a start"),
    "a time over all floats": (
        ([[0, 10**400]], "a", [1]),
        "the segments are no array of numbers",
    ),
    "half a character": (([[1, 2]], ["\udcff"], [1]), "entry 0: the label is '\\udcff'"),
    "no label": (([[1, 2]], [""], [1]), "entry 0: the label is ''"),
    "too few scores": (([[1, 2], [3, 4]], "ab", [1]), "scores of shape (1,)"),
    "one number a segment": (([1, 2], "ab", [1, 1]), "segments of shape (2,)"),
    "words": (([["a", "b"]], "a", [1]), "the segments are no array of numbers"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_detection_is_refused(what):
    arguments, says = WRONG[what]
    with pytest.raises(UserError) as refused:
        Detections(*arguments, "v")
    assert str(refused.value).startswith("video 'v'") and says in str(refused.value)
    assert "\n" not in str(refused.value)


@given(detections(), st.floats(0, 1), st.integers(0, 9))
def test_filters_and_ranks(found, least, k):
    kept = found.filter(least, labels=["run"])
    assert list(kept) == [d for d in found if d.score >= least and d.label == "run"]
    assert list(found.top(k)) == sorted(found, key=lambda d: -d.score)[:k]
    assert found.filter(labels="run") == found.filter(labels=["run"])


@given(detections(), detections())
def test_adds(one, other):
    both = one + other
    assert list(both) == [*one, *other]
    assert both[: len(one)] == one and both[len(one) :] == other


def test_half_a_character_is_no_video():
    with pytest.raises(UserError, match="the video is '.udcff', not the text of an id"):
        Detections([], [], [], "\udcff")


@pytest.mark.parametrize("chosen", [True, None, [[0]]], ids=str)
def test_what_chooses_nothing_is_refused(chosen):
    with pytest.raises(TypeError, match="choose detections by index, slice, indices or mask"):
        FOUND[np.array(chosen) if isinstance(chosen, list) else chosen]


@pytest.mark.parametrize(
    "given",
    [{"threshold": np.nan}, {"threshold": -1.0}, {"threshold": 5.0}, {"vote": 2.0}, {"top_k": -1}],
    ids=str,
)
def test_suppression_has_ranges(given):
    (name,) = given
    with pytest.raises(ValueError, match=f"{name} is "):
        FOUND.suppress("hard", **given)


def test_never_drops_the_worst_by_a_negative_number():
    with pytest.raises(ValueError, match="the number of the best is -1, not 0 or more"):
        FOUND.top(-1)


def test_does_not_add_other_videos():
    with pytest.raises(UserError, match="'v' and of 'w'"):
        FOUND + dataclasses.replace(FOUND, video="w")


@given(detections(), st.sampled_from(("gaussian", "linear", "hard")))
def test_suppresses_class_by_class(found, method):
    suppressed = found.suppress(method, sigma=0.5, threshold=0.3, top_k=5)
    classes = np.array([["run", "long jump", "a<b, 'c'"].index(x) for x in found.labels], int)
    index, scores = soft_nms_batch(
        found.segments[None], found.scores[None], classes[None], 0.5, 5, method, 0.3
    )
    kept = index[0] >= 0
    np.testing.assert_array_equal(suppressed.segments, found.segments[index[0][kept]])
    np.testing.assert_array_equal(suppressed.scores, scores[0][kept])
    assert suppressed.labels == found[index[0][kept]].labels


def test_a_long_one_shows_its_best():
    found = Detections([[i, i + 1] for i in range(9)], ["run"] * 9, np.arange(9) / 10, "v")
    lines = repr(found).splitlines()
    assert lines[:2] == ["Detections of 'v': 9 of 1 classes", "  0.80  8.00 s to 9.00 s  run"]
    assert len(lines) == 7 and lines[-1] == "  ..."


@given(detections("a"), detections("b"), st.randoms())
def test_rows_of_many_videos_come_apart(a, b, random):
    rows = [(one.video, d) for one in (a, b) for d in one]
    random.shuffle(rows)
    columns = [[getattr(d, name) for _, d in rows] for name in ("start", "end", "label", "score")]
    segments = np.array(columns[:2]).T.reshape(-1, 2)
    found = by_video([v for v, _ in rows], segments, *columns[2:], ids=("b", "a"))
    assert list(found) == ["b", "a"]
    for one in (a, b):
        assert list(found[one.video]) == [d for video, d in rows if video == one.video]


@given(detections("a"), detections("b"))
def test_becomes_the_columns_that_are_measured(a, b):
    columns = predictions.of_detections({"a": a, "b": b})
    assert columns.by_video() == {"a": a, "b": b}
    assert columns.of("b") == b.top().entries() and columns.of("c") == []
