"""What a row of a timeline shows."""

from typing import NamedTuple


class Segment(NamedTuple):
    """What a row shows: an action, in seconds; of a detection also its score, 0 or more."""

    start: float
    end: float
    label: str
    score: float | None = None
