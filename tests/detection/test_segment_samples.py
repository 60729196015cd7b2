"""The segments that the classifier of segments is trained on, and their targets."""

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lofi_jax.detection.segment_samples import COPIES, JITTER, RANDOM, draw, targets

SEGMENTS = np.array([[0.1, 0.3], [0.5, 0.6], [0.0, 0.0]], np.float32)
LABELS = np.array([2, 0, 0])
VALID = np.array([True, True, False])
BACKGROUND = [0, 0, 0, 1]


def target(*drawn):
    wanted, known = targets(np.array(drawn, np.float32), SEGMENTS, LABELS, VALID, classes=3)
    return [one.tolist() if there else None for one, there in zip(wanted, known, strict=True)]


def test_an_annotated_segment_has_its_class_and_a_far_one_is_background():
    assert target([0.1, 0.3], [0.5, 0.6], [0.7, 0.9]) == [[0, 0, 1, 0], [1, 0, 0, 0], BACKGROUND]


def test_a_jittered_one_has_the_class_down_to_half_of_it_and_is_background_below_0_3():
    # tIoU 0.6, 0.51, 0.4 and 0.25 with the first instance.
    assert target([0.1, 0.22], [0.1, 0.202], [0.1, 0.18], [0.1, 0.15]) == [
        *([0, 0, 1, 0], [0, 0, 1, 0], None, BACKGROUND)
    ]


def test_padding_is_no_instance():
    assert target([0.0, 1e-9]) == [BACKGROUND]


def test_classes_that_overlap_share_the_target():
    segments = np.array([[0.1, 0.3], [0.12, 0.3], [0.1, 0.3]], np.float32)
    wanted, known = targets(segments[:1], segments, np.array([2, 1, 2]), np.ones(3, bool), 3)
    assert wanted.tolist() == [[0, 0.5, 0.5, 0]] and known.all()


def test_a_video_without_instances_is_all_background():
    nothing = np.zeros(3, bool)
    drawn, real = draw(jax.random.key(0), SEGMENTS, nothing, 16)
    wanted, known = targets(drawn, SEGMENTS, LABELS, nothing, 3)
    assert real.sum() == RANDOM * 3 and known.all()
    assert (wanted == np.array(BACKGROUND)).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31 - 1))
def test_what_is_drawn(seed):
    drawn, real = map(np.asarray, draw(jax.random.key(seed), SEGMENTS, VALID, 20))
    count = len(SEGMENTS)
    assert len(drawn) == count * (1 + COPIES + RANDOM)
    assert (drawn >= 0).all() and (drawn <= 1).all()
    np.testing.assert_array_equal(drawn[:count], SEGMENTS)
    # Padding gives no segment; a copy keeps each boundary within half a length.
    copies, known = (x[count : count * (1 + COPIES)] for x in (drawn, real))
    moves = np.abs(copies.reshape(COPIES, count, 2) - SEGMENTS)
    assert (moves <= JITTER * (SEGMENTS[:, 1:] - SEGMENTS[:, :1]) + 1e-6).all()
    assert not known.reshape(COPIES, count)[:, 2].any() and known.reshape(COPIES, count)[:, 0].any()
    random = drawn[count * (1 + COPIES) :]
    lengths = random[:, 1] - random[:, 0]
    assert real[count * (1 + COPIES) :].all()
    assert (lengths > 0.05 - 1e-5).all() and (lengths <= 1).all()


def test_the_same_key_draws_the_same_and_another_one_others():
    first, again, other = (draw(jax.random.key(k), SEGMENTS, VALID, 20)[0] for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first[3:] != other[3:]).any()
