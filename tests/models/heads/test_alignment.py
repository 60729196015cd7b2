"""The folded alignment against a literal one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.models.heads import alignment
from lofi_jax.models.heads.alignment import AlignedDense, anchors, boundary_matching
from lofi_jax.models.heads.gtad import alignments


def sgalign(snippets, bins, max_duration=None, empty_cell=False):
    return alignments(snippets, max_duration, (bins,), empty_cell)[0]


def matrix(sampling):
    """The whole sampling matrix (L, bins, anchors)."""
    weights = np.asarray(sampling.weights(jnp.asarray(sampling.rows)))
    return weights.T.reshape(sampling.snippets, sampling.bins, -1)


def literal_alignment(features, bins):
    """Every anchor's bins one sample at a time. Features (L, C) -> (anchors, C, bins)."""
    snippets, channels = features.shape
    out = np.zeros((len(anchors(snippets)), channels, bins))
    for n, (start, end) in enumerate(anchors(snippets)):
        length = end - start
        low, high = start - length / 2, end - 1 + length / 2
        size = max(high - low, 1.0) / bins
        count = int(np.ceil(size))
        for r in range(bins):
            for i in range(count):
                at = low + r * size + (i + 0.5) * size / count
                if at < -1 or at > snippets:
                    continue
                at = min(max(at, 0.0), snippets - 1.0)
                left = int(at)
                right = min(left + 1, snippets - 1)
                value = features[left] * (1 - (at - left)) + features[right] * (at - left)
                out[n, :, r] += value / count
    return out


@pytest.mark.parametrize(("snippets", "bins"), [(1, 4), (5, 3), (9, 4), (16, 2), (12, 32)])
def test_the_matrix_is_the_literal_sampling(snippets, bins):
    features = np.random.default_rng(0).normal(size=(snippets, 3))
    found = np.einsum("lc,lrn->ncr", features, matrix(sgalign(snippets, bins)))
    np.testing.assert_allclose(found, literal_alignment(features, bins), atol=1e-5)


def test_bins_inside_the_video_average_to_one():
    found = matrix(sgalign(20, 4))
    inner = [n for n, (s, e) in enumerate(anchors(20)) if s >= (e - s) and e + (e - s) <= 20]
    assert len(inner) > 10
    np.testing.assert_allclose(found[:, :, inner].sum(axis=0), 1, atol=1e-6)


def test_a_longest_duration_leaves_out_the_longer_anchors():
    kept = anchors(9)[anchors(9)[:, 1] - anchors(9)[:, 0] <= 4]
    np.testing.assert_array_equal(anchors(9, 4), kept)
    assert len(kept) == 9 + 8 + 7 + 6
    np.testing.assert_array_equal(anchors(3, 64), anchors(3))
    np.testing.assert_array_equal(matrix(sgalign(9, 4, 4)), matrix(sgalign(9, 4))[..., : len(kept)])


def test_the_empty_cell_is_sampled_from_the_first_snippet_to_the_second():
    # Bins at 1/4 and 3/4 between them.
    column = matrix(sgalign(5, 2, empty_cell=True))[..., -1]
    np.testing.assert_allclose(column[:2], [[0.75, 0.25], [0.25, 0.75]])
    assert not column[2:].any()


def test_boundary_matching_worked_by_hand():
    # Samples at -1, -0.5, 0.5 and 3.5 of four snippets: nothing, the first, halfway, and half of
    # the last.
    low, high = np.array([-1.0, 0.5]), np.array([-0.5, 3.5])
    found = matrix(boundary_matching(4, 2, 1, low, high))
    np.testing.assert_allclose(found[:, 0, 0], 0)
    np.testing.assert_allclose(found[:, 1, 0], [1, 0, 0, 0])
    np.testing.assert_allclose(found[:, 0, 1], [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(found[:, 1, 1], [0, 0, 0, 0.5])
    both = matrix(boundary_matching(4, 1, 2, low, high))
    np.testing.assert_allclose(both[:, 0], found.mean(axis=1))


def test_folding_changes_no_number():
    rng = np.random.default_rng(1)
    x, context = rng.normal(size=(2, 2, 12, 5)).astype(np.float32)
    layer = AlignedDense(7)
    sampled = (x, sgalign(12, 4)), (context, sgalign(12, 2))
    params = layer.init(jax.random.key(0), *sampled)
    kernel, bias = params["params"]["kernel"], params["params"]["bias"]
    assert kernel.shape == (5, 6, 7)
    for i in range(2):
        aligned = np.concatenate(
            [literal_alignment(x[i], 4), literal_alignment(context[i], 2)], axis=2
        )
        expected = np.einsum("ncr,crh->nh", aligned, kernel) + bias
        np.testing.assert_allclose(layer.apply(params, *sampled)[i], expected, atol=1e-5)


def test_blocks_of_anchors_give_the_same_numbers_and_gradients(monkeypatch):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 10, 5)).astype(np.float32)
    layer = AlignedDense(7)
    low, high = rng.uniform(-3, 12, (2, 25)).cumsum(axis=0)
    for sampling in (sgalign(10, 8), boundary_matching(10, 8, 3, low, high)):
        params = layer.init(jax.random.key(0), (x, sampling))
        weight = rng.normal(size=(2, len(sampling.first), 7))

        def value(params, x, sampling=sampling, weight=weight):
            return jnp.sum(weight * layer.apply(params, (x, sampling)) ** 2)

        expected = jax.jit(jax.grad(value, (0, 1)))(params, x)
        with monkeypatch.context() as patch:
            patch.setattr(alignment, "BLOCK_BYTES", 7 * 4 * 10 * 8)  # seven anchors
            jax.clear_caches()
            found = jax.jit(jax.grad(value, (0, 1)))(params, x)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


def temporaries(snippets, channels, bins, width):
    layer, sampling = AlignedDense(width), sgalign(snippets, bins)
    x = jnp.zeros((1, snippets, channels))
    params = jax.eval_shape(lambda key, x: layer.init(key, (x, sampling)), jax.random.key(0), x)
    loss = jax.grad(lambda p, x: layer.apply(p, (x, sampling)).sum())
    compiled = jax.jit(loss).lower(params, x).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_folding_never_builds_the_aligned_tensor():
    snippets, channels, bins = 32, 128, 16
    materialised = len(anchors(snippets)) * channels * bins * 4
    assert temporaries(snippets, channels, bins, 8) < materialised / 2


def test_blocks_never_build_the_matrix(monkeypatch):
    monkeypatch.setattr(alignment, "BLOCK_BYTES", 2**16)
    snippets, bins = 48, 16
    matrix = len(anchors(snippets)) * snippets * bins * 4
    assert temporaries(snippets, 8, bins, 8) < matrix / 3
