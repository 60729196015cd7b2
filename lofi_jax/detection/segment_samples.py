"""What a classifier of segments is trained on: annotated segments, the same jittered, and random
ones; and their targets.

Segments are in units of the video, [0, 1], padded to a common number; `valid` marks the real ones.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from lofi_jax.arrays import AnyArray
from lofi_jax.detection.targets import tiou

# Of each annotated segment: copies whose boundaries move by up to this part of its length, and
# random segments beside them.
COPIES = 4
JITTER = 0.5
RANDOM = 4

# From this tIoU with an instance on a segment has its class; below the other one with all of them
# it is background. In between it has no target (as in Fast R-CNN, arXiv 1504.08083, but for the
# numbers).
SAME = 0.5
OTHER = 0.3


def draw(
    key: PRNGKeyArray, segments: Float[AnyArray, "M 2"], valid: Bool[AnyArray, " M"], snippets: int
) -> tuple[Float[Array, "P 2"], Bool[Array, " P"]]:
    """The segments of a video to train on.

    Args:
        snippets: L; a random segment lasts from one snippet to the whole video, every order of
            magnitude equally often.

    Returns:
        P = M * (1 + COPIES + RANDOM) segments, and which of them count: all but copies of padding.
    """
    moved_key, length_key, place_key = jax.random.split(key, 3)
    count = len(segments)
    lengths = segments[:, 1:] - segments[:, :1]
    moves = jax.random.uniform(moved_key, (COPIES, count, 2), minval=-JITTER, maxval=JITTER)
    moved = jnp.clip(segments + lengths * moves, 0.0, 1.0).reshape(-1, 2)
    random = (RANDOM * count, 1)
    lasts = jnp.exp(jax.random.uniform(length_key, random, minval=-jnp.log(snippets), maxval=0.0))
    starts = (1 - lasts) * jax.random.uniform(place_key, random)
    drawn = jnp.concatenate([segments, moved, jnp.concatenate([starts, starts + lasts], axis=1)])
    real = jnp.concatenate([jnp.tile(valid, 1 + COPIES), jnp.ones(RANDOM * count, bool)])
    return drawn, real & (drawn[:, 1] > drawn[:, 0])


def targets(
    drawn: Float[AnyArray, "P 2"],
    segments: Float[AnyArray, "M 2"],
    labels: Int[AnyArray, " M"],
    valid: Bool[AnyArray, " M"],
    classes: int,
) -> tuple[Float[Array, "P K"], Bool[Array, " P"]]:
    """Each segment's distribution over K: the classes and background (the last); and whether it has
    one.

    Classes that overlap in time share it equally.
    """
    overlap = tiou(drawn, segments) * valid
    named = jax.nn.one_hot(labels, classes)
    of_class = jnp.max(overlap[:, :, None] * named[None], axis=1, initial=0.0) >= SAME
    background = jnp.max(overlap, axis=1, initial=0.0) < OTHER
    chosen = jnp.concatenate([of_class, background[:, None]], axis=1)
    return chosen / jnp.maximum(chosen.sum(axis=1, keepdims=True), 1), chosen.any(axis=1)
