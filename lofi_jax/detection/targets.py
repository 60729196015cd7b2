"""The targets of dense heads, from annotated segments, at any number of snippets.

Segments are given in units of the video, [0, 1], padded to a common number; `valid` marks the real
ones.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from lofi_jax.arrays import AnyArray

# Half the width of the window around a boundary within which a start or an end is a positive, in
# snippets.
BOUNDARY_WINDOW = 1.5


def tiou(a: Float[AnyArray, "N 2"], b: Float[AnyArray, "M 2"]) -> Float[Array, "N M"]:
    """Temporal intersection over union of every segment of `a` with every one of `b`; zero for
    empty ones.
    """
    a, b = a[:, None], b[None]
    overlap = jnp.minimum(a[..., 1], b[..., 1]) - jnp.maximum(a[..., 0], b[..., 0])
    overlap = jnp.maximum(overlap, 0.0)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - overlap
    return overlap / jnp.maximum(union, 1e-8)


def anchor_ious(
    anchors: Float[AnyArray, "N 2"], segments: Float[AnyArray, "M 2"], valid: Bool[AnyArray, " M"]
) -> Float[Array, " N"]:
    """Each anchor's best tIoU with any instance (G-TAD, section 3.4); zeros for a video without
    any.
    """
    return jnp.max(tiou(anchors, segments) * valid, axis=1, initial=0.0)


def boundary_probabilities(
    boundaries: Float[AnyArray, " M"], valid: Bool[AnyArray, " M"], snippets: int, centre: float
) -> Float[Array, " L"]:
    """The part of each snippet that lies within a window of three snippets around a boundary.

    Above one half is positive: the snippets whose centre is within the window. Public code that
    compares the window with a span of two snippets around the same centre has the same positives.

    Args:
        boundaries: in units of the video.
        valid: which of them are real.
        snippets: L.
        centre: of snippet 0, in snippets: 0.5, or 0 as in some public code.
    """
    edges = jnp.arange(snippets + 1.0) + (centre - 0.5)
    # Rounded, so that float32 error does not decide whether exactly one half is above one half.
    boundaries = jnp.round(boundaries * snippets * 1024) / 1024
    high = jnp.minimum(edges[1:, None], boundaries + BOUNDARY_WINDOW)
    low = jnp.maximum(edges[:-1, None], boundaries - BOUNDARY_WINDOW)
    covered = jnp.maximum(high - low, 0.0) * valid
    return jnp.max(covered, axis=1, initial=0.0)
