"""A video's metadata as JSON: everything but its frames."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.data.record import Frames, Record

_PLAIN = ("video_id", "duration", "fps", "height", "width")


def of(record: Record) -> dict[str, Any]:
    """A record without its frames, but with their number."""
    return {key: getattr(record, key) for key in _PLAIN} | {
        "frames": len(record.frames),
        "segments": record.segments.tolist(),
        "labels": record.labels.tolist(),
    }


def record(known: Mapping[str, Any], frames: Frames) -> Record:
    """The record that `of` was given."""
    return Record(
        frames=frames,
        segments=np.array(known["segments"], np.float64).reshape(-1, 2),
        labels=np.array(known["labels"], np.int64),
        **{key: known[key] for key in _PLAIN},
    )


def video(known: Mapping[str, Any], subset: str, classes: Sequence[str]) -> Video:
    """The annotated video; its labels are places in `classes`."""
    return Video(
        video_id=known["video_id"],
        subset=subset,
        duration=known["duration"],
        segments=np.array(known["segments"], np.float64).reshape(-1, 2),
        labels=tuple(classes[int(label)] for label in known["labels"]),
    )
