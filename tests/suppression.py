"""Suppression of one video's proposals, as a batch of one."""

import numpy as np

from lofi_jax.detection import nms


def soft_nms(segments, scores, *args, **options):
    """Indices (K,) and lowered scores (K,) of what `soft_nms_batch` picks of (N, 2) segments and
    (N,) scores.
    """
    batch = np.asarray(segments, np.float64)[None], np.asarray(scores, np.float64)[None]
    indices, lowered = nms.soft_nms_batch(*batch, None, *args, **options)
    picked = indices[0] >= 0
    return indices[0, picked], lowered[0, picked]
