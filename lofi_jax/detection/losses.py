"""The losses of dense heads. Each is finite, with finite gradients, even if the batch lacks
positives.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from lofi_jax.arrays import AnyArray


def balanced_bce(
    logits: Float[AnyArray, "..."],
    labels: Float[AnyArray, "..."],
    threshold: float = 0.5,
    extra: float = 0.0,
) -> Float[Array, ""]:
    """Binary cross-entropy in which positives and negatives each weigh one half (BSN, G-TAD and
    BMN).

    Args:
        logits: predictions before the sigmoid.
        labels: soft labels in [0, 1]; positive above `threshold`.
        extra: added to both counts, so that a few positives or negatives weigh less than one half.

    Without positives, or without negatives, only the other half remains.
    """
    positive = labels > threshold
    log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -0.5 * (_mean(log_p, positive, extra) + _mean(log_not_p, ~positive, extra))


def _mean(values, chosen, extra=0.0):
    """The mean of the chosen values, zero where none is; `extra` zeros beside them count too."""
    return jnp.sum(values * chosen) / jnp.maximum(chosen.sum() + extra, 1)


def sampled_mse(
    predictions: Float[AnyArray, "..."], ious: Float[AnyArray, "..."], key: PRNGKeyArray
) -> Float[Array, ""]:
    """Half the squared error of the predicted tIoU, over equally many high, middle and low anchors
    (BMN, section 3.4).

    All high anchors count (tIoU > 0.7); the middle ones (0.3 to 0.7) and the low ones (above 0, to
    0.3) are drawn at random to as many on average. Without any anchor in the draw the loss is zero.
    """
    uniform = jax.random.uniform(key, (2, *ious.shape))
    high = ious > 0.7
    middle = (ious > 0.3) & (ious <= 0.7)
    low = (ious > 0.0) & (ious <= 0.3)
    chosen = high | _drawn(middle, high.sum(), uniform[0]) | _drawn(low, high.sum(), uniform[1])
    return 0.5 * _mean(jnp.square(predictions - ious), chosen)


def _drawn(candidates, wanted, uniform):
    """The candidates, each kept with the probability that leaves `wanted` of them on average."""
    return candidates & (uniform * candidates.sum() < wanted)


def focal(
    logits: Float[AnyArray, "..."] | float,
    labels: Float[AnyArray, "..."] | float,
    alpha: float = 0.25,
    gamma: float = 2,
) -> Float[Array, "..."]:
    """The sigmoid focal loss of each prediction (Lin et al., arXiv 1708.02002, section 3.2).

    Args:
        logits: predictions before the sigmoid.
        labels: in 0..1.
        alpha: weight of the positives; the negatives have 1 - alpha.
        gamma: how much easy ones are down-weighted.
    """
    entropy = -labels * jax.nn.log_sigmoid(logits) - (1 - labels) * jax.nn.log_sigmoid(-logits)
    missed = labels * jax.nn.sigmoid(-logits) + (1 - labels) * jax.nn.sigmoid(logits)
    weight = alpha * labels + (1 - alpha) * (1 - labels)
    return jnp.asarray(weight * missed**gamma * entropy)


def distance_tiou(
    distances: Float[AnyArray, "... 2"], wanted: Float[AnyArray, "... 2"]
) -> Float[Array, "..."]:
    """The temporal intersection over union of segments around a common point, given as in `diou`;
    0 where both are empty.
    """
    overlap = jnp.minimum(distances, wanted).sum(axis=-1)
    union = distances.sum(axis=-1) + wanted.sum(axis=-1) - overlap
    return overlap / jnp.maximum(union, 1e-8)


def diou(
    distances: Float[AnyArray, "... 2"], wanted: Float[AnyArray, "... 2"]
) -> Float[Array, "..."]:
    """The distance-IoU loss of segments around a common point (Zheng et al., arXiv 1911.08287, in
    one dimension).

    1 - tIoU + (distance of the centres / length of the smallest segment around both)^2.

    Args:
        distances, wanted: from the point to start and end, at least 0.
    """
    around = jnp.maximum(distances, wanted).sum(axis=-1)
    centre = jnp.diff(distances - wanted)[..., 0] / 2
    tiny = 1e-8
    return 1 - distance_tiou(distances, wanted) + (centre / jnp.maximum(around, tiny)) ** 2
