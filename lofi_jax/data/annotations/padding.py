"""A video's annotated instances as arrays of one size for every video."""

import numpy as np


def pad_instances(segments: np.ndarray, labels, count: int) -> dict[str, np.ndarray]:
    """A video's annotation at fixed size.

    Args:
        segments: (M, 2) in units of the video.
        labels: (M,) int.
        count: at least M.

    Returns:
        "segments" (count, 2) float32 in [0, 1], "labels" (count,) int32 and "valid" (count,) bool.
    """
    found = len(labels)
    padded = np.zeros((count, 2), np.float32)
    padded[:found] = np.asarray(segments).reshape(-1, 2).clip(0, 1)
    padded_labels = np.zeros(count, np.int32)
    padded_labels[:found] = labels
    return {"segments": padded, "labels": padded_labels, "valid": np.arange(count) < found}
