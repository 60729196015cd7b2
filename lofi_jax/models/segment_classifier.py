"""A classifier of segments, on features pooled inside each and beside it.

It labels the proposals of heads that don't classify in videos that hold several classes, and
rejects what is no action.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from lofi_jax.arrays import AnyArray

# Equal parts of a segment; one more lies on either side, half as long as the segment, as the
# context of a proposal in G-TAD and BMN.
INSIDE = 4
BESIDE = 0.5


class SegmentClassifier(nn.Module):
    """Classifies segments of a video, background among the classes, as the last one.

    The parts of a segment are averaged, not its whole, so that what comes first and what comes
    after remain apart: sitting down is standing up backwards.
    """

    classes: int
    hidden: int = 64

    @nn.compact
    def __call__(
        self,
        features: Float[AnyArray, "B L D"],
        segments: Float[AnyArray, "B P 2"],
        length: int | Float[AnyArray, ""] | None = None,
    ) -> Float[Array, "B P K"]:
        """The logits, K of the classes and then background.

        Args:
            segments: start and end in snippets.
            length: snippets of the video, where those after it are padding with zeros; None: L.
        """
        x = nn.relu(nn.Conv(self.hidden, (3,), name="hidden")(features))
        pooled = pool(x, parts(segments), features.shape[1] if length is None else length)
        lasts = jnp.log(jnp.maximum(segments[..., 1:] - segments[..., :1], 0.1))
        seen = jnp.concatenate([pooled.reshape(*pooled.shape[:2], -1), lasts], axis=-1)
        y = nn.relu(nn.Dense(self.hidden, name="segment")(seen))
        return nn.Dense(self.classes + 1, name="logits")(y)


def parts(segments: Float[AnyArray, "B P 2"]) -> Float[Array, "B P R 2"]:
    """What is pooled of each segment: the part before it, equal parts of it, and the part after.

    >>> parts(jnp.array([[[2.0, 6.0]]]))[0, 0].tolist()
    [[0.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 5.0], [5.0, 6.0], [6.0, 8.0]]
    """
    cuts = jnp.array([-BESIDE, *(i / INSIDE for i in range(INSIDE + 1)), 1 + BESIDE])
    start, end = segments[..., :1], segments[..., 1:]
    at = start + (end - start) * cuts
    return jnp.stack([at[..., :-1], at[..., 1:]], axis=-1)


def pool(
    features: Float[AnyArray, "B L D"],
    spans: Float[AnyArray, "B P R 2"],
    length: int | Float[AnyArray, ""],
) -> Float[Array, "B P R D"]:
    """The mean over each span of features that are constant within a snippet, and zero outside the
    video.

    >>> x = jnp.array([[[1.0], [2.0], [4.0]]])
    >>> pool(x, jnp.array([[[[0.5, 1.0], [0.5, 1.5], [2.0, 4.0]]]]), 3).ravel().tolist()
    [1.0, 1.5, 2.0]

    Args:
        spans: in snippets; an empty one gives zeros.
        length: snippets of the video.
    """
    edges = jnp.arange(features.shape[1] + 1.0)
    low = jnp.maximum(edges[:-1], spans[..., :1])
    high = jnp.minimum(jnp.minimum(edges[1:], length), spans[..., 1:])
    covered = jnp.maximum(high - low, 0.0)
    weights = covered / jnp.maximum(spans[..., 1:] - spans[..., :1], 1e-6)
    return jnp.einsum("bprl,bld->bprd", weights, features)
