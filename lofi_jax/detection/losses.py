"""The losses of dense heads. Each is finite, with finite gradients, whatever is missing from the batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def balanced_bce(
    logits: Float[Array, "..."], labels: Float[Array, "..."], threshold: float = 0.5
) -> Float[Array, ""]:
    """Binary cross-entropy in which positives and negatives count for half each (BSN, G-TAD and BMN).

    Args:
        logits: predictions before the sigmoid.
        labels: soft labels in [0, 1]; above `threshold` is a positive.

    Without a positive or without a negative the other side's half is all there is.
    """
    positive = labels > threshold
    log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -0.5 * (_mean(log_p, positive) + _mean(log_not_p, ~positive))


def _mean(values, chosen):
    """The mean of the chosen values, zero where none is."""
    return jnp.sum(values * chosen) / jnp.maximum(chosen.sum(), 1)


def sampled_mse(
    predictions: Float[Array, "..."], ious: Float[Array, "..."], key: PRNGKeyArray
) -> Float[Array, ""]:
    """Half the squared error of the predicted tIoU, over equally many high, middle and low anchors (BMN, section 3.4).

    All high anchors count (tIoU > 0.7); the middle ones (0.3 to 0.7) and the low ones (above 0, to 0.3) are drawn at
    random to as many on average. Without any anchor in the draw the loss is zero.
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
