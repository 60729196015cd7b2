"""Matching predictions to ground truth, as the ActivityNet evaluation does."""

from typing import NamedTuple

import numpy as np

from lofi_jax.detection.nms import paired_tiou


class Instances(NamedTuple):
    """Segments of many videos in flat arrays, in the order that breaks ties.

    Attributes:
        video: (N,) integer, the video's number.
        label: (N,) integer, the class's number, from 0.
        segment: (N, 2) float64, start and end in seconds.
        score: (N,) float64, higher is more confident; ones for ground truth.
    """

    video: np.ndarray
    label: np.ndarray
    segment: np.ndarray
    score: np.ndarray

    def take(self, chosen: np.ndarray) -> "Instances":
        """The chosen rows, by indices or a mask."""
        return Instances(*(array[chosen] for array in self))


def ranked(predictions: Instances) -> Instances:
    """The predictions sorted by class, best scores first."""
    return predictions.take(np.lexsort((-predictions.score, predictions.label)))


def match(
    ground_truth: Instances, predictions: Instances, num_classes: int, tious: np.ndarray
) -> np.ndarray:
    """The ground truth that each prediction finds at each threshold.

    In order, predictions take the free ground truth of their video and class with the highest tIoU,
    if that is at least the threshold. Source: the ActivityNet challenge's detection task.

    Args:
        ground_truth: in any order; ties in tIoU go to the first.
        predictions: as `ranked` has them.
        num_classes: labels run from 0 to here.
        tious: (K,) thresholds.

    Returns:
        (N, K) int64 indices into `ground_truth`, -1 for a false positive.
    """
    truth_group = ground_truth.video * num_classes + ground_truth.label
    group = predictions.video * num_classes + predictions.label
    prediction, truth = pairs(group, truth_group)
    overlaps = paired_tiou(predictions.segment[prediction], ground_truth.segment[truth])

    close = overlaps >= np.min(tious)
    prediction, truth, overlaps = prediction[close], truth[close], overlaps[close]
    order = np.lexsort((truth, -overlaps, prediction, group[prediction]))
    prediction, truth, overlaps = prediction[order], truth[order], overlaps[order]

    found = np.full((len(group), len(tious)), -1)
    for column, threshold in enumerate(tious):
        high = overlaps >= threshold
        free, wanted = prediction[high], truth[high]
        taken = np.zeros(len(truth_group), dtype=bool)
        # Pairs lie by group, then prediction, then falling tIoU: the first that is left of a group
        # is its next match. All groups match one a round, until no pair is left.
        while len(free):
            of_group = group[free]
            first = np.flatnonzero(np.diff(of_group, prepend=-1))
            found[free[first], column] = wanted[first]
            taken[wanted[first]] = True
            left_over = ~taken[wanted] & (found[free, column] < 0)
            free, wanted = free[left_over], wanted[left_over]
    return found


def pairs(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of indices with equal values, as two (P,) int64 arrays, sorted by the left index,
    then the right.
    """
    order = np.argsort(right, kind="stable")
    first = np.searchsorted(right, left, side="left", sorter=order)
    last = np.searchsorted(right, left, side="right", sorter=order)
    nth, owner = ranges(last - first)
    return owner, order[first[owner] + nth]


def ranges(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """0..count-1 for each count, concatenated, and the index of the count of each."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts), owner
