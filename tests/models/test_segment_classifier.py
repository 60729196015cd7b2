"""The classifier of segments: what it pools."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lofi_jax.models.segment_classifier import SegmentClassifier, parts, pool

FEATURES = jnp.array([[[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]]])


def pooled(*spans, length=4):
    return pool(FEATURES, jnp.array([[spans]], float), length)[0, 0].tolist()


def test_a_segment_is_four_parts_and_half_its_length_on_either_side():
    assert parts(jnp.array([[[1.0, 3.0]]]))[0, 0].tolist() == [
        *([0.0, 1.0], [1.0, 1.5], [1.5, 2.0], [2.0, 2.5], [2.5, 3.0], [3.0, 4.0])
    ]


def test_a_span_is_the_mean_of_what_it_covers():
    assert pooled([1, 2], [0, 4], [0.5, 1.5], [2.25, 2.5]) == [
        *([2.0, 20.0], [3.75, 37.5], [1.5, 15.0], [4.0, 40.0])
    ]


def test_beyond_the_video_is_nothing():
    assert pooled([-1, 1], [3, 5], [5, 6], [2, 2]) == [
        *([0.5, 5.0], [4.0, 40.0], [0.0, 0.0], [0.0, 0.0])
    ]
    assert pooled([2, 4], length=3) == [[2.0, 20.0]]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 12), st.integers(0, 99))
def test_a_span_is_the_mean_of_a_fine_sampling(length, seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(1, length, 3)).astype(np.float32)
    start, end = np.sort(rng.uniform(-1, length + 1, 2))
    at = start + (np.arange(4000) + 0.5) / 4000 * (end - start)
    known = (at >= 0) & (at < length)
    values = np.where(known[:, None], features[0, at.clip(0, length - 1e-9).astype(int)], 0)
    found = pool(features, np.array([[[[start, end]]]], np.float32), length)
    np.testing.assert_allclose(found[0, 0, 0], values.mean(axis=0), atol=5e-3)


def test_padding_changes_nothing_and_background_is_one_more_class():
    rng = np.random.default_rng(0)
    model = SegmentClassifier(classes=3, hidden=8)
    features = rng.normal(size=(2, 6, 5)).astype(np.float32)
    segments = np.array([[[0.0, 6.0], [2.3, 2.9]]] * 2, np.float32)
    variables = model.init(jax.random.key(0), features, segments)
    logits = model.apply(variables, features, segments)
    assert logits.shape == (2, 2, 4)
    longer = np.pad(features, ((0, 0), (0, 4), (0, 0)))
    np.testing.assert_allclose(model.apply(variables, longer, segments, 6), logits, atol=1e-5)
    assert np.abs(model.apply(variables, longer, segments) - logits).max() > 1e-3
