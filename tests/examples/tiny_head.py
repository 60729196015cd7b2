"""Add a head: a Flax module with a loss and proposals. It needs no registration.

    python -m lofi_jax.main ... --config.head.channels=16 \\
        --config.head.name=tests.examples.tiny_head:TinyHead

`lofi_jax.models.protocols.Head` has all requirements.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from lofi_jax.detection.proposals import Proposals, Suppression


class TinyHead(nn.Module):
    """Predicts whether each snippet's centre is in an action, and the distances to its ends."""

    classifies: ClassVar[bool] = False  # the classifier of videos labels the proposals
    suppression: ClassVar[Suppression] = Suppression("gaussian", 0.5, 0.5, 0.0, 100)

    channels: int = 8

    @nn.compact
    def __call__(self, features: Float[Array, "B L D"]) -> dict[str, Array]:
        """Returns "action" logits (B, L), and "offsets" (B, L, 2) >= 0, in units of the video."""
        x = nn.relu(nn.Conv(self.channels, (3,))(features))
        return {"action": nn.Dense(1)(x)[..., 0], "offsets": nn.softplus(nn.Dense(2)(x))}

    def loss(self, outputs, batch, key):
        """Cross-entropy of "action", and the distance of "offsets" where there is one."""
        outputs = {name: x.astype(jnp.float32) for name, x in outputs.items()}
        length = outputs["action"].shape[1]
        centre = ((jnp.arange(length) + 0.5) / length)[:, None]
        start, end = batch["segments"][:, None, :, 0], batch["segments"][:, None, :, 1]
        inside = (start <= centre) & (centre < end) & batch["valid"][:, None]  # (B, L, M)
        first = jax.nn.one_hot(inside.argmax(axis=2), inside.shape[2]) * inside
        away = jnp.stack([centre - start, end - centre], axis=-1)  # (B, L, M, 2)
        wanted = jnp.einsum("blm,blmi->bli", first, away)
        positive = inside.any(axis=2).astype(jnp.float32)
        apart = jnp.abs(outputs["offsets"] - wanted).sum(axis=-1) * positive
        terms = {
            "action": optax.sigmoid_binary_cross_entropy(outputs["action"], positive).mean(),
            "offsets": apart.sum() / jnp.maximum(positive.sum(), 1),
        }
        return sum(terms.values()), terms

    def proposals(self, outputs):
        """One a snippet."""
        length = outputs["action"].shape[1]
        centre = (np.arange(length) + 0.5) / length
        scores = 1 / (1 + np.exp(-np.asarray(outputs["action"], np.float64)))
        start, end = centre - outputs["offsets"][..., 0], centre + outputs["offsets"][..., 1]
        segments = np.clip(np.stack([start, end], axis=-1), 0, 1)
        return [Proposals(*one) for one in zip(segments, scores, strict=True)]
