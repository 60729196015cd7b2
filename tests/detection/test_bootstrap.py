"""A draw's mAP is that of the dataset which holds each video as often as it was drawn."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from test_metrics import SCORES, instances, rows_of, some_instances

from lofi_jax.detection import bootstrap, metrics

TIOUS = np.array([0.3, 0.5, 0.9])


def copied(found, times):
    """The dataset written out: video v's copies become videos of their own, copies after one
    another.
    """
    rows = []
    for video, *rest in rows_of(found):
        rows += [(100 * video + copy, *rest) for copy in range(times[video])]
    return instances(*rows)


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(
    truth=some_instances(1, 8, 3, st.just(1.0)),
    found=some_instances(0, 20, 3, SCORES),
    times=st.lists(st.integers(0, 3), min_size=4, max_size=4),
)
def test_equals_the_dataset_written_out(truth, found, times):
    written = copied(truth, times)
    (mean,) = bootstrap.mean_precisions(truth, found, 3, TIOUS, np.array([times]))
    if not len(written.video):
        assert np.isnan(mean)
        return
    expected = metrics.evaluate(written, copied(found, times), 3, TIOUS)["average_mAP"]
    assert mean == pytest.approx(expected, abs=1e-9)


def test_every_video_once_is_the_mean_average_precision():
    truth = instances((0, 0, 0, 10), (1, 1, 0, 10), (1, 0, 20, 30))
    found = instances((0, 0, 0, 9, 0.9), (1, 0, 0, 9, 0.8), (1, 0, 20, 25, 0.7))
    (mean,) = bootstrap.mean_precisions(truth, found, 2, TIOUS, np.ones((1, 2), int))
    expected = metrics.evaluate(truth, found, 2, TIOUS)["average_mAP"]
    assert mean == pytest.approx(expected, abs=1e-12)


def test_what_is_found_in_a_video_beyond_those_drawn_is_false_in_every_draw():
    truth = instances((0, 0, 0, 10), (1, 0, 0, 10))
    found = instances((0, 0, 0, 10, 0.9), (1, 0, 0, 10, 0.7), (2, 0, 0, 10, 0.8))
    times = np.array([[1, 1], [2, 0], [0, 2]])
    means = bootstrap.mean_precisions(truth, found, 1, TIOUS, times)
    np.testing.assert_allclose(means, [(1 + 2 / 3) / 2, 1, 2 / 3], atol=1e-12)


def test_draws_are_seeded_and_of_the_right_size():
    first, again, other = (bootstrap.draws(20, 30, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (30, 20) and (first.sum(axis=1) == 20).all() and first.max() > 1


def test_draws_do_not_depend_on_the_chunks():
    rng = np.random.default_rng(0)
    truth = instances(*((v, v % 3, 0, 10) for v in range(12)))
    found = instances(*((v, v % 3, 0, rng.uniform(3, 10), rng.random()) for v in range(12)))
    times = bootstrap.draws(12, 21, 0)
    together = bootstrap.mean_precisions(truth, found, 3, TIOUS, times)
    alone = [bootstrap.mean_precisions(truth, found, 3, TIOUS, row[None])[0] for row in times]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)
    assert np.ptp(together) > 0.05
