"""Characteristics of instances (length, number per video, ...) and buckets of similar ones, after
DETAD.

Source: Alwassel et al., Diagnosing Error in Temporal Action Detectors (DETAD), ECCV 2018, section
3.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lofi_jax.detection.matching import Instances, pairs

_INF = np.inf
_CONTEXT = (0.0, 0.5, 1.0, 2.0, 4.0, _INF)
# Upper edges belong to their bucket. Those of the context size are our own.
EDGES: dict[str, dict[str, tuple[float, ...]]] = {
    "activitynet": {
        "coverage": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        "length": (0.0, 30.0, 60.0, 120.0, 180.0, _INF),
        "number": (0.0, 1.0, 4.0, 8.0, _INF),
        "context": _CONTEXT,
    },
    "thumos14": {
        "coverage": (0.0, 0.02, 0.04, 0.06, 0.08, 1.0),
        "length": (0.0, 3.0, 6.0, 12.0, 18.0, _INF),
        "number": (0.0, 1.0, 40.0, 80.0, _INF),
        "context": _CONTEXT,
    },
}
QUINTILES = "quintiles"
NAMES = (*EDGES, QUINTILES)
_LETTERS = ("XS", "S", "M", "L", "XL")


class Buckets(NamedTuple):
    """One characteristic's buckets.

    Attributes:
        names: of the buckets, from "XS" up.
        edges: (len(names) + 1,), the value of an instance is over the lower edge and not over the
            upper one (the lowest bucket has its lower edge too).
        of: (M,) int64, each instance's bucket, -1 where its value is unknown.
    """

    names: tuple[str, ...]
    edges: tuple[float, ...]
    of: np.ndarray


def characteristics(
    ground_truth: Instances, durations: np.ndarray, chosen: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The characteristics of each instance.

    The first three are DETAD's. Its paper has the "number" count the instances of one class; the
    files that its authors publish, and so their tool's numbers, count all of the video, and so do
    we. Its context size says how far around an instance people recognise it, which its authors had
    annotated for ActivityNet's test set; no usual annotation file holds it. Ours is the room around
    the instance, which any file holds, and the two do not compare.

    Args:
        ground_truth: M instances.
        durations: (videos,) seconds, NaN where unknown.
        chosen: (M,) bool, which to tell of, each with an end after its start; all are counted. By
            default all.

    Returns:
        (M,) float64 each, NaN where unknown: "coverage", length over the video's duration;
        "length", in seconds; "number", of the instances in its video; "context", the free time
        around it over its length: back to the latest end that is not after its start, or the
        video's start, and on to the earliest start that is not before its end, or the video's end.
        Instances that overlap it do not count.
    """
    number = np.bincount(ground_truth.video)[ground_truth.video].astype(np.float64)
    if chosen is not None:
        ground_truth, number = ground_truth.take(chosen), number[chosen]
    start, end = ground_truth.segment.T
    length, duration = end - start, durations[ground_truth.video]
    left, right = pairs(ground_truth.video, ground_truth.video)
    before, after = end[right] <= start[left], start[right] >= end[left]
    known = np.isfinite(duration)
    free_from, free_to = np.zeros(len(start)), np.where(known, duration, _INF)
    np.maximum.at(free_from, left[before], end[right[before]])
    np.minimum.at(free_to, left[after], start[right[after]])
    room = (start - free_from).clip(min=0) + (free_to - end).clip(min=0)
    return {
        "coverage": length / duration,
        "length": length,
        "number": number,
        "context": np.where(known, room / length, np.nan),
    }


def buckets(values: Mapping[str, np.ndarray], name: str) -> dict[str, Buckets]:
    """Sorts instances into buckets; a characteristic unknown for all instances is left out.

    Args:
        values: from `characteristics`.
        name: one of `NAMES`: of `EDGES`, or "quintiles", fifths of the instances with as equal
            numbers as ties allow.
    """
    known = {key: x for key, x in values.items() if np.isfinite(x).any()}
    return {
        key: _sort(x, _fifths(x) if name == QUINTILES else EDGES[name][key])
        for key, x in known.items()
    }


def _fifths(values: np.ndarray) -> tuple[float, ...]:
    known = np.sort(values[np.isfinite(values)])
    upper = known[[-(-len(known) * i // 5) - 1 for i in range(1, 6)]]
    return (float(known[0]), *np.unique(upper).tolist())


def _sort(values: np.ndarray, edges: tuple[float, ...]) -> Buckets:
    inside = (values >= edges[0]) & (values <= edges[-1])
    of = np.searchsorted(edges[1:-1], values, side="left")
    return Buckets(_LETTERS[: len(edges) - 1], edges, np.where(inside, of, -1))
