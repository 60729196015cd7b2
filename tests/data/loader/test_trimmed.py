"""Clips of trimmed actions: which frames they hold, drawn at random and spread for a test."""

import collections
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_clips import FRAMES, FULL, RECORDS, SNIPPETS, VARIED, levels

from lofi_jax.data.loader import clips
from lofi_jax.data.loader.trimmed_clips import (
    TEST_CLIPS,
    Action,
    Actions,
    Drawing,
    TestClips,
    TrainingClip,
)

NAMES = ("snippet", "dense", "uniform")


def drawing(name="snippet", frames=FRAMES, stride=2, rate=0.0):
    return Drawing(name, frames, stride, rate)


def action(number, start, end, label=0, **changes):
    """A record with one segment in place of its own."""
    only = {"segments": np.array([[start, end]]), "labels": np.array([label])}
    return Action(dataclasses.replace(RECORDS[number], **only, **changes), 0)


def test_random_snippets_lie_inside_their_segment():
    draw = TrainingClip(FULL, drawing(), VARIED, seed=0)
    seen = collections.defaultdict(set)
    for index in range(60):
        example = draw.map_with_index(index, Action(RECORDS[2], index % 2))
        seen[int(example["label"])].add(int(levels(example["frames"].read())[0] // 20))
    # Snippets last 2 s: the first segment, 2 to 6 s, holds snippets 1 and 2, the second 4 to 7.
    assert seen == {1: {1, 2}, 2: {4, 5, 6, 7}}


def test_every_segment_of_every_video_gives_an_epoch_a_clip():
    counts = [2, 1, 2]
    actions = Actions(RECORDS, counts)
    assert [(actions[i].record.video_id, actions[i].instance) for i in range(len(actions))] == [
        *(("video0", 0), ("video0", 1), ("video1", 0), ("video2", 0), ("video2", 1))
    ]
    batches = clips.training_batches(actions, TrainingClip(FULL, drawing(), VARIED, 0), 5, seed=0)
    labels = sorted(next(iter(batches))["label"].tolist())
    assert labels == sorted(RECORDS[v].labels[k] for v, n in enumerate(counts) for k in range(n))


@pytest.mark.parametrize("name", NAMES)
def test_a_segment_shorter_than_a_frame_still_gives_the_one_around_it(name):
    short = action(0, 6.1, 6.2)
    draw = TrainingClip(FULL, drawing(name), VARIED, seed=0)
    for index in range(5):
        frames = levels(draw.map_with_index(index, short)["frames"].read()) // 10
        assert frames[0] == 6 and set(frames.tolist()) <= {6, 7}


def test_dense_clips_keep_their_stride_and_begin_anywhere():
    rng = np.random.default_rng(0)
    drawn = [drawing("dense", 4, 3).at_random(10, 24, rng) for _ in range(200)]
    assert {tuple(np.diff(numbers)) for numbers in drawn} == {(3, 3, 3)}
    assert {int(numbers[0]) for numbers in drawn} == {10, 11, 12, 13, 14}
    # Too short an action: its last frame again.
    assert drawing("dense", 4, 3).at_random(5, 10, rng).tolist() == [5, 8, 9, 9]


def test_uniform_clips_take_one_frame_of_each_part():
    rng = np.random.default_rng(0)
    drawn = np.array([drawing("uniform", 4).at_random(8, 20, rng) for _ in range(300)])
    for part in range(4):
        assert set(drawn[:, part]) == {8 + 3 * part, 9 + 3 * part, 10 + 3 * part}
    assert drawing("uniform", 4).at_random(3, 5, rng).tolist() == [3, 3, 4, 4]


@given(st.sampled_from(NAMES), st.integers(0, 50), st.integers(1, 40), st.integers(1, 5), st.data())
def test_every_clip_lies_inside_its_action(name, begin, length, stride, data):
    frames = data.draw(st.integers(1, 8))
    length = length * frames if name == "snippet" else length
    where = data.draw(st.floats(0, 1, exclude_max=True))
    numbers = drawing(name, frames, stride).clip(begin, begin + length, where)
    assert len(numbers) == frames and (np.diff(numbers) >= 0).all()
    assert begin <= numbers[0] and numbers[-1] < begin + length


def test_test_clips_are_spread_over_the_action_without_chance():
    spread = (np.arange(10) + 0.5) / 10
    dense = [drawing("dense", 4, 2).clip(0, 26, where)[0] for where in spread]
    assert dense == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
    snippets = [drawing("snippet", 4).clip(0, 20, where)[0] // 4 for where in spread]
    assert snippets == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    uniform = [drawing("uniform", 2).clip(0, 20, where).tolist() for where in spread]
    assert uniform == [[i, 10 + i] for i in range(10)]


@pytest.mark.parametrize("name", NAMES)
def test_ten_clips_of_an_action(name):
    whole = action(1, 0.0, 16.0, label=2)
    example = TestClips(FULL, drawing(name)).map_with_index(0, whole)
    assert example["frames"].shape == (TEST_CLIPS, FRAMES, 16, 16, 3) and example["label"] == 2
    again = TestClips(FULL, drawing(name)).map_with_index(7, whole)
    np.testing.assert_array_equal(again["frames"].read(), example["frames"].read())
    shown = levels(example["frames"].read()) // 10
    assert (np.diff(shown.mean(axis=1)) >= 0).all() and len(np.unique(shown)) > SNIPPETS


def test_at_a_rate_a_snippet_has_its_own_length_whatever_the_videos():
    """8 snippets at 0.5 a second are 16 s, of which the video takes 14.5: snippet 6 lasts from 12
    to 14 s.
    """
    last = action(0, 12.0, 14.5, duration=14.5)
    assert drawing(rate=0.5).shown(last) == (12, 14)
    assert drawing("dense", rate=0.5).shown(last) == (12, 15)
