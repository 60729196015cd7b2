"""The folded alignment against a literal one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.models.alignment import AlignedDense, anchors, sampling_matrix


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


@pytest.mark.parametrize(("snippets", "bins"), [(1, 4), (5, 3), (9, 4), (16, 2)])
def test_the_matrix_is_the_literal_sampling(snippets, bins):
    features = np.random.default_rng(0).normal(size=(snippets, 3))
    found = np.einsum("lc,lrn->ncr", features, sampling_matrix(snippets, bins))
    np.testing.assert_allclose(found, literal_alignment(features, bins), atol=1e-5)


def test_bins_inside_the_video_average_to_one():
    matrix = sampling_matrix(20, 4)
    inner = [n for n, (s, e) in enumerate(anchors(20)) if s >= (e - s) and e + (e - s) <= 20]
    assert len(inner) > 10
    np.testing.assert_allclose(matrix[:, :, inner].sum(axis=0), 1, atol=1e-6)


def test_folding_changes_no_number():
    rng = np.random.default_rng(1)
    x, context = rng.normal(size=(2, 2, 12, 5)).astype(np.float32)
    layer = AlignedDense(7, (4, 2))
    params = layer.init(jax.random.key(0), x, context)
    kernel, bias = params["params"]["kernel"], params["params"]["bias"]
    for i in range(2):
        aligned = np.concatenate(
            [literal_alignment(x[i], 4), literal_alignment(context[i], 2)], axis=2
        )
        expected = np.einsum("ncr,crh->nh", aligned, kernel) + bias
        np.testing.assert_allclose(layer.apply(params, x, context)[i], expected, atol=1e-5)


def test_folding_never_builds_the_aligned_tensor():
    snippets, channels, bins = 32, 64, 16
    layer = AlignedDense(8, (bins,))
    x = jnp.zeros((1, snippets, channels))
    params = jax.eval_shape(layer.init, jax.random.key(0), x)
    loss = jax.grad(lambda p, x: layer.apply(p, x).sum())
    compiled = jax.jit(loss).lower(params, x).compile()
    materialised = len(anchors(snippets)) * channels * bins * 4
    assert compiled.memory_analysis().temp_size_in_bytes < materialised / 2
