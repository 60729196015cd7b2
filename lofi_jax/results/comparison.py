"""How two systems differ on the same videos: how much, how certainly, and where."""

from collections.abc import Sequence

import numpy as np

from lofi_jax.detection import bootstrap, buckets, diagnosis, metrics
from lofi_jax.detection.metrics import Instances
from lofi_jax.errors import UserError
from lofi_jax.results.ground_truth import Truth
from lofi_jax.results.predictions import Predictions


def compare(
    truth: Truth,
    both: Sequence[Predictions],
    tious: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
    lengths: str = "activitynet",
) -> dict:
    """Compares two systems on the same videos, `both[1]` against `both[0]`.

    The interval is a bootstrap over videos: both are evaluated on the same samples of the videos,
    drawn with replacement, and 95 of 100 differences lie within it.

    Args:
        tious: (K,) thresholds of the mAP.
        resamples: draws of the bootstrap.
        seed: of the draws.
        lengths: whose buckets of lengths to go by, one of `buckets.NAMES`.

    Returns:
        As plain JSON values, all fractions: of each system "average_mAP", "mAP" by threshold, and
        by length ("lengths") and class ("classes"); the average's "difference", its "interval" and
        the share of draws in which "other_is_better".

    Raises:
        UserError: no draw holds a segment to find.
    """
    counted = [truth.count(found) for found in both]
    shown = len(truth.classes)
    precision = np.stack(
        [metrics.average_precision(truth.instances, *one, tious)[:shown] for one in counted]
    )
    times = bootstrap.draws(len(truth.videos), resamples, seed)
    drawn = [bootstrap.mean_precisions(truth.instances, *one, tious, times) for one in counted]
    differences = drawn[1] - drawn[0]
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        raise UserError(
            f"{truth.annotated.path}: none of the {resamples} resamples holds a segment to find:"
            " draw more with --resamples"
        )
    average = precision.mean(axis=(1, 2))
    return {
        "average_mAP": average.tolist(),
        "difference": float(average[1] - average[0]),
        "interval": np.quantile(differences, (0.025, 0.975)).tolist(),
        "other_is_better": float(np.mean(differences > 0)),
        "resamples": len(differences),
        "seed": seed,
        "mAP": {f"{t:.2f}": precision[:, :, k].mean(axis=1).tolist() for k, t in enumerate(tious)},
        "lengths": _by_length(truth, counted, tious, lengths),
        "classes": _by_class(truth, precision.mean(axis=2)),
    }


def _by_length(
    truth: Truth, counted: Sequence[tuple[Instances, int]], tious: np.ndarray, lengths: str
) -> list[dict]:
    """The normalised mAP of both by the length of the instances; see detection/diagnosis.py."""
    sound = diagnosis.sound(truth.instances, truth.durations)
    if not sound.any():
        return []
    kept = truth.instances.take(sound)
    length = {"length": buckets.characteristics(kept, truth.durations)["length"]}
    kinds = buckets.buckets(length, lengths)
    one, other = (
        diagnosis.diagnose(kept, *found, tious, kinds)["instances"]["length"] for found in counted
    )
    keys = ("missed", "average_mAP_N")
    return [a | {key: [a[key], b[key]] for key in keys} for a, b in zip(one, other, strict=True)]


def _by_class(truth: Truth, precision: np.ndarray) -> list[dict]:
    """Every class, largest gain first. A class's share is its difference over the number of
    classes.
    """
    numbers = np.bincount(truth.instances.label, minlength=len(truth.classes))
    gained = precision[1] - precision[0]
    return [
        {
            "label": truth.classes[i],
            "instances": int(numbers[i]),
            "average_precision": precision[:, i].tolist(),
            "difference": float(gained[i]),
        }
        for i in np.argsort(-gained, kind="stable")
    ]
