"""A video as loaders, encoders and predictions read it, wherever its frames lie."""

from typing import Protocol, runtime_checkable

import numpy as np

from lofi_jax.data.video.jpeg import Crop


@runtime_checkable
class Frames(Protocol):
    """A video's frames in the order of `sample_times`, which decode themselves when they are
    wanted.
    """

    def __len__(self) -> int: ...

    def read(
        self, numbers: np.ndarray, size: tuple[int, int], crop: Crop, out: np.ndarray, /
    ) -> None:
        """Decodes, crops and resizes some of them, at a reduced size where that is enough.

        Args:
            numbers: (n,) int, which frames, in any order.
            size: the height and width in pixels that the frames have.
            crop: the part that is wanted.
            out: gets the frames, (n, height, width, 3) uint8 RGB.
        """
        ...
