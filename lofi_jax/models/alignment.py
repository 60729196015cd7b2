"""Anchors, and the alignment of a video's features to each of them, folded into the layer that follows.

SGAlign (G-TAD) and boundary matching (BMN) are linear in the features: a fixed matrix samples and averages them into
bins for every anchor. The 1 x 1 layer that follows is linear too, so it can be applied first, to L snippets instead
of thousands of anchors: the (channels x bins x anchors) tensor never exists and the numbers stay the same.
"""

import functools
import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@functools.lru_cache(maxsize=32)
def anchors(snippets: int) -> np.ndarray:
    """Every anchor of a video of L snippets: all pairs 0 <= start < end <= L.

    Returns:
        (L (L + 1) / 2, 2) int32 start and end in snippets, by duration and then by start; the end is exclusive.
    """
    pairs = [(s, s + d) for d in range(1, snippets + 1) for s in range(snippets - d + 1)]
    return np.array(pairs, np.int32)


@functools.lru_cache(maxsize=32)
def sampling_matrix(snippets: int, bins: int, extension: float = 0.5) -> np.ndarray:
    """How much each snippet counts in each bin of each anchor (G-TAD's SGAlign, arXiv 1911.11462).

    An anchor [s, e) is sampled from s - extension x length to (e - 1) + extension x length, in units where snippet i
    sits at i. Every bin averages ceil(bin length) samples at the centres of its equal parts, each interpolated
    linearly between the two nearest snippets; samples outside [-1, L] count as zero.

    Returns:
        (L, bins, anchors) float32.
    """
    pairs = anchors(snippets)
    length = (pairs[:, 1] - pairs[:, 0]).astype(np.float64)
    low = pairs[:, 0] - extension * length
    bin_length = np.maximum(pairs[:, 1] - 1 + extension * length - low, 1.0) / bins
    samples = np.ceil(bin_length).astype(int)
    matrix = np.zeros((snippets, bins, len(pairs)), np.float32)
    bin_index, anchor_index = np.meshgrid(np.arange(bins), np.arange(len(pairs)), indexing="ij")
    for i in range(samples.max()):
        taken = i < samples[anchor_index]
        r, n = bin_index[taken], anchor_index[taken]
        position = low[n] + (r + (i + 0.5) / samples[n]) * bin_length[n]
        inside = (position >= -1) & (position <= snippets)
        r, n, position = r[inside], n[inside], position[inside].clip(0, snippets - 1)
        before = np.floor(position).astype(int)
        after = np.minimum(before + 1, snippets - 1)
        fraction = position - before
        np.add.at(matrix, (before, r, n), (1 - fraction) / samples[n])
        np.add.at(matrix, (after, r, n), fraction / samples[n])
    return matrix


class AlignedDense(nn.Module):
    """Aligns features to every anchor and applies a dense layer to the aligned (channels x bins) of each.

    Attributes:
        width: output channels.
        bins: bins an anchor, one number for each of the feature sequences given.
    """

    width: int
    bins: tuple[int, ...]

    @nn.compact
    def __call__(self, *features: Float[Array, "B L C"]) -> Float[Array, "B anchors width"]:
        """Takes one feature sequence for each entry of `bins`; all of one shape."""
        channels, total = features[0].shape[-1], sum(self.bins)
        bound = 1 / math.sqrt(channels * total)
        kernel = self.param("kernel", _uniform(bound), (channels, total, self.width), jnp.float32)
        bias = self.param("bias", _uniform(bound), (self.width,), jnp.float32)
        kernels = jnp.split(kernel, np.cumsum(self.bins)[:-1], axis=1)
        out = bias
        for x, bins, part in zip(features, self.bins, kernels, strict=True):
            matrix = jnp.asarray(sampling_matrix(x.shape[1], bins), x.dtype)
            out = out + jnp.einsum("blc,crh,lrn->bnh", x, part, matrix, optimize=_ORDER)
        return out


# The kernel goes to the snippets first: the other order would build (channels x bins x anchors).
_ORDER = [(0, 1), (0, 1)]


def _uniform(bound: float):
    """Uniform in [-bound, bound], the usual start of a G-TAD layer."""

    def init(key, shape, dtype):
        return nn.initializers.uniform(2 * bound)(key, shape, dtype) - bound

    return init
