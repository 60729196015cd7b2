"""Features of many videos in padded batches of one size, so that one program is compiled."""

from collections.abc import Iterator

import numpy as np

from lofi_jax.data.random_access import RandomAccess


def feature_batches(
    videos: RandomAccess[dict[str, np.ndarray]], size: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Standardised features (B, L, C) in the videos' order, and how many of the B are videos; the
    others repeat one.

    Args:
        videos: any number of them.
        size: B, or less where there are fewer videos.
    """
    size = min(size, len(videos))
    for first in range(0, len(videos), max(size, 1)):
        numbers = range(first, min(first + size, len(videos)))
        features = [videos[i]["features"] for i in numbers]
        yield np.stack(features + [features[-1]] * (size - len(features))), len(features)


def padded_batches(examples: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Examples (N, ...) as batches (size, ...) in order, and how many of each are examples; the
    others repeat one.
    """
    for first in range(0, len(examples), size):
        batch = examples[first : first + size]
        yield np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)]), len(batch)
