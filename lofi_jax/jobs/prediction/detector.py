"""What `predict` needs of something that finds actions in videos."""

import pathlib
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from lofi_jax.data.record import Record
from lofi_jax.results.detections import Detections


@runtime_checkable
class Detector(Protocol):
    """What finds actions in a video file: a `Localizer` or a `Recognizer`."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of the actions."""
        ...

    @property
    def name(self) -> str:
        """Its name in a timeline."""
        ...

    def read(self, video: pathlib.Path, /) -> tuple[Record, str]:
        """The file's record, and of a damaged file how much it covers."""
        ...

    def detect_in(self, record: Record, /) -> Detections:
        """The actions in a record, best first."""
        ...

    def thumbnails(self, record: Record, /) -> list[np.ndarray]:
        """A few frames of a record, evenly spread."""
        ...
