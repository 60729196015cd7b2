"""What the tests of the heads share: a video whose features tell its actions, weights, and training
on it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

# Compiling is most of what these tests do.
FAST = {"xla_backend_optimization_level": 0}

# No action, one that fills the video, one shorter than a snippet, and two that overlap.
HARD = ([], [(0.0, 1.0)], [(0.3, 0.3001)], [(0.1, 0.5), (0.4, 0.9)])


def video(segments, labels=None, snippets=12, dim=8):
    """A batch of one video; inside an action of class c, feature c is high."""
    labels = [0] * len(segments) if labels is None else labels
    centres = (np.arange(snippets) + 0.5) / snippets
    features = np.random.default_rng(0).normal(size=(1, snippets, dim)).astype(np.float32)
    padded, padded_labels = np.zeros((1, 3, 2), np.float32), np.zeros((1, 3), np.int32)
    for i, ((start, end), label) in enumerate(zip(segments, labels, strict=True)):
        features[0, (centres > start) & (centres < end), label] += 3
        padded[0, i], padded_labels[0, i] = (start, end), label
    valid = np.arange(3)[None] < len(segments)
    return {"features": features, "segments": padded, "labels": padded_labels, "valid": valid}


def loss(head, params, features, batch, key=0):
    """The head's loss and its terms."""
    return head.loss(head.apply(params, features), batch, jax.random.key(key))


def check_finite(head, snippets, names):
    """Loss, terms and gradients, those of the features included, are finite whatever the batch."""
    shapes = jax.eval_shape(head.init, jax.random.key(0), video([], snippets=snippets)["features"])
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: rng.normal(size=x.shape, scale=0.3).astype(np.float32), shapes)

    def of(params, features, batch):
        return loss(head, params, features, batch)

    gradient = jax.value_and_grad(of, argnums=(0, 1), has_aux=True)
    gradient = jax.jit(gradient, compiler_options=FAST)
    for segments in HARD:
        batch = video(segments, snippets=snippets)
        (value, terms), found = gradient(params, batch["features"], batch)
        assert np.isfinite(value) and set(terms) == set(names)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))
        assert np.abs(found[1]).max() > 0  # an encoder before the head learns too


def trained(head, batch, steps=150):
    """The head's outputs after training on the one batch, as NumPy arrays, and the terms of its
    loss.
    """
    params = jax.jit(head.init, compiler_options=FAST)(jax.random.key(0), batch["features"])
    optimizer = optax.adam(1e-2)
    memory = optimizer.init(params)

    def step(params, memory, i):
        gradient = jax.value_and_grad(
            lambda p: loss(head, p, batch["features"], batch, i), has_aux=True
        )
        (_, terms), grads = gradient(params)
        updates, memory = optimizer.update(grads, memory)
        return optax.apply_updates(params, updates), memory, terms

    step = jax.jit(step, compiler_options=FAST)
    for i in range(steps):
        params, memory, terms = step(params, memory, jnp.int32(i))
    outputs = jax.jit(head.apply, compiler_options=FAST)(params, batch["features"])
    return jax.tree.map(np.asarray, outputs), terms
