"""The TriDet head: its distances worked by hand, its layers, what it can learn, finite numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from heads import FAST, check_finite, trained, video

from lofi_jax.detection import losses
from lofi_jax.detection.proposals import Suppression, suppress
from lofi_jax.models.heads.perception import wide_window
from lofi_jax.models.heads.tridet import TriDet, TriDetAgnostic, expected_distances

THIN = {
    "classes": 3,
    "channels": 16,
    "hidden": 16,
    "factor": 1.5,
    "stem": 1,
    "bins": 4,
    "deviation": 0.5,
}


@pytest.mark.parametrize("snippets", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_loss_and_gradients_are_finite_whatever_the_batch(snippets):
    head = TriDet(**THIN, levels=2, iou_power=0.2)
    check_finite(head, snippets, {"classification", "regression"})


def test_distances_by_hand():
    # Two points, one class, distances of 0 to 2 points.
    offsets = np.zeros((1, 2, 6), np.float32)
    offsets[0, 1, 0] = 1.0  # of the second point, that the start is two points before
    start = np.array([[[1.0], [2.0]]], np.float32)
    end = np.array([[[0.5], [3.0]]], np.float32)
    found = expected_distances(*map(jnp.asarray, (offsets, start, end)))

    def mean(*logits):
        """The expectation of 0, 1 and 2 under their logits."""
        weights = np.exp(logits)
        return (weights * [0, 1, 2]).sum() / weights.sum()

    # Outside of the video a boundary's logit is 0.
    to_start = [mean(1, 0, 0), mean(2, 1, 0 + 1)]
    to_end = [mean(0.5, 3, 0), mean(3, 0, 0)]
    np.testing.assert_allclose(found[0, :, 0], np.stack([to_start, to_end], -1), rtol=1e-6)


def test_a_positive_counts_by_its_tiou():
    head = TriDet(classes=1, channels=16, levels=1, iou_power=0.5)
    batch = {
        "segments": np.array([[[0.125, 0.875]]], np.float32),  # snippets 0 to 3, at their centres
        "labels": np.zeros((1, 1), int),
        "valid": np.ones((1, 1), bool),
    }
    logits = np.array([-3.0, 1.0, -1.0, -2.0], np.float32).reshape(1, 4, 1)
    distances = np.ones((1, 4, 1, 2), np.float32)
    _, terms = head.loss({"classification": [logits], "distances": [distances]}, batch)
    # Points 1 and 2 lie inside: their two snippets are 2/3 of the action's three.
    wanted = np.array([0.0, 1.0, 1.0, 0.0])
    weight = np.array([1.0, np.sqrt(2 / 3), np.sqrt(2 / 3), 1.0])
    focal = losses.focal(logits[0, :, 0], wanted)
    np.testing.assert_allclose(terms["classification"], (weight * focal).sum() / 2, rtol=1e-5)
    np.testing.assert_allclose(terms["regression"], 1 / 3 + (0.5 / 3) ** 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("window", "factor", "wide"), [(1, 5.0, 11), (1, 1.5, 3), (15, 1.3, 21), (5, 2.0, 13)]
)
def test_the_wide_window_by_hand(window, factor, wide):
    assert wide_window(window, factor) == wide


def gradient_of_branches(deviation):
    head = TriDet(**THIN | {"deviation": deviation}, levels=2)
    batch = video([(0.1, 0.6)], [1])
    params = jax.jit(head.init, compiler_options=FAST)(jax.random.key(0), batch["features"])
    gradient = jax.grad(lambda p: head.loss(head.apply(p, batch["features"]), batch)[0])
    found = jax.jit(gradient, compiler_options=FAST)(params)["params"]["level1"]
    names = ("moment", "moment_gate", "window", "wide_window", "window_gate")
    return max(float(np.abs(found[name]["kernel"]).max()) for name in names)


@pytest.mark.slow
def test_branches_that_begin_at_zero_get_no_gradient():
    assert gradient_of_branches(0.0) == 0 < gradient_of_branches(0.5)


@pytest.mark.slow
def test_it_learns_to_find_and_to_name_the_segments_of_a_video():
    segments, labels = [(1 / 12, 4 / 12), (6 / 12, 10 / 12)], [2, 1]
    outputs, terms = trained(TriDet(**THIN, levels=2, iou_power=0.2), video(segments, labels))
    assert terms["classification"] < 0.05 and terms["regression"] < 0.1
    head = TriDet(**THIN, levels=2)
    (found,) = suppress(head.proposals(outputs), Suppression("gaussian", 0.5, 0.5, 0.0, 2))
    order = np.argsort(found.segments[:, 0])
    np.testing.assert_array_equal(found.labels[order], labels)
    np.testing.assert_allclose(found.segments[order], segments, atol=0.05)


def test_without_classes_none_are_found():
    head = TriDetAgnostic(**THIN | {"classes": 1}, levels=2)
    features = video([(0.1, 0.4)])["features"]
    outputs, _ = jax.jit(head.init_with_output, compiler_options=FAST)(jax.random.key(0), features)
    (found,) = head.proposals(jax.tree.map(np.asarray, outputs))
    assert not head.classifies and found.labels is None and len(found.scores) == len(found.segments)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"window": 2}, "is not one odd number or 6, one a level"),
        ({"window": (1, 3)}, "is not one odd number or 6, one a level"),
        ({"channels": 24}, "24 channels are not divisible by 16 groups"),
        ({"drop_path": 1.0}, "drop_path is 1.0"),
    ],
)
def test_impossible_options_are_refused(change, says):
    with pytest.raises(TypeError, match=says):
        TriDet(classes=2, **change)


HEADS = {"drop_path": 0.5, "input_dropout": 0.3, "input_noise": 0.1}


@pytest.mark.parametrize("option", HEADS)
def test_training_disturbs_each_video_by_its_own_key_and_inference_none(option):
    head = TriDet(**THIN, levels=2, **{option: HEADS[option]})
    assert head.stochastic and not TriDet(**THIN).stochastic
    features = np.concatenate([video([])["features"]] * 3)
    params = jax.jit(head.init, compiler_options=FAST)(jax.random.key(0), features)
    params = jax.tree.map(lambda x: x + 0.3, params)
    apply = jax.jit(lambda *x: head.apply(*x)["distances"][1], compiler_options=FAST)
    keys = jax.random.split(jax.random.key(1), 3)
    still, moved = apply(params, features), apply(params, features, keys)
    np.testing.assert_array_equal(still[0], still[1])
    assert np.abs(moved - still).max() > 1e-3 and np.ptp(moved, axis=0).max() > 1e-4
    alone = apply(params, features[1:2], keys[1:2])
    np.testing.assert_allclose(alone[0], moved[1], rtol=1e-3)
