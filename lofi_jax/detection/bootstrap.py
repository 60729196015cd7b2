"""The uncertainty of a mAP: its values on other samples of as many videos (the bootstrap, Efron
1979).
"""

import numpy as np

from lofi_jax.detection.matching import Instances, match, ranked
from lofi_jax.detection.precision import best_from_here_on, cumulative, sums

_CHUNK = 4  # samples at once, to save memory


def draws(videos: int, count: int, seed: int) -> np.ndarray:
    """How often each video is in each sample, drawn with replacement: (count, videos) int64."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(videos, np.full(videos, 1 / videos), size=count)


def mean_precisions(
    ground_truth: Instances,
    predictions: Instances,
    num_classes: int,
    tious: np.ndarray,
    times: np.ndarray,
) -> np.ndarray:
    """The average mAP of each sample: exactly that of a dataset with every video as often as it was
    drawn.

    >>> truth = Instances(*map(np.array, ([0, 1], [0, 1], [[1.0, 3.0], [5.0, 9.0]], [1.0, 1.0])))
    >>> found = truth._replace(segment=truth.segment + [[0.5], [3.0]], score=np.array([0.9, 0.4]))
    >>> times = draws(videos=2, count=1000, seed=0)
    >>> drawn = mean_precisions(truth, found, 2, np.array([0.5]), times)
    >>> np.quantile(drawn, [0.025, 0.975])
    array([0., 1.])

    Matches are within a video, so they are computed once. Copies of a prediction tie in score, so
    all of them have the precision of the last one.

    Args:
        ground_truth, predictions: of the same video and label numbers.
        num_classes: labels run from 0 to here.
        tious: (K,) thresholds.
        times: (B, V) from `draws`; all of `ground_truth` is of these videos. Predictions of videos
            numbered from V on, which are never drawn, count once in every sample.

    Returns:
        (B,) float64 in 0..1; NaN for a sample without ground truth.
    """
    predictions = ranked(predictions)
    hit = match(ground_truth, predictions, num_classes, tious) >= 0
    column, row = np.nonzero(hit.T)
    series = column * num_classes + predictions.label[row]  # each class at each threshold
    number = len(tious) * num_classes
    wanted = ground_truth.take(np.argsort(ground_truth.label, kind="stable"))

    beyond = max(int(predictions.video.max(initial=-1)) + 1 - times.shape[1], 0)
    times = np.pad(times, ((0, 0), (0, beyond)), constant_values=1)

    means = []
    for chunk in np.split(times.astype(np.int32), range(_CHUNK, len(times), _CHUNK)):
        drawn = chunk[:, predictions.video]
        every = cumulative(predictions.label, drawn, num_classes, row)
        times_hit = drawn[:, row].astype(np.float64)
        true = cumulative(series, times_hit, number, np.arange(len(row)))
        precision = np.divide(true, every, out=np.zeros(true.shape), where=every > 0)
        gained = sums(series, times_hit * best_from_here_on(precision, series), number)
        positives = sums(wanted.label, chunk[:, wanted.video], num_classes)[:, None]
        there = positives > 0
        of_class = np.where(there, gained.reshape(-1, len(tious), num_classes), 0)
        total = (of_class / np.maximum(positives, 1)).mean(axis=1).sum(axis=1)
        classes = there.sum(axis=(1, 2))
        means.append(np.where(classes, total / np.maximum(classes, 1), np.nan))
    return np.concatenate(means)
