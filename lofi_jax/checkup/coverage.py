"""How much of the videos is action."""

from collections.abc import Iterator, Sequence

import numpy as np

from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.data.annotations.activitynet import Video

_ALL, _LITTLE = 0.95, 0.02
_EMPTY = 0.5


def check(train: Sequence[Video]) -> Iterator[Finding]:
    """Looks at the training videos whose durations are known."""
    parts = [covered(video) for video in train if video.duration and video.labels]
    share = float(np.mean(parts)) if parts else np.nan
    if share > _ALL:
        yield Finding(
            Severity.WARNING,
            f"actions cover {100 * share:.0f} percent of the training videos: a head learns"
            " background from what lies between actions",
            "use the untrimmed videos; trimmed clips suit stage 1 (config.source) alone",
        )
    elif share < _LITTLE:
        yield Finding(
            Severity.WARNING,
            f"actions cover {100 * share:.1f} percent of the training videos, so whole videos"
            " at one length leave few snippets of them",
            "train on windows: config.data.window and config.data.snippets_per_second",
        )
    empty = sum(not video.labels for video in train)
    # If none has one, `instances` says so.
    if _EMPTY * len(train) < empty < len(train):
        yield Finding(
            Severity.NOTE,
            f"{empty} of {len(train)} training videos have no segment",
            "they teach background alone; leave most of them out to train faster",
        )


def covered(video: Video) -> float:
    """The part of a video, of known duration, that lies in a segment.

    >>> video = Video("v", "training", 10.0, np.array([[1.0, 4.0], [3.0, 6.0]]), ("a", "b"))
    >>> covered(video)
    0.5
    """
    total, last = 0.0, 0.0
    for start, end in sorted(np.clip(video.segments, 0, video.known_duration).tolist()):
        total += max(end - max(start, last), 0.0)
        last = max(last, end)
    return total / video.known_duration
