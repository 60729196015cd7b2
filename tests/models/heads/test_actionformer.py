"""The ActionFormer head: its points and targets, its attention, what it can learn, and finite
numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from heads import FAST, check_finite, trained, video
from hypothesis import given, settings
from hypothesis import strategies as st

from lofi_jax.detection.proposals import Suppression, suppress
from lofi_jax.models.heads.actionformer import ActionFormer, ActionFormerAgnostic
from lofi_jax.models.heads.point_head import assigned, pyramid_points
from lofi_jax.models.layers.local_transformer import LocalAttention

THIN = {"classes": 3, "channels": 16, "heads": 2, "window": 5, "stem": 1}
TERMS = {"classification", "regression"}


@pytest.mark.parametrize("snippets", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_loss_and_gradients_are_finite_whatever_the_batch(snippets):
    check_finite(ActionFormer(**THIN, levels=2), snippets, TERMS)


@pytest.mark.parametrize("snippets", [1, 2, 7, 16, 25])
def test_every_level_has_half_the_points_of_the_one_before_rounded_up(snippets):
    points = pyramid_points(snippets, 3, 4.0)
    head = ActionFormer(**THIN, levels=3)
    shapes = jax.eval_shape(head.init_with_output, jax.random.key(0), jnp.zeros((2, snippets, 8)))
    lengths = [-(-snippets // stride) for stride in (1, 2, 4)]
    assert [x.shape for x in shapes[0]["classification"]] == [(2, n, 3) for n in lengths]
    assert [x.shape for x in shapes[0]["distances"]] == [(2, n, 2) for n in lengths]
    assert len(points.position) == sum(lengths) and points.position.max() < snippets


def test_points_worked_by_hand():
    points = pyramid_points(5, 3, 4.0)
    np.testing.assert_array_equal(points.position, [0, 1, 2, 3, 4, 0, 2, 4, 0, 4])
    np.testing.assert_array_equal(points.stride, [1] * 5 + [2] * 3 + [4] * 2)
    np.testing.assert_array_equal(points.nearest, [0] * 5 + [4] * 3 + [8] * 2)
    np.testing.assert_array_equal(points.farthest, [4] * 5 + [8] * 3 + [np.inf] * 2)


def literal_targets(points, segments, labels, classes, radius):
    """Point by point, action by action."""
    target, distances = np.zeros((len(points.position), classes)), {}
    for p, (at, stride, nearest, farthest) in enumerate(zip(*points, strict=True)):
        candidates = []
        for (start, end), label in zip(segments, labels, strict=True):
            close = abs(at - (start + end) / 2) < radius * stride
            farther = max(at - start, end - at)
            if start < at < end and close and nearest <= farther <= farthest:
                candidates.append((end - start, label, (at - start) / stride, (end - at) / stride))
        for length, label, *_ in candidates:
            target[p, label] = target[p, label] or length <= min(candidates)[0] + 1e-3
        if candidates:
            distances[p] = min(candidates, key=lambda c: c[0])[2:]
    return target, distances


CLASSES, RADIUS = 3, 1.5
jitted = jax.jit(
    lambda points, *action: assigned(points, *action, CLASSES, RADIUS), compiler_options=FAST
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([1, 6, 39]),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2)), max_size=4),
)
def test_targets_are_the_literal_ones(snippets, actions):
    # Off the grid, where no comparison is a tie that float32 may decide otherwise.
    segments = [sorted(a[:2]) for a in actions]
    segments = [
        [round(s * snippets, 1) - 0.513, round(e * snippets, 1) - 0.487 + 0.01 * i]
        for i, (s, e) in enumerate(segments)
    ]
    labels = [a[2] for a in actions]
    points = pyramid_points(snippets, 4, 3.0)
    expected, distances = literal_targets(points, segments, labels, CLASSES, RADIUS)
    padded, padded_labels = np.zeros((4, 2), np.float32), np.zeros(4, np.int32)
    padded[: len(labels)] = np.reshape(segments, (-1, 2))
    padded_labels[: len(labels)] = labels
    found, offsets = jitted(points, padded, padded_labels, np.arange(4) < len(labels))
    np.testing.assert_array_equal(found, expected)
    for point, wanted in distances.items():
        np.testing.assert_allclose(offsets[point], wanted, atol=1e-4)


def test_actions_of_one_length_are_learned_together():
    segments = np.array([[0.0, 4.0], [0.0, 4.0], [-1.0, 6.0]])
    found, _ = jitted(pyramid_points(5, 1, 9.0), segments, np.array([0, 2, 1]), np.ones(3, bool))
    np.testing.assert_array_equal(found[2], [1, 0, 1])


def test_attention_sees_its_window_alone():
    layer = LocalAttention(heads=2, window=5)
    x = np.random.default_rng(0).normal(size=(1, 20, 8)).astype(np.float32)
    params = jax.jit(layer.init, compiler_options=FAST)(jax.random.key(1), x)
    apply = jax.jit(layer.apply, compiler_options=FAST)
    before = apply(params, x)
    other = x.copy()
    other[0, 9] += 1
    changed = np.flatnonzero((apply(params, other) != before).any(axis=(0, 2)))
    # Two on either side, and one more by the convolutions.
    np.testing.assert_array_equal(changed, range(9 - 3, 9 + 4))


def test_proposals_worked_by_hand():
    head = ActionFormer(classes=2, levels=2)
    logits = [np.full((1, 4, 2), -20.0), np.full((1, 2, 2), -20.0)]
    distances = [np.ones((1, 4, 2)), np.full((1, 2, 2), 3.0)]
    logits[0][0, 2] = 0.0, -1.0  # at snippet 2 of 4, one snippet to both sides
    logits[1][0, 1, 1] = 2.0  # at snippet 2, six to both sides: all of the video
    distances[0][0, 0], logits[0][0, 0] = 0.0, 5.0  # no length
    found = head.proposals({"classification": logits, "distances": distances})[0]
    # Level by level, the strongest first; the last reaches beyond the video.
    short = [1.5 / 4, 3.5 / 4]
    np.testing.assert_allclose(found.segments, [short, short, [-3.5 / 4, 8.5 / 4]])
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([0.0, 1.0, -2.0])))
    np.testing.assert_array_equal(found.labels, [0, 1, 1])


def test_every_level_keeps_its_strongest_candidates_before_the_short_ones_are_dropped():
    head = ActionFormer(classes=1, levels=2, candidates=2, shortest=0.5)
    logits = [np.array([0.0, 3.0, 2.0, 1.0]).reshape(1, 4, 1), np.array([[[-1.0], [-2.0]]])]
    distances = [np.ones((1, 4, 2)), np.ones((1, 2, 2))]
    distances[0][0, 1] = 0.1  # the strongest, and too short: the third takes no place of its
    (found,) = head.proposals({"classification": logits, "distances": distances})
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-2.0, 1.0, 2.0])))
    centres = found.segments.mean(axis=1) * 4 - 0.5
    np.testing.assert_allclose(centres, [2, 0, 2])


def test_it_learns_to_find_and_to_name_the_segments_of_a_video():
    segments, labels = [(1 / 12, 4 / 12), (6 / 12, 10 / 12)], [2, 1]
    head = ActionFormer(**THIN, levels=2)
    outputs, terms = trained(head, video(segments, labels))
    assert terms["classification"] < 0.02 and terms["regression"] < 0.1
    (found,) = suppress(head.proposals(outputs), Suppression("gaussian", 0.5, 0.5, 0.0, 2))
    order = np.argsort(found.segments[:, 0])
    np.testing.assert_array_equal(found.labels[order], labels)
    np.testing.assert_allclose(found.segments[order], segments, atol=0.03)


def test_without_classes_labels_do_not_count_and_none_are_found():
    segments = [(1 / 12, 4 / 12), (6 / 12, 10 / 12)]
    options = {name: value for name, value in THIN.items() if name != "classes"}
    head = ActionFormerAgnostic(**options, levels=2)
    assert not head.classifies
    batches = [video(segments, labels) for labels in ([0, 0], [2, 1])]
    features = batches[0]["features"]
    params = jax.jit(head.init, compiler_options=FAST)(jax.random.key(0), features)
    outputs = jax.jit(head.apply, compiler_options=FAST)(params, features)
    assert [x.shape[-1] for x in outputs["classification"]] == [1, 1]
    one, other = (float(head.loss(outputs, batch)[0]) for batch in batches)
    assert one == other > 0
    (found,) = head.proposals(jax.tree.map(np.asarray, outputs))
    assert found.labels is None and len(found.segments) == len(found.scores)


def test_a_window_for_each_level_or_one_for_all():
    with pytest.raises(TypeError, match="is not one number or 6, one a level"):
        ActionFormer(classes=2, window=(5, 0))


def test_the_default_head_has_the_published_size():
    head, features = ActionFormer(classes=20), jnp.zeros((1, 64, 2048))
    shapes = jax.eval_shape(head.init, jax.random.key(0), features)
    # The layers of the authors' code, for THUMOS14, added up by hand.
    assert sum(x.size for x in jax.tree.leaves(shapes)) == 29_251_612


def test_every_class_begins_at_the_prior():
    head = ActionFormer(classes=3, channels=8, stem=0, levels=1, prior=0.05)
    init = jax.jit(head.init_with_output, compiler_options=FAST)
    outputs, _ = init(jax.random.key(0), jnp.zeros((1, 4, 8)))
    np.testing.assert_allclose(jax.nn.sigmoid(outputs["classification"][0]), 0.05, rtol=1e-5)
