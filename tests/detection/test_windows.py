"""Sliding windows: every snippet is seen, instances are cut by rule, proposals come back at their
own time.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lofi_jax.data.annotations import windows
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.features.store import FeatureStore
from lofi_jax.data.features.training import FeatureWindows
from lofi_jax.data.loader.window_clips import Pieces, WindowRecords
from lofi_jax.data.record import Record
from lofi_jax.data.video.jpeg import Crop
from lofi_jax.detection import windows as w
from lofi_jax.detection.proposals import Proposals
from lofi_jax.detection.windows import Windows

HALF = Windows(size=8, overlap=0.5, rate=2.0)  # of 4 s, every 2 s


class Numbered(list[int]):
    """Frames of one grey each."""

    def read(self, numbers, size, crop, out):
        out[:] = np.array(self, np.uint8)[numbers, None, None, None]


def numbers(record):
    """The greys of a record's frames, read out of order."""
    order = np.arange(len(record.frames))[::-1]
    out = np.empty((len(order), 1, 1, 3), np.uint8)
    record.frames.read(order, record.size, Crop(0, 0, 1, 1), out)
    return out[::-1, 0, 0, 0].tolist()


def video(segments, labels=None, video_id="v"):
    segments = np.array(segments, np.float64).reshape(-1, 2)
    return Video(video_id, "training", 60.0, segments, tuple(labels or "a" * len(segments)))


@pytest.mark.parametrize(
    ("length", "overlap", "expected"),
    [
        (20, 0.5, [0, 4, 8, 12]),
        (21, 0.5, [0, 4, 8, 12, 13]),  # the last one ends with the video
        (8, 0.5, [0]),
        (3, 0.5, [0]),
        (9, 0.5, [0, 1]),
        (24, 0.0, [0, 8, 16]),
        (10, 0.99, [0, 1, 2]),
    ],
)
def test_windows_begin_where_the_overlap_says(length, overlap, expected):
    assert dataclasses.replace(HALF, overlap=overlap).starts(length).tolist() == expected


@given(st.integers(1, 300), st.integers(1, 64), st.floats(0, 0.99), st.floats(0.1, 30))
def test_every_snippet_lies_in_a_window_and_none_beyond_the_video(length, size, overlap, rate):
    windows = Windows(size, overlap, rate)
    seen = [w.shown(s, size, length) for s in windows.starts(length)]
    assert all(len(snippets) == size for snippets in seen)
    assert np.unique(np.concatenate(seen)).tolist() == list(range(length))


def test_a_short_video_ends_with_its_last_snippet_repeated():
    features = np.arange(6.0).reshape(3, 2)
    (only,) = HALF.split(features)
    np.testing.assert_array_equal(only[:3], features)
    np.testing.assert_array_equal(only[3:], np.tile(features[2], (5, 1)))


def test_segments_are_cut_at_the_borders_and_timed_from_the_beginning():
    # The window at snippet 4 lasts from 2 to 6 s.
    segments, parts = HALF.inside([[3, 5], [0, 4], [5.5, 7.5], [0, 12], [7, 9]], 4)
    np.testing.assert_allclose(segments, [[1, 3], [0, 2], [3.5, 4], [0, 4], [4, 4]])
    np.testing.assert_allclose(parts, [1, 0.5, 0.25, 1 / 3, 0])


def test_training_windows_hold_a_whole_instance_and_the_larger_parts_of_others():
    # Windows at 0, 2 and 4 s of 4 s each.
    videos = [
        video([[1, 3], [3.5, 5.5], [2.5, 7.5]], "abc"),
        video([]),
        video([[0, 30]]),
    ]
    found = windows.to_train_on(videos, [16, 16, 16], HALF)
    # The first holds a whole, and a quarter of b; the second b whole, half of a, 0.7 of c; the
    # third 0.75 of b.
    assert [(x.number, x.start) for x in found] == [(0, 0), (0, 4)]
    assert found[0].video.labels == ("a",)
    assert found[1].video.labels == ("a", "b", "c")
    np.testing.assert_allclose(found[1].video.segments, [[0, 1], [1.5, 3.5], [0.5, 4]])
    assert found[1].video.duration == 4.0


def test_proposals_come_back_at_the_videos_time_with_their_scores():
    # 11 snippets of 0.5 s: windows at 0, 2 and 1.5 s begin at snippets 0 and 3; the video lasts 5.2
    # s.
    one = Proposals(np.array([[0.0, 0.5]]), np.array([0.9]), np.array([1]))
    two = Proposals(np.array([[0.25, 0.75], [0.5, 1.0]]), np.array([0.4, 0.3]), np.array([0, 1]))
    merged = HALF.merge([one, two], 11, 5.2)
    np.testing.assert_allclose(merged.segments * 5.2, [[0, 2], [2.5, 4.5], [3.5, 5.2]])
    np.testing.assert_array_equal(merged.scores, [0.9, 0.4, 0.3])
    np.testing.assert_array_equal(merged.labels, [1, 0, 1])


def test_nothing_is_found_in_what_lengthens_a_short_video():
    found = Proposals(np.array([[0.0, 0.25], [0.1, 0.9], [0.5, 0.6]]), np.array([0.1, 0.2, 0.9]))
    merged = HALF.merge([found], 3, 1.4)
    np.testing.assert_allclose(merged.segments * 1.4, [[0, 1.0], [0.4, 1.4]])
    assert merged.scores.tolist() == [0.1, 0.2] and merged.labels is None


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_what_a_window_shows_of_an_instance_merges_back_to_it(length, seed):
    rng = np.random.default_rng(seed)
    duration = length / HALF.rate
    truth = np.sort(rng.uniform(0, duration, (5, 2)))
    for i, start in enumerate(HALF.starts(length)):
        segments, parts = HALF.inside(truth, start)
        whole = parts > 1 - 1e-9
        nothing = Proposals(np.zeros((0, 2)), np.zeros(0))
        found = [nothing] * len(HALF.starts(length))
        found[i] = Proposals(segments[whole] / HALF.seconds, np.ones(whole.sum()))
        merged = HALF.merge(found, length, duration)
        np.testing.assert_allclose(merged.segments * duration, truth[whole], atol=1e-9)


def test_windows_of_frames_and_of_features_agree(tmp_path):
    """Frames and features that are the snippet's number show which snippets a window has."""
    (annotated,) = [video([[1, 3], [4.5, 5.0]], "ab")]
    (chosen,) = windows.to_train_on([annotated], [11], dataclasses.replace(HALF, overlap=0.0))[:1]
    late = dataclasses.replace(chosen, start=9)
    record = Record(video_id="v", frames=Numbered(range(22)), duration=5.2, height=4, width=4)
    store = FeatureStore(tmp_path)
    store.begin("encoder", {})
    store.write("v", np.arange(11.0)[:, None])
    store.finish(["v"])

    frames = WindowRecords([record], [chosen, late], HALF, 2, ("a", "b"))
    features = FeatureWindows(store, [chosen, late], HALF, ("a", "b"), 3, standardise=True)
    for i, snippets in enumerate((range(8), [9] + 7 * [10])):
        assert numbers(frames[i]) == [2 * s + f for s in snippets for f in (0, 1)]
        expected = store.standardise(np.array(snippets, np.float32)[:, None])
        np.testing.assert_array_equal(features[i]["features"], expected)
    assert frames[0].duration == 4.0 and frames[0].height == 4
    np.testing.assert_array_equal(frames[0].segments, [[1, 3]])
    np.testing.assert_allclose(features[0]["segments"], [[0.25, 0.75], [0, 0], [0, 0]])
    assert frames[0].labels.tolist() == [0] and features[0]["valid"].tolist() == [
        True,
        False,
        False,
    ]


def test_pieces_lie_end_to_end_and_show_every_snippet_once():
    videos = Numbered(range(22)), Numbered(range(100, 116))
    records = [Record(frames=frames, height=4, width=4, duration=5.0) for frames in videos]
    pieces = Pieces(records, [11, 8], 8, 2)
    assert pieces.counts == [2, 1]
    shown = [numbers(piece)[::2] for piece in pieces]
    assert shown == [list(range(0, 16, 2)), [16, 18] + 6 * [20], list(range(100, 116, 2))]
