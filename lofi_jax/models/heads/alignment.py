"""Anchors, and the alignment of a video's features to each of them, folded into the layer that
follows.

SGAlign (G-TAD) and boundary matching (BMN) are linear in the features: a fixed matrix samples and
averages them into bins for every anchor. The 1 x 1 layer that follows is linear too, so it can be
applied first, to L snippets instead of thousands of anchors: the (channels x bins x anchors) tensor
never exists and the numbers stay the same.
"""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from lofi_jax.arrays import AnyArray

# Bytes of the sampling matrix computed at once. The whole matrix takes 70 MB at L = 100 and a
# gigabyte at L = 256; as a constant of the program it took minutes to compile.
BLOCK_BYTES = 2**24


@functools.lru_cache(maxsize=32)
def anchors(snippets: int, max_duration: int | None = None) -> np.ndarray:
    """Every anchor of a video of L snippets: all pairs 0 <= start < end <= L, up to a longest
    duration in snippets.

    Returns:
        (N, 2) int32 start and end in snippets, by duration and then by start; the end is exclusive.
        N is L (L + 1) / 2 without a longest duration.
    """
    longest = min(max_duration or snippets, snippets)
    pairs = [(s, s + d) for d in range(1, longest + 1) for s in range(snippets - d + 1)]
    return np.array(pairs, np.int32)


@dataclasses.dataclass(frozen=True, eq=False)
class Sampling:
    """The positions at which each anchor samples the snippets; snippet i is at position i.

    An anchor's samples are equally spaced. Each bin averages the next `count` of them, and each
    sample interpolates linearly between the two nearest snippets.

    Attributes:
        snippets: L.
        bins: of an anchor.
        first, step: (N,) float64, the first sample of each anchor and the distance to the next.
        count: (N,) int, samples a bin.
        fades: samples past the last snippet fade to zero within one snippet (True), or repeat the
            last snippet up to L (False).
    """

    snippets: int
    bins: int
    first: np.ndarray
    step: np.ndarray
    count: np.ndarray
    fades: bool

    @functools.cached_property
    def rows(self) -> Float32[np.ndarray, "6 N"]:
        """The numbers from which `weights` computes each anchor's weights, exact or rounded once.

        They are: (number of samples - 1) / 2, the middle, the step, samples a bin, and the range
        (end exclusive) of the samples that lie inside the video, decided here in float64.
        """
        total = self.bins * self.count
        sample = np.arange(total.max())[:, None]
        position = self.first + sample * self.step
        if self.fades:
            before, inside = position <= -1, position < self.snippets
        else:
            before, inside = position < -1, position <= self.snippets
        half = (total - 1) / 2
        middle = self.first + half * self.step
        # The samples of an empty cell coincide; `weights` divides by the step.
        step = np.maximum(self.step, 1e-6)
        begin, end = (np.sum(x & (sample < total), axis=0) for x in (before, inside))
        return np.stack([half, middle, step, self.count, begin, end]).astype(np.float32)

    def weights(self, rows: Float[AnyArray, "6 n"]) -> Float[Array, "n K"]:
        """The weight of each snippet in each bin of n anchors, K = L x bins in this order: rows
        of the sampling matrix.

        The samples between two neighbouring snippets are equally spaced, so their number and mean
        position give both snippets' weights. Nothing is gathered or scattered.
        """
        # In the order in which they are multiplied: any other, even one that is split further,
        # takes a CPU ten times as long.
        half, middle, step, count, begin, end = (row[:, None] for row in rows)
        bins, last = self.bins, self.snippets - 1
        edges = np.repeat([-np.inf, *range(self.snippets), np.inf], bins).astype(np.float32)
        bin_ = np.tile(np.arange(bins, dtype=np.float32), self.snippets + 2)
        low, high = bin_ * count, (bin_ + 1) * count
        # The first of the bin's samples at or after each snippet.
        at = jnp.ceil((edges - middle) / step + half)
        at = at.clip(low.clip(begin, end), high.clip(begin, end))
        before, after = at[:, :-bins], at[:, bins:]
        number = after - before
        mean = middle + ((after + before - 1) / 2 - half) * step
        # Samples outside count as the nearest snippet; with `fades`, a snippet of zeros follows the
        # last one.
        mean = mean.clip(0, last + 1 if self.fades else last)
        to_next = mean - np.repeat(np.arange(-1.0, last + 1, dtype=np.float32), bins)
        to_this, to_last = number * to_next, number * (1 - to_next)
        return (to_this[:, :-bins] + to_last[:, bins:]) / count


def graph_alignment(snippets: int, bins: int, low: np.ndarray, high: np.ndarray) -> Sampling:
    """SGAlign (G-TAD, arXiv 1911.11462): equal bins over [low, high], at least one snippet long.

    A bin averages ceil(its length) samples at the centres of its equal parts; samples outside
    [-1, L] are zero.

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
    """The boundary-matching layer (BMN, arXiv 1907.09702): equally spaced samples from low to high,
    both included.

    A bin averages `samples` of them. A sample less than one snippet before the first snippet takes
    its features; past the last snippet samples fade to zero within one snippet.

    Args:
        low, high: (N,) the sampled range of each anchor.
    """
    step = (high - low) / max(bins * samples - 1, 1)
    return Sampling(snippets, bins, low, step, np.full(len(low), samples), fades=True)


class AlignedDense(nn.Module):
    """Aligns features to every anchor and applies a dense layer to the aligned (channels x bins) of
    each.

    Attributes:
        width: output channels.
    """

    width: int

    @nn.compact
    def __call__(
        self, *sampled: tuple[Float[AnyArray, "B L C"], Sampling]
    ) -> Float[Array, "B N width"]:
        """Takes feature sequences of one shape, each with its sampling; their bins are
        concatenated.
        """
        bins = [sampling.bins for _, sampling in sampled]
        channels, total = sampled[0][0].shape[-1], sum(bins)
        bound = 1 / math.sqrt(channels * total)
        kernel = self.param("kernel", _uniform(bound), (channels, total, self.width), jnp.float32)
        bias = self.param("bias", _uniform(bound), (self.width,), jnp.float32)
        out = bias
        for (x, sampling), part in zip(
            sampled, jnp.split(kernel, np.cumsum(bins)[:-1], axis=1), strict=True
        ):
            # The kernel goes to the snippets first: the other order would build (channels x bins x
            # anchors). As one plain product, for XLA's CPU backend would copy the kernel turned
            # around in the backward pass of another.
            y = x @ part.reshape(channels, -1)
            out = out + _align(y.reshape(*y.shape[:2], *part.shape[1:]), sampling)
        return out


def _align(y: Float[AnyArray, "B L bins H"], sampling: Sampling) -> Float[Array, "B N H"]:
    """Applies the sampling matrix, a block of anchors at a time."""
    number = len(sampling.first)
    size = max(BLOCK_BYTES // (sampling.snippets * sampling.bins * 4), 1)
    if number <= size:
        return _aligned(y, sampling, jnp.asarray(sampling.rows))
    blocks = -(-number // size)
    rows = np.pad(sampling.rows, ((0, 0), (0, blocks * size - number)), mode="edge")
    # Recomputed in the backward pass, so that only one block is in memory at a time.
    block = jax.checkpoint(lambda rows: _aligned(y, sampling, rows))
    out = jax.lax.map(block, jnp.asarray(rows.reshape(6, blocks, size).swapaxes(0, 1)))
    return out.swapaxes(0, 1).reshape(len(y), blocks * size, -1)[:, :number]


def _aligned(y, sampling: Sampling, rows) -> Float[Array, "B n H"]:
    flat = y.reshape(len(y), -1, y.shape[-1])
    return jnp.einsum("nk,bkh->bnh", sampling.weights(rows).astype(y.dtype), flat)


def _uniform(bound: float):
    """Uniform in [-bound, bound], the usual start of a G-TAD layer."""

    def init(key, shape, dtype):
        return nn.initializers.uniform(2 * bound)(key, shape, dtype) - bound

    return init
