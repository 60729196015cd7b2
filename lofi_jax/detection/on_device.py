"""From the raw outputs of G-TAD or BMN to labelled detections, as one JAX program of fixed shapes.

The same arithmetic, in float64, as `proposals.dense_proposals`, `nms.soft_nms_batch` and
`proposals.with_classes`, which a run uses: for export, where NumPy's code cannot go.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lofi_jax.detection.proposals import Suppression

Outputs = Mapping[str, Any]


def postprocessing(
    anchors: np.ndarray,
    select: bool,
    weigh: bool,
    how: Suppression,
    top_classes: int,
    top_k: int,
) -> Callable[[Outputs, Array, Array], dict[str, Array]]:
    """The program for one video; it is to be traced with 64-bit types enabled.

    Args:
        anchors: (N, 2) int, start and exclusive end in snippets.
        select, weigh: see `dense_proposals`.
        how: of the suppression, without voting.
        top_classes, top_k: labels of a proposal, and detections of a video.

    Returns:
        A function of logits {"start", "end" (L,), "regression", "classification" (N,)}, class
        probabilities (classes,) and the duration in seconds. It returns "segments" (K, 2) float32
        in seconds, "scores" (K,) float32 and "labels" (K,) int32, best first, of which the first
        "count" are detections.

    Raises:
        ValueError: there is voting.
    """
    if how.vote:
        raise ValueError("voting is not part of the program")

    def detect(outputs, probabilities, duration):
        logits = {name: jnp.asarray(x, jnp.float64) for name, x in outputs.items()}
        probability = {name: 1 / (1 + jnp.exp(-x)) for name, x in logits.items()}
        snippets = probability["start"].shape[0]
        inside = anchors[:, 1] < snippets
        first, after = anchors[inside].T
        confidence = (probability["regression"] * probability["classification"])[inside]
        start, end = probability["start"], probability["end"]
        scores = confidence * start[first] * end[after] if weigh else confidence
        if select:
            starts = _candidates(start).at[0].set(True)
            ends = _candidates(end).at[-1].set(True)
            scores = jnp.where(starts[first] & ends[after], scores, 0.0)
        segments = jnp.asarray(anchors[inside] / snippets)
        picked, lowered = suppressed(segments, scores, how)
        kept = segments[picked]
        best = jnp.argsort(-probabilities, stable=True)[:top_classes]
        labelled = (lowered[:, None] * jnp.asarray(probabilities, jnp.float64)[best]).ravel()
        count = jnp.minimum((lowered > 0).sum() * len(best), top_k)
        order = jnp.argsort(-labelled, stable=True)[:top_k]
        seconds = jnp.repeat(kept, len(best), axis=0)[order].clip(0, 1) * duration
        return {
            "segments": seconds.astype(jnp.float32),
            "scores": labelled[order].astype(jnp.float32),
            "labels": jnp.tile(best, len(kept))[order].astype(jnp.int32),
            "count": count.astype(jnp.int32),
        }

    return detect


def _candidates(probability: Float[Array, " L"]) -> Array:
    """See `proposals.boundary_candidates`."""
    padded = jnp.pad(probability, 1, constant_values=-jnp.inf)
    peak = (probability > padded[:-2]) & (probability > padded[2:])
    return peak | (probability > 0.5 * probability.max())


def suppressed(
    segments: Float[Array, "N 2"], scores: Float[Array, " N"], how: Suppression
) -> tuple[Array, Array]:
    """The indices (K,) of the picked segments and their lowered scores (K,), 0 after the last; see
    `nms.soft_nms_batch`.
    """
    start, end = segments.T
    length = jnp.where(end > start, end - start, 1.0)

    def pick(current, _):
        best = current.argmax()
        score = current[best]
        going = score > how.min_score
        overlap = jnp.minimum(end, end[best]) - jnp.maximum(start, start[best])
        overlap = jnp.maximum(overlap, 0.0)
        overlap = overlap / (length + length[best] - overlap)
        if how.method == "gaussian":
            if any(how.floor):
                low, high = how.floor
                least = low + (high - low) * (end - start)[best]
                overlap = jnp.where(overlap <= least, 0.0, overlap)
            factor = jnp.exp(overlap * overlap / -how.sigma)
        elif how.method == "linear":
            factor = jnp.where(overlap > how.threshold, 1 - overlap, 1.0)
        else:
            factor = jnp.where(overlap > how.threshold, 0.0, 1.0)
        lowered = (current * factor).at[best].set(0.0)
        current = jnp.where(going, lowered, current)
        return current, (best, jnp.where(going, score, 0.0))

    picks = min(how.top_k, len(scores))
    _, (indices, lowered) = jax.lax.scan(pick, scores, length=picks)
    return indices, lowered
