"""Frame rates: those that differ, vary or are too low for the sampling."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.errors import first

_VARIES = 1.1  # times the average that the highest rate of a file has
_SPREAD = 1.5  # the highest rate of a dataset over its lowest


class Rate(NamedTuple):
    """A file's frames a second: on average, and the highest that its stamps ask for."""

    average: float
    highest: float


def check(rates: Mapping[str, Rate], frames: int, stride: int) -> Iterator[Finding]:
    """Looks at what a snippet is at these rates.

    Args:
        rates: by video.
        frames, stride: of a snippet, in native frames; stride 0: spread over the snippet.
    """
    varying = [name for name, rate in rates.items() if rate.highest > _VARIES * rate.average > 0]
    if varying:
        yield Finding(
            Severity.NOTE,
            f"{len(varying)} of {len(rates)} videos have a variable frame rate: {first(varying)}",
            "frames are chosen by their time, so nothing is wrong; times annotated by frame"
            " number would be",
        )
    averages = np.array([rate.average for rate in rates.values() if rate.average > 0])
    if not stride or not len(averages):
        return
    low, high = averages.min(), averages.max()
    if high > _SPREAD * low:
        lasts = frames * stride
        yield Finding(
            Severity.WARNING,
            f"frame rates run from {low:.3g} to {high:.3g}, so a snippet of {frames} frames,"
            f" {stride} apart, lasts {lasts / high:.2f} to {lasts / low:.2f} s",
            "set config.data.stride=0, which spreads frames evenly, or convert to one rate",
        )
