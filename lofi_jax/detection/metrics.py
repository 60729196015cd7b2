"""The metrics: mean average precision and average recall, as ActivityNet defines them.

The numbers are those of the official ActivityNet evaluation, which also serves HACS and, with other
thresholds, THUMOS14 and your own datasets. Cases in which it depends on chance or crashes are
defined here:

- Ties in score go to the first prediction, ties in tIoU to the first ground truth.
- Duplicates are kept: of two equal predictions one can match; two equal ground truths need one
  prediction each.
- An empty or backward segment has a tIoU of 0 with everything: as a prediction it is always false,
  as ground truth never found.
- A class without ground truth is left out of the mean; one without predictions has an AP of 0.
- A video without predictions has all its ground truth missed. In a video without ground truth every
  prediction is a false positive for the mAP, and only a proposal for the recall.
- A prediction with a label that the ground truth lacks does not count for the mAP; for the recall
  it is a proposal like any other.
- A score may be any finite number, 0 included; only the order of the scores matters.

AR@AN is the recall, averaged over tIoU 0.5:0.05:0.95, with AN proposals per video on average: every
video keeps the same fraction of its own. AN runs to 100 (`max_proposals`): a file with more than
100 per video on average is first cut by the same fraction in every video. AUC is the area under
AR@AN from AN = 1 to 100, over 100.
"""

import numpy as np

from lofi_jax.detection import thresholds
from lofi_jax.detection.matching import Instances, match, ranges, ranked
from lofi_jax.detection.nms import paired_tiou
from lofi_jax.detection.precision import interpolated_precision

# For the recall, on every dataset.
TIOUS_ACTIVITYNET = thresholds.parse(thresholds.ACTIVITYNET, "TIOUS_ACTIVITYNET")
AVERAGE_NUMBERS = (1, 5, 10, 100)


def class_agnostic(instances: Instances) -> Instances:
    """The instances with all labels 0, to measure localization alone."""
    return instances._replace(label=np.zeros_like(instances.label))


def evaluate(
    ground_truth: Instances, predictions: Instances, num_classes: int, tious: np.ndarray
) -> dict:
    """All the metrics.

    Here two segments of two classes in two videos; the first is found half a second late, the
    second three:

    >>> truth = Instances(*map(np.array, ([0, 1], [0, 1], [[1.0, 3.0], [5.0, 9.0]], [1.0, 1.0])))
    >>> found = truth._replace(segment=truth.segment + [[0.5], [3.0]], score=np.array([0.9, 0.4]))
    >>> evaluate(truth, found, num_classes=2, tious=np.array([0.1, 0.5]))["mAP"]
    {'0.10': 1.0, '0.50': 0.5}

    Args:
        ground_truth: at least one segment.
        predictions: of the same video and label numbers.
        num_classes: labels run from 0 to here.
        tious: (K,) thresholds of the mAP; the recall always uses `TIOUS_ACTIVITYNET`.

    Returns:
        {"mAP": {"0.50": ...}, "average_mAP": ..., "AR": {"1": ..., ...}, "AUC": ...}, in 0..1.

    Raises:
        ValueError: no ground truth.
    """
    precision = average_precision(ground_truth, predictions, num_classes, tious)
    means = precision[~np.isnan(precision[:, 0])].mean(axis=0)
    numbers, recall = average_recall(ground_truth, predictions, TIOUS_ACTIVITYNET)
    return {
        "mAP": {f"{tiou:.2f}": float(mean) for tiou, mean in zip(tious, means, strict=True)},
        "average_mAP": float(means.mean()),
        "AR": {str(number): float(recall[number - 1]) for number in AVERAGE_NUMBERS},
        "AUC": area_under_curve(numbers, recall),
    }


def average_precision(
    ground_truth: Instances, predictions: Instances, num_classes: int, tious: np.ndarray
) -> np.ndarray:
    """Interpolated average precision of each class at each threshold.

    A class's predictions of all videos are taken from the highest score down, and matched as
    `match` says. Source: the ActivityNet challenge's detection task.

    Args:
        ground_truth: at least one segment.
        predictions: of the same video and label numbers.
        num_classes: labels run from 0 to here.
        tious: (K,) thresholds.

    Returns:
        (num_classes, K) float64 in 0..1; NaN for a class without ground truth.

    Raises:
        ValueError: no ground truth.
    """
    _require(ground_truth)
    predictions = ranked(predictions)
    hit = match(ground_truth, predictions, num_classes, tious) >= 0
    positives = np.bincount(ground_truth.label, minlength=num_classes)
    columns = [interpolated_precision(column, predictions.label, positives) for column in hit.T]
    return np.stack(columns, axis=1)


def average_recall(
    ground_truth: Instances,
    predictions: Instances,
    tious: np.ndarray,
    max_proposals: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Recall over the average number of proposals per video, whatever their labels: AR@AN.

    Every video keeps the same share of its proposals, best scores first, such that the average over
    videos with ground truth is AN. Source: the ActivityNet challenge's proposal task.

    Args:
        ground_truth: at least one segment; its videos are the ones averaged over.
        predictions: of the same video numbers.
        tious: (K,) thresholds that the recall is averaged over.
        max_proposals: A, the highest average number of proposals per video; the excess is cut by
            the same fraction in every video.

    Returns:
        numbers (A,), 1 to max_proposals, and the recall (A,) in 0..1 at each.

    Raises:
        ValueError: no ground truth.
    """
    _require(ground_truth)
    numbers = np.arange(1, max_proposals + 1)
    videos, truth_video = np.unique(ground_truth.video, return_inverse=True)
    order = np.lexsort((-predictions.score, predictions.video))
    video = predictions.video[order]
    left = np.searchsorted(video, videos, side="left")
    proposals = np.searchsorted(video, videos, side="right") - left
    # The products below are the official ones term by term: their rounding decides how many
    # proposals are cut, so 29 / 100 * 100 must come out as 28 here too.
    ratio = max_proposals * float(len(videos)) / max(len(order), 1)
    kept = np.minimum((proposals * ratio).astype(np.int64), proposals)
    if not kept.sum():
        return numbers.astype(np.float64), np.zeros(max_proposals)
    shares = numbers / float(max_proposals) * (max_proposals * float(len(videos)) / kept.sum())
    cut = np.minimum((kept[:, None] * shares).astype(np.int64), kept[:, None])

    rank, truth = ranges(kept[truth_video])
    proposal = order[left[truth_video[truth]] + rank]
    overlaps = paired_tiou(predictions.segment[proposal], ground_truth.segment[truth])
    allowed = cut[truth_video]
    recall = np.zeros(max_proposals)
    for threshold in tious:
        first_hit = np.full(len(truth_video), np.iinfo(np.int64).max)
        hit = overlaps >= threshold
        np.minimum.at(first_hit, truth[hit], rank[hit])
        recall += np.mean(first_hit[:, None] < allowed, axis=0)
    return shares * (kept.sum() / len(videos)), recall / len(tious)


def area_under_curve(numbers: np.ndarray, recall: np.ndarray) -> float:
    """The area under the AR-AN curve over its last number: AUC in 0..1.

    Args:
        numbers: (A,) from `average_recall`.
        recall: (A,) from `average_recall`.
    """
    return float(np.trapezoid(recall, numbers) / numbers[-1])


def _require(ground_truth: Instances) -> None:
    if not len(ground_truth.video):
        raise ValueError("no ground truth: recall and precision are undefined")
