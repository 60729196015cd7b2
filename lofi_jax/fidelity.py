"""The paper's one idea: train at a lower temporal and spatial resolution (paper, section 3.2).

A `Fidelity` is the number of snippets and pixels of a video in a mini-batch. The low fidelities
divide the full one by a temporal factor, a spatial factor, or both. The cycles alternate between
these three.
"""

import dataclasses

import numpy as np

from lofi_jax.errors import UserError

NAMES = ("full", "spatial", "temporal", "spatiotemporal", "short_cycle", "long_cycle")


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """The resolution of one video in a mini-batch: snippets, and height and width in pixels."""

    snippets: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.snippets}x{self.height}x{self.width}"


@dataclasses.dataclass(frozen=True)
class Factors:
    """By how much each low fidelity divides the full one; the defaults are the paper's (section
    4.1).

    Attributes:
        spatial: r_s of `spatial` (S-LoFi).
        temporal: r_t of `temporal` (T-LoFi).
        both_spatial, both_temporal: r_s and r_t of `spatiotemporal` (ST-LoFi).
        short_cycle: mini-batches before `short_cycle` changes to the next fidelity (c_s).
        long_cycle: epochs before `long_cycle` does (c_l).
        multiple: low heights and widths are whole multiples of it, in pixels (a transformer's
            patch).
    """

    spatial: float = 2.0
    temporal: int = 4
    both_spatial: float = 2.0**0.5
    both_temporal: int = 2
    short_cycle: int = 16
    long_cycle: int = 1
    multiple: int = 1


def reduce(full: Fidelity, temporal: int = 1, spatial: float = 1.0, multiple: int = 1) -> Fidelity:
    """Divides `full` in time and space: L / r_t x H / r_s x W / r_s, in whole pixels.

    >>> reduce(Fidelity(snippets=100, height=224, width=224), temporal=4, spatial=2)
    Fidelity(snippets=25, height=112, width=112)

    Args:
        multiple: of which height and width are whole multiples.

    Raises:
        UserError: r_t does not divide the snippets, or no pixel is left.
    """
    if temporal < 1 or full.snippets % temporal:
        raise UserError(
            f"the temporal factor {temporal} does not divide the {full.snippets} snippets of the"
            " full fidelity: change config.joint.factors, or config.data.snippets or .window"
        )
    height, width = (
        int(size / spatial) // multiple * multiple for size in (full.height, full.width)
    )
    if spatial < 1 or min(height, width) < 1:
        raise UserError(
            f"the spatial factor {spatial} is below 1 or leaves nothing of {full.height} x"
            f" {full.width} pixels in multiples of {multiple}: change config.joint.factors"
        )
    return Fidelity(full.snippets // temporal, height, width)


def schedule(name: str, full: Fidelity, factors: Factors, steps_per_epoch: int):
    """Which fidelity each step trains at.

    >>> full = Fidelity(snippets=100, height=224, width=224)
    >>> at = schedule("short_cycle", full, Factors(), steps_per_epoch=500)
    >>> [str(at(step)) for step in (0, 15, 16, 32, 48)]
    ['100x112x112', '100x112x112', '25x224x224', '50x158x158', '100x112x112']

    Args:
        name: one of `NAMES`.
        full: the full fidelity.
        factors: by which the low fidelities divide it.
        steps_per_epoch: mini-batches an epoch, the unit of `long_cycle`.

    Returns:
        A pure function from the step (counted from 0) to its `Fidelity`.
    """
    if name not in NAMES:
        raise UserError(f"unknown fidelity {name!r}: choose one of {', '.join(NAMES)}")
    if name == "full":
        return lambda step: full
    low = {
        "spatial": reduce(full, 1, factors.spatial, factors.multiple),
        "temporal": reduce(full, temporal=factors.temporal),
        "spatiotemporal": reduce(
            full, factors.both_temporal, factors.both_spatial, factors.multiple
        ),
    }
    if name in low:
        return lambda step: low[name]
    period = factors.short_cycle
    if name == "long_cycle":
        period = factors.long_cycle * steps_per_epoch
    if period < 1:
        raise UserError(f"{name} needs a period of at least 1: change config.joint.factors")
    order = tuple(low.values())
    return lambda step: order[step // period % len(order)]


def snippet_indices(stored: int, wanted: int) -> np.ndarray:
    """Indices of the stored snippets that a fidelity of `wanted` snippets reads: the centre of each
    span.

    Args:
        stored: snippets a stored video has.
        wanted: snippets the fidelity has; divides `stored`.

    Returns:
        (wanted,) int64, ascending.
    """
    if stored % wanted:
        raise UserError(f"{wanted} snippets do not divide the {stored} that are stored")
    factor = stored // wanted
    return np.arange(wanted) * factor + factor // 2
