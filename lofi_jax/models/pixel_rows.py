"""Frames as rows of pixels: width and colours in one axis.

A TPU's memory pads the last axis to 128, and would take 43 times as much for three colours. So
frames lie and travel as rows, and become images where a chunk of them is encoded.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Real

from lofi_jax.arrays import AnyArray


def folded(frames: Real[AnyArray, "*N H W 3"]) -> Real[AnyArray, "*N H row"]:
    """The rows of frames."""
    return frames.reshape(*frames.shape[:-2], -1)


def unfolded(rows: Real[AnyArray, "*N H row"]) -> Real[AnyArray, "*N H W 3"]:
    """The frames of rows."""
    return rows.reshape(*rows.shape[:-1], -1, 3)


def in_batch(change: Callable[[Any], Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch whose "frames" are changed, where it has any."""
    frames = {"frames": change(batch["frames"])} if "frames" in batch else {}
    return {**batch, **frames}
