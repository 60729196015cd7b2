"""The windows of annotated videos: each as a short video with the instances inside it."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.detection.windows import Windows

# A training window must hold at least this fraction of some instance (G-TAD's code for THUMOS14).
WHOLE = 0.9


# What is left of an instance cut by a window's border counts when it is at least this part
# (ActionFormer's THUMOS14 setting for cropped videos).
CUT = 0.5


@dataclasses.dataclass(frozen=True)
class Window:
    """A window as a short video.

    Attributes:
        number: of its video in the list that it comes from.
        start: its first snippet.
        video: its annotation: what it holds of its video's instances, in seconds from its
            beginning.
    """

    number: int
    start: int
    video: Video


def to_train_on(videos: Sequence[Video], lengths: Sequence[int], windows: Windows) -> list[Window]:
    """The windows that hold (nearly) all of at least one instance, with every instance that shows
    enough of itself.

    Args:
        videos: annotated, with durations.
        lengths: of each, in snippets.
        windows: how they are cut.
    """
    chosen = []
    for number, (video, length) in enumerate(zip(videos, lengths, strict=True)):
        for start in windows.starts(length).tolist():
            segments, parts = windows.inside(video.segments, start)
            if (parts < WHOLE).all():
                continue
            kept = np.flatnonzero(parts >= CUT)
            cut = dataclasses.replace(
                video,
                duration=windows.seconds,
                segments=segments[kept],
                labels=tuple(video.labels[i] for i in kept),
            )
            chosen.append(Window(number, start, cut))
    return chosen
