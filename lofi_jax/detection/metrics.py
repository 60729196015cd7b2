"""How good detections are: mean average precision and average recall, as ActivityNet defines them.

The numbers are those of the official ActivityNet evaluation, which HACS uses too, and THUMOS14 with
other thresholds. What that evaluation leaves to chance or to a crash is fixed here:

- Ties in score go to the prediction that stands first, ties in tIoU to the ground truth that does.
- Duplicates are taken as they are: of two equal predictions one can match, two equal ground truths
  need a prediction each.
- An empty or backward segment has a tIoU of 0 with everything: as a prediction it is always false,
  as ground truth never found.
- A class without ground truth is left out of the mean; one without predictions has an AP of 0.
- A video without predictions has all its ground truth missed. In a video without ground truth every
  prediction is a false positive for the mAP, and merely counted as a proposal for the recall.
"""

from typing import NamedTuple

import numpy as np

from lofi_jax.detection.nms import paired_tiou

TIOUS_ACTIVITYNET = np.linspace(0.5, 0.95, 10)
TIOUS_THUMOS = np.linspace(0.3, 0.7, 5)
AVERAGE_NUMBERS = (1, 5, 10, 100)


class Instances(NamedTuple):
    """Segments of many videos in flat arrays, in the order that breaks ties.

    Attributes:
        video: (N,) integer, the video's number.
        label: (N,) integer, the class's number, from 0.
        segment: (N, 2) float64, start and end in seconds.
        score: (N,) float64, higher is surer; ones for ground truth.
    """

    video: np.ndarray
    label: np.ndarray
    segment: np.ndarray
    score: np.ndarray


def class_agnostic(instances: Instances) -> Instances:
    """The same with all labels 0: for how well actions are found, whatever they are called."""
    return instances._replace(label=np.zeros_like(instances.label))


def evaluate(
    ground_truth: Instances, predictions: Instances, num_classes: int, tious: np.ndarray
) -> dict:
    """All the metrics.

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

    A class's predictions of all videos are taken from the highest score down, and each is matched
    to the free ground truth of its video and class with the highest tIoU, if that is at or over the
    threshold; else it is a false positive. Source: the ActivityNet challenge's detection task.

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
    order = np.lexsort((-predictions.score, predictions.label))
    predictions = Instances(*(array[order] for array in predictions))
    found = _match(ground_truth, predictions, num_classes, tious)
    positives = np.bincount(ground_truth.label, minlength=num_classes)
    edges = np.searchsorted(predictions.label, np.arange(num_classes + 1))
    result = np.full((num_classes, len(tious)), np.nan)
    for label in np.flatnonzero(positives):
        hits = found[edges[label] : edges[label + 1]]
        precision = np.cumsum(hits, axis=0) / np.arange(1, len(hits) + 1)[:, None]
        interpolated = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        # Recall rises by one part at each hit and nowhere else.
        result[label] = np.sum(interpolated, axis=0, where=hits) / positives[label]
    return result


def average_recall(
    ground_truth: Instances,
    predictions: Instances,
    tious: np.ndarray,
    max_proposals: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Recall over the average number of proposals a video, whatever their labels: AR@AN.

    Every video keeps the same share of its proposals, best scores first, such that the average over
    videos with ground truth is AN. Source: the ActivityNet challenge's proposal task.

    Args:
        ground_truth: at least one segment; its videos are the ones averaged over.
        predictions: of the same video numbers.
        tious: (K,) thresholds that the recall is averaged over.
        max_proposals: A, the highest average number.

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

    rank, truth = _ranges(kept[truth_video])
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
    """The area under the AR-AN curve from its first number on, over its last number: AUC in 0..1.

    Args:
        numbers: (A,) from `average_recall`.
        recall: (A,) from `average_recall`.
    """
    return float(np.trapezoid(recall, numbers) / numbers[-1])


def _require(ground_truth: Instances) -> None:
    if not len(ground_truth.video):
        raise ValueError("no ground truth: recall and precision are undefined")


def _match(
    ground_truth: Instances, predictions: Instances, num_classes: int, tious: np.ndarray
) -> np.ndarray:
    """Which predictions, already in order, are true: (N, K) bool."""
    truth_group = ground_truth.video * num_classes + ground_truth.label
    group = predictions.video * num_classes + predictions.label
    by_group = np.argsort(truth_group, kind="stable")
    left = np.searchsorted(truth_group, group, side="left", sorter=by_group)
    right = np.searchsorted(truth_group, group, side="right", sorter=by_group)
    nth, prediction = _ranges(right - left)
    truth = by_group[left[prediction] + nth]
    overlaps = paired_tiou(predictions.segment[prediction], ground_truth.segment[truth])

    close = overlaps >= np.min(tious)
    prediction, truth, overlaps = prediction[close], truth[close], overlaps[close]
    order = np.lexsort((truth, -overlaps, prediction, group[prediction]))
    prediction, truth, overlaps = prediction[order], truth[order], overlaps[order]

    found = np.zeros((len(group), len(tious)), dtype=bool)
    for column, threshold in enumerate(tious):
        high = overlaps >= threshold
        free, wanted = prediction[high], truth[high]
        taken = np.zeros(len(truth_group), dtype=bool)
        # Pairs lie by group, then prediction, then falling tIoU: the first that is left of a group
        # is its next match. All groups match one a round, until no pair is left.
        while len(free):
            of_group = group[free]
            first = np.flatnonzero(np.diff(of_group, prepend=-1))
            found[free[first], column] = True
            taken[wanted[first]] = True
            left_over = ~(taken[wanted] | found[free, column])
            free, wanted = free[left_over], wanted[left_over]
    return found


def _ranges(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0..count-1 for each count, one after the other, and which count each comes from."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts), owner
