"""The ceiling of recall: how much of the ground truth anchors on a grid of snippets can reach."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from lofi_jax.checkup.finding import Finding, Severity

TIOUS = (0.5, 0.75, 0.95)
ENOUGH = 0.95  # at tIoU 0.75
_LOST = 0.5  # at tIoU 0.5


def best_tiou(
    segments: Float[np.ndarray, "M 2"],
    snippets: Float[np.ndarray, " M"],
    longest: int | None = None,
) -> Float[np.ndarray, " M"]:
    """The tIoU of each segment with the anchor that overlaps it most.

    An anchor starts and ends at bounds of snippets (G-TAD, section 3.3; BMN, section 3.2). On
    either side of a segment's start or end the tIoU falls with the distance, so the best anchor
    ends at a neighbouring bound.

    >>> best_tiou(np.array([[1.0, 3.0], [1.5, 2.5]]), np.array([10.0, 10.0]))
    array([1. , 0.5])

    Args:
        segments: starts and ends in snippets.
        snippets: of each segment's video.
        longest: anchor, in snippets; None: the whole video.
    """
    start, end = segments.T
    best = np.zeros(len(segments))
    for a in (np.floor(start), np.ceil(start)):
        for b in (np.floor(end), np.ceil(end)):
            a, b = np.clip(a, 0, snippets), np.clip(b, 0, snippets)
            limit = np.inf if longest is None else longest
            for low, high in ((a, np.minimum(b, a + limit)), (np.maximum(a, b - limit), b)):
                both = np.minimum(high, end) - np.maximum(low, start)
                union = np.maximum(high, end) - np.minimum(low, start)
                there = (high > low) & (both > 0)
                best = np.maximum(best, np.where(there, both / np.maximum(union, 1e-9), 0.0))
    return best


def ceilings(best: Float[np.ndarray, " M"]) -> dict[float, float]:
    """The share of the instances that can be reached at each of `TIOUS`."""
    return {tiou: float(np.mean(best >= tiou - 1e-9)) for tiou in TIOUS}


def check(
    reached: Mapping[str, Mapping[float, float]], seconds: float, enough: str
) -> Iterator[Finding]:
    """Looks at the ceilings of the full fidelity and of those of joint training.

    Args:
        reached: `ceilings` by fidelity, "full" among them.
        seconds: of a snippet at full fidelity, in the usual video.
        enough: the key and value that would reach enough.
    """
    full = reached["full"]
    if full[0.75] < ENOUGH:
        stop = full[0.5] < _LOST
        yield Finding(
            Severity.STOP if stop else Severity.WARNING,
            f"anchors of whole snippets ({seconds:.2f} s in the usual video) can reach"
            f" {100 * full[0.5]:.0f} / {100 * full[0.75]:.0f} / {100 * full[0.95]:.0f} percent of"
            " the test instances at tIoU 0.5 / 0.75 / 0.95: no head recalls more",
            f"set {enough}, or a head that regresses its ends: config.head.name=actionformer",
        )
    for name, low in reached.items():
        if name != "full" and low[0.5] < min(0.75, 0.8 * full[0.5]):
            yield Finding(
                Severity.WARNING,
                f"at the fidelity {name} anchors can reach {100 * low[0.5]:.0f} percent of the"
                f" instances at tIoU 0.5, at full {100 * full[0.5]:.0f}: joint training sees few"
                " right anchors",
                "lower config.joint.factors.temporal, or set config.joint.fidelity=spatial",
            )
