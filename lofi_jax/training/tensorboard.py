"""TensorBoard's files of a training."""

import pathlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


def scalars_writer(folder: pathlib.Path, first: int) -> "SummaryWriter":
    """A writer of scalars; what the folder holds of later steps than `first` is dropped."""
    # tensorboardX imports PyTorch where it is installed, for tensors that nobody here has: seconds
    # of every command's start.
    absent = "torch" not in sys.modules
    if absent:
        sys.modules["torch"] = None  # pyright: ignore[reportArgumentType]
    try:
        from tensorboardX import SummaryWriter
    finally:
        if absent:
            del sys.modules["torch"]
    return SummaryWriter(str(folder), purge_step=first)
