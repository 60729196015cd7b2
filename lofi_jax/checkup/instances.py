"""Classes with too few instances."""

import collections
from collections.abc import Iterator, Sequence

from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.data.annotations.activitynet import Video
from lofi_jax.errors import first

_FEW = 5  # instances to learn from
_MEASURED = 3  # test instances under which a class's precision says little


def check(train: Sequence[Video], test: Sequence[Video]) -> Iterator[Finding]:
    """Counts the instances of each class."""
    learned, asked = (
        collections.Counter(label for video in videos for label in video.labels)
        for videos in (train, test)
    )
    if not learned:
        yield Finding(
            Severity.STOP,
            "no training video has an annotated segment",
            "name another config.data.train_subset, or annotate some",
        )
        return
    few = [f"{label!r} ({count})" for label, count in learned.items() if count < _FEW]
    if few:
        yield Finding(
            Severity.WARNING,
            f"{len(few)} of {len(learned)} classes have under {_FEW} training instances:"
            f" {first(few, 5)}",
            "annotate more of them, or leave them out",
        )
    rare = [f"{label!r} ({count})" for label, count in asked.items() if count < _MEASURED]
    if rare:
        yield Finding(
            Severity.NOTE,
            f"{len(rare)} of {len(asked)} classes have under {_MEASURED} test instances, and each"
            f" class counts the same in the mAP: {first(rare, 5)}",
            "judge by several seeds: python -m lofi_jax.study",
        )
