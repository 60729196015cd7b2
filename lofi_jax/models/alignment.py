"""Anchors, and the alignment of a video's features to each of them, folded into the layer that follows.

SGAlign (G-TAD) and boundary matching (BMN) are linear in the features: a fixed matrix samples and averages them into
bins for every anchor. The 1 x 1 layer that follows is linear too, so it can be applied first, to L snippets instead
of thousands of anchors: the (channels x bins x anchors) tensor never exists and the numbers stay the same.
"""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lofi_jax.arrays import AnyArray

# A sampling matrix up to this size is a constant of the program; a larger one is made block by block as it is used.
CONSTANT_BYTES = 2**27
BLOCK_BYTES = 2**25


@functools.lru_cache(maxsize=32)
def anchors(snippets: int, max_duration: int | None = None) -> np.ndarray:
    """Every anchor of a video of L snippets: all pairs 0 <= start < end <= L, up to a longest duration in snippets.

    Returns:
        (N, 2) int32 start and end in snippets, by duration and then by start; the end is exclusive. N is
        L (L + 1) / 2 without a longest duration.
    """
    longest = min(max_duration or snippets, snippets)
    pairs = [(s, s + d) for d in range(1, longest + 1) for s in range(snippets - d + 1)]
    return np.array(pairs, np.int32)


@dataclasses.dataclass(frozen=True, eq=False)
class Sampling:
    """Where the bins of each anchor sample the snippets, in units where snippet i sits at i.

    Every anchor is sampled at equal steps; each of its bins averages the next `count` samples, each interpolated
    linearly between the two nearest snippets.

    Attributes:
        snippets: L.
        bins: of an anchor.
        first, step: (N,) float64, the first sample of each anchor and the distance to the next.
        count: (N,) int, samples a bin.
        fades: past the last snippet, samples fade to zero within one snippet; else they repeat it up to L.
    """

    snippets: int
    bins: int
    first: np.ndarray
    step: np.ndarray
    count: np.ndarray
    fades: bool

    @functools.cached_property
    def matrix(self) -> Float[np.ndarray, "L bins N"]:
        """How much each snippet counts in each bin of each anchor, float32."""
        index, weight = self.entries(np, self.first, self.step, self.count)
        matrix = np.zeros((self.snippets + 1, self.bins, len(self.first)), np.float32)
        for i, w in zip(index, weight, strict=True):
            np.add.at(matrix, i, w)
        return matrix[:-1]

    def block(self, rows: Float[AnyArray, "3 n"]) -> Float[Array, "L bins n"]:
        """The matrix's columns of some anchors, made on the device from their first, step and count."""
        index, weight = self.entries(jnp, *rows)
        matrix = jnp.zeros((self.snippets + 1, self.bins, rows.shape[1]))
        for i, w in zip(index, weight, strict=True):
            matrix = matrix.at[i].add(w)
        return matrix[:-1]

    def entries(self, xp, first, step, count):
        """The snippet before and the one after each sample, as indices into the matrix, and their weights."""
        shape = (self.bins, int(self.count.max()), len(first))
        bin_, sample, anchor = np.ogrid[tuple(map(slice, shape))]
        position = first + (bin_ * count + sample) * step
        if self.fades:
            inside = (position > -1) & (position < self.snippets)
            position = position.clip(0, self.snippets)
        else:
            inside = (position >= -1) & (position <= self.snippets)
            position = position.clip(0, self.snippets - 1)
        before = xp.floor(position)
        fraction = position - before
        before = before.astype(int)
        weight = inside & (sample < count)
        weight = weight / count
        # One row too many takes what would lie past the last snippet.
        index = [xp.minimum(before + k, self.snippets) for k in (0, 1)]
        return [(i, bin_, anchor) for i in index], [(1 - fraction) * weight, fraction * weight]


def graph_alignment(snippets: int, bins: int, low: np.ndarray, high: np.ndarray) -> Sampling:
    """SGAlign (G-TAD, arXiv 1911.11462): equal bins from low to high, at least one snippet in all.

    A bin averages ceil(its length) samples at the centres of its equal parts; outside [-1, L] there is zero.

    Args:
        low, high: (N,) the sampled range of each anchor.
    """
    length = np.maximum(high - low, 1.0) / bins
    count = np.ceil(length).astype(int)
    step = length / count
    return Sampling(snippets, bins, low + step / 2, step, count, fades=False)


def boundary_matching(
    snippets: int, bins: int, samples: int, low: np.ndarray, high: np.ndarray
) -> Sampling:
    """The boundary-matching layer (BMN, arXiv 1907.09702): equal steps from low to high, both included.

    A bin averages `samples` of them. A sample within one snippet before the first one counts as the first; from the
    last one on they fade within one snippet.

    Args:
        low, high: (N,) the sampled range of each anchor.
    """
    step = (high - low) / max(bins * samples - 1, 1)
    return Sampling(snippets, bins, low, step, np.full(len(low), samples), fades=True)


class AlignedDense(nn.Module):
    """Aligns features to every anchor and applies a dense layer to the aligned (channels x bins) of each.

    Attributes:
        width: output channels.
    """

    width: int

    @nn.compact
    def __call__(
        self, *sampled: tuple[Float[AnyArray, "B L C"], Sampling]
    ) -> Float[Array, "B N width"]:
        """Takes feature sequences of one shape, each with how it is sampled; their bins are put side by side."""
        bins = [sampling.bins for _, sampling in sampled]
        channels, total = sampled[0][0].shape[-1], sum(bins)
        bound = 1 / math.sqrt(channels * total)
        kernel = self.param("kernel", _uniform(bound), (channels, total, self.width), jnp.float32)
        bias = self.param("bias", _uniform(bound), (self.width,), jnp.float32)
        out = bias
        for (x, sampling), part in zip(
            sampled, jnp.split(kernel, np.cumsum(bins)[:-1], axis=1), strict=True
        ):
            # The kernel goes to the snippets first: the other order would build (channels x bins x anchors).
            out = out + _align(jnp.einsum("blc,crh->blrh", x, part), sampling)
        return out


def _align(y: Float[AnyArray, "B L bins H"], sampling: Sampling) -> Float[Array, "B N H"]:
    """Applies the sampling matrix, whole or in blocks of anchors."""
    column, number = sampling.snippets * sampling.bins * 4, len(sampling.first)
    if column * number <= CONSTANT_BYTES:
        return jnp.einsum("blrh,lrn->bnh", y, sampling.matrix.astype(y.dtype))

    size = max(BLOCK_BYTES // column, 1)
    blocks = -(-number // size)
    rows = np.stack([sampling.first, sampling.step, sampling.count])
    rows = np.pad(rows, ((0, 0), (0, blocks * size - number)), mode="edge").astype(np.float32)

    # Made again for the backward pass, so that one block at a time is all that is ever held.
    @jax.checkpoint
    def align(rows):
        return jnp.einsum("blrh,lrn->nbh", y, sampling.block(rows).astype(y.dtype))

    out = jax.lax.map(align, jnp.asarray(rows.reshape(3, blocks, size).swapaxes(0, 1)))
    return out.reshape(blocks * size, *out.shape[2:])[:number].swapaxes(0, 1)


def _uniform(bound: float):
    """Uniform in [-bound, bound], the usual start of a G-TAD layer."""

    def init(key, shape, dtype):
        return nn.initializers.uniform(2 * bound)(key, shape, dtype) - bound

    return init
