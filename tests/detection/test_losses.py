"""Losses against literal NumPy, and finite whatever is missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.detection import losses


def test_balanced_bce_gives_positives_and_negatives_half_each():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(4, 10)), rng.random((4, 10))
    p = 1 / (1 + np.exp(-logits))
    positive = labels > 0.5
    expected = -0.5 * np.log(p[positive]).mean() - 0.5 * np.log(1 - p[~positive]).mean()
    np.testing.assert_allclose(losses.balanced_bce(logits, labels), expected, rtol=1e-5)


def test_extra_counts_make_few_positives_count_for_less():
    logits, labels = np.array([0.3, -1.0, 0.5]), np.array([1.0, 0.0, 0.0])
    p = 1 / (1 + np.exp(-logits))
    # G-TAD's for THUMOS14: ten more of either.
    expected = -0.5 * np.log(p[0]) / 11 - 0.5 * np.log(1 - p[1:]).sum() / 12
    found = losses.balanced_bce(logits, labels, 0.9, extra=10.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("labels", [np.zeros(6), np.ones(6)])
@pytest.mark.parametrize("scale", [1.0, 200.0])
def test_balanced_bce_is_finite_without_a_positive_or_a_negative(labels, scale):
    value, gradient = jax.value_and_grad(losses.balanced_bce)(
        jnp.linspace(-scale, scale, 6), labels
    )
    assert np.isfinite(value) and np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_balanced_bce_of_a_single_entry_is_finite():
    value, gradient = jax.value_and_grad(losses.balanced_bce)(jnp.zeros(1), jnp.ones(1))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_sampled_mse_draws_as_many_middle_and_low_as_high():
    ious = jnp.concatenate([jnp.full(100, 0.8), jnp.full(1000, 0.5), jnp.full(5000, 0.2)])
    # An error of one in a single group shows how large a part of the draw that group is.
    for group in (slice(0, 100), slice(100, 1100), slice(1100, None)):
        predictions = ious.at[group].add(1.0)
        draws = [losses.sampled_mse(predictions, ious, jax.random.key(i)) for i in range(20)]
        np.testing.assert_allclose(np.mean(draws), 0.5 / 3, rtol=0.1)


@pytest.mark.parametrize("logit", [-3.0, 0.0, 2.0, 100.0, -100.0])
def test_focal_loss_is_that_of_the_paper(logit):
    p = 1 / (1 + np.exp(-logit))
    with np.errstate(divide="ignore"):
        positive, negative = -0.25 * (1 - p) ** 2 * np.log(p), -0.75 * p**2 * np.log(1 - p)
    value = jax.value_and_grad(losses.focal)
    for label, expected in ((1.0, positive), (0.0, negative)):
        found, gradient = value(logit, label)
        assert np.isfinite(found) and np.isfinite(gradient)
        if abs(logit) < 50:
            np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_focal_loss_of_a_label_between():
    # ActionFormer's: how far off a soft label is says how easy it is.
    p, label = 1 / (1 + np.exp(-0.7)), 0.9
    entropy = -label * np.log(p) - (1 - label) * np.log(1 - p)
    off = 1 - (p * label + (1 - p) * (1 - label))
    expected = (0.25 * label + 0.75 * (1 - label)) * off**2 * entropy
    np.testing.assert_allclose(losses.focal(0.7, label), expected, rtol=1e-5)


def test_diou_worked_by_hand():
    # 4 to 8 about 6 against 5 to 10: tIoU 3 / 6, centres 1.5 apart, 6 around both.
    found = losses.diou(jnp.array([2.0, 2.0]), jnp.array([1.0, 4.0]))
    np.testing.assert_allclose(found, 1 - 0.5 + (1.5 / 6) ** 2, rtol=1e-6)
    np.testing.assert_allclose(losses.diou(jnp.ones(2), jnp.ones(2)), 0, atol=1e-6)
    value, gradient = jax.value_and_grad(losses.diou)(jnp.zeros(2), jnp.zeros(2))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_sampled_mse_ignores_anchors_without_overlap_and_is_zero_without_positives():
    ious = jnp.array([0.0, 0.5, 0.2])
    value, gradient = jax.value_and_grad(losses.sampled_mse)(jnp.ones(3), ious, jax.random.key(0))
    assert value == 0 and not gradient.any()
    one = jnp.array([0.9, 0.0])
    assert losses.sampled_mse(jnp.array([0.9, 1.0]), one, jax.random.key(0)) == 0
