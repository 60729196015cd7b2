"""Labels by video, where videos hold several classes."""

import collections
from collections.abc import Iterator, Sequence

import numpy as np

from lofi_jax.checkup.finding import Finding, Severity
from lofi_jax.data.annotations.activitynet import Video

_LOST = 0.02  # of the instances


def check(test: Sequence[Video], top_classes: int) -> Iterator[Finding]:
    """Looks at what a classifier of videos, were it always right, could label.

    Args:
        top_classes: labels that it gives to each proposal of a video.
    """
    counts = [
        sorted(collections.Counter(v.labels).values(), reverse=True) for v in test if v.labels
    ]
    total = sum(map(sum, counts))
    lost = sum(sum(numbers[top_classes:]) for numbers in counts)
    if total and lost > _LOST * total:
        classes = [len(numbers) for numbers in counts]
        enough = int(np.quantile(classes, 0.95, method="higher"))
        yield Finding(
            Severity.WARNING,
            f"videos hold {np.mean(classes):.1f} classes on average, and the video-level classifier"
            f" gives {top_classes}: {100 * lost / total:.0f} percent of the test instances get no"
            " right label even if it never errs",
            "set config.classifier.level=segment, or config.classifier.top_classes="
            f"{enough}, or a head that classifies: config.head.name=actionformer",
        )
