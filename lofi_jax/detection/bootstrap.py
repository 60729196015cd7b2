"""How sure a mAP is: what it would be on other draws of the same number of videos (the bootstrap, Efron 1979)."""

import numpy as np

from lofi_jax.detection.matching import Instances, match, ranked
from lofi_jax.detection.precision import best_from_here_on, cumulative

_CHUNK = 8  # draws at a time, for memory


def draws(videos: int, count: int, seed: int) -> np.ndarray:
    """How often each video is drawn, with replacement, as many as there are: (count, videos) int64."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(videos, np.full(videos, 1 / videos), size=count)


def mean_precisions(
    ground_truth: Instances,
    predictions: Instances,
    num_classes: int,
    tious: np.ndarray,
    times: np.ndarray,
) -> np.ndarray:
    """The average mAP of each draw: exactly that of a dataset that holds every video as often as it was drawn.

    Matches are within a video, so they are made once. Where the copies of a prediction tie in score, its hits stand
    together, so all have the precision of the last one.

    Args:
        ground_truth, predictions: of the same video and label numbers.
        num_classes: labels run from 0 to here.
        tious: (K,) thresholds.
        times: (B, V) from `draws`; all of `ground_truth` and `predictions` are of these videos.

    Returns:
        (B,) float64 in 0..1; NaN where a draw holds no ground truth.
    """
    predictions = ranked(predictions)
    hit = match(ground_truth, predictions, num_classes, tious) >= 0
    column, row = np.nonzero(hit.T)
    label = predictions.label[row]
    series = column * num_classes + label  # each class at each threshold
    of_class = np.zeros((times.shape[1], num_classes))
    np.add.at(of_class, (ground_truth.video, ground_truth.label), 1)

    means = []
    for chunk in np.split(times, range(_CHUNK, len(times), _CHUNK)):
        weight = chunk.astype(np.float64)
        every = cumulative(predictions.label, weight[:, predictions.video], num_classes)[:, row]
        times_hit = weight[:, predictions.video[row]]
        true = cumulative(series, times_hit, len(tious) * num_classes)
        precision = np.divide(true, every, out=np.zeros_like(true), where=every > 0)
        gained = times_hit * best_from_here_on(precision, series)
        edges = np.searchsorted(series, np.arange(len(tious) * num_classes + 1))
        summed = np.concatenate([np.zeros((len(chunk), 1)), np.cumsum(gained, axis=1)], axis=1)
        total = np.diff(summed[:, edges], axis=1).reshape(-1, len(tious), num_classes)
        positives = (weight @ of_class)[:, None]
        there = np.broadcast_to(positives > 0, total.shape)
        precisions = np.divide(total, positives, out=np.zeros_like(total), where=there)
        classes = there.sum(axis=(1, 2))
        means.append(
            np.divide(
                precisions.sum(axis=(1, 2)),
                classes,
                out=np.full(len(chunk), np.nan),
                where=classes > 0,
            )
        )
    return np.concatenate(means)
