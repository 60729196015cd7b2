"""A video-level action classifier on snippet features, which labels proposals without an external
file.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from lofi_jax.arrays import AnyArray


class VideoClassifier(nn.Module):
    """Classifies each snippet and averages over the video, weighting the snippets by a learned
    attention.

    An untrimmed video is mostly background; the attention emphasises its few action snippets.
    """

    classes: int
    hidden: int = 64

    @nn.compact
    def __call__(self, features: Float[AnyArray, "B L D"]) -> Float[Array, "B classes"]:
        x = nn.relu(nn.Conv(self.hidden, (3,), name="hidden")(features))
        attention = jax.nn.softmax(nn.Dense(1, name="attention")(x), axis=1)
        logits = nn.Dense(self.classes, name="logits")(x)
        return jnp.sum(attention * logits, axis=1)


def target_distribution(
    labels: Int[AnyArray, "B M"], valid: Bool[AnyArray, "B M"], classes: int
) -> Float[Array, "B classes"]:
    """The video's classes, each with equal probability; zeros for a video without any."""
    present = jnp.max(jax.nn.one_hot(labels, classes) * valid[..., None], axis=1)
    return present / jnp.maximum(present.sum(axis=1, keepdims=True), 1.0)


def loss(
    logits: Float[AnyArray, "B classes"], targets: Float[AnyArray, "B classes"]
) -> Float[Array, ""]:
    """Cross-entropy, averaged over the videos that have a class."""
    has_class = targets.sum(axis=1)
    total = jnp.sum(optax.softmax_cross_entropy(logits, targets) * has_class)
    return total / jnp.maximum(has_class.sum(), 1.0)
