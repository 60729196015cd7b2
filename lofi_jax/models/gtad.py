"""G-TAD: sub-graph localization for temporal action detection (arXiv 1911.11462), with the folded alignment.

A head maps a video's features (B, L, C) to raw outputs, and offers `loss` and `proposals` on them.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from lofi_jax.detection import losses, targets
from lofi_jax.detection.proposals import dense_proposals
from lofi_jax.models.alignment import AlignedDense, anchors

Outputs = Mapping[str, Array]


def neighbours(x: Float[Array, "B L C"], k: int) -> Int[Array, "B L k"]:
    """The k snippets nearest to each in feature space, itself among them."""
    squared = jnp.sum(jnp.square(x), axis=-1)
    products = jnp.einsum("bic,bjc->bij", x, x)
    distance = squared[:, :, None] + squared[:, None, :] - 2 * products
    return jax.lax.top_k(-jax.lax.stop_gradient(distance), k)[1]


def gather(x: Float[Array, "B L C"], index: Int[Array, "B L k"]) -> Float[Array, "B L k C"]:
    """The features of the given snippets."""
    return jax.vmap(lambda features, i: features[i])(x, index)


class GCNeXt(nn.Module):
    """A graph convolution block with a temporal and a semantic stream beside the identity (section 3.2).

    Attributes:
        width: channels between the 1 x 1 layers, `groups` times the width of one group.
        groups: cardinality of the grouped layers.
        k: semantic neighbours, the snippet itself included.
    """

    width: int = 128
    groups: int = 32
    k: int = 3

    @nn.compact
    def __call__(self, x: Float[Array, "B L C"]) -> Float[Array, "B L C"]:
        channels = x.shape[-1]
        t = nn.relu(nn.Dense(self.width, name="temporal1")(x))
        t = nn.Conv(self.width, (3,), padding=1, feature_group_count=self.groups, name="temporal2")(
            t
        )
        t = nn.Dense(channels, name="temporal3")(nn.relu(t))

        near = gather(x, neighbours(x, min(self.k, x.shape[1])))
        pair = jnp.concatenate([near, jnp.broadcast_to(x[:, :, None], near.shape)], axis=-1)
        s = nn.relu(nn.Dense(self.width, name="semantic1")(pair))
        s = nn.Conv(self.width, (1, 1), feature_group_count=self.groups, name="semantic2")(s)
        s = nn.Dense(channels, name="semantic3")(nn.relu(s))
        return nn.relu(x + t + s.max(axis=2))


class GTAD(nn.Module):
    """The head. Defaults are the paper's ActivityNet settings.

    Attributes:
        channels: of the 1D features.
        widths: of the four layers on each anchor's aligned features.
        bins: sampled inside the anchor, and for its context of semantic neighbours.
        groups, group_width: of the GCNeXt blocks; the first convolution has 4 groups.
        k: semantic neighbours.
        actionness: also predict, and learn from, whether each snippet lies in an action. Not in G-TAD.
    """

    channels: int = 256
    widths: tuple[int, ...] = (512, 128, 128, 128)
    bins: tuple[int, int] = (32, 4)
    groups: int = 32
    group_width: int = 4
    k: int = 3
    actionness: bool = False

    @nn.compact
    def __call__(self, features: Float[Array, "B L D"]) -> dict[str, Array]:
        """Returns logits: "start", "end" (and "actionness") (B, L), "regression" and "classification" (B, anchors)."""

        def block(name):
            return GCNeXt(self.groups * self.group_width, self.groups, self.k, name=name)

        def branch(x, name):
            return nn.Dense(1, name=f"{name}_out")(block(f"{name}_gcn")(x))[..., 0]

        x = nn.Conv(self.channels, (3,), padding=1, feature_group_count=4, name="base")(features)
        x = block("base_gcn")(nn.relu(x))
        names = ("start", "end", "actionness") if self.actionness else ("start", "end")
        outputs = {name: branch(x, name) for name in names}

        x = block("proposal_gcn")(x)
        context = gather(x, neighbours(x, min(self.k, x.shape[1]))).mean(axis=2)
        y = nn.relu(AlignedDense(self.widths[0], self.bins, name="align")(x, context))
        for i, width in enumerate(self.widths[1:]):
            y = nn.relu(nn.Dense(width, name=f"map{i + 1}")(y))
        maps = nn.Dense(2, name="map_out")(y)
        return outputs | {"regression": maps[..., 0], "classification": maps[..., 1]}


def loss(
    outputs: Outputs, batch: Mapping[str, Array], key: PRNGKeyArray
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """G-TAD's loss (section 3.4) and its terms.

    Args:
        outputs: of `GTAD`.
        batch: "segments" (B, M, 2) float in units of the video, and "valid" (B, M) bool.
        key: draws the anchors of the regression term.
    """
    segments, valid = batch["segments"], batch["valid"]
    snippets = outputs["start"].shape[1]
    cells = jnp.asarray(anchors(snippets) / snippets, jnp.float32)
    ious = jax.vmap(lambda s, v: targets.anchor_ious(cells, s, v))(segments, valid)

    def boundary(i):
        at = jax.vmap(lambda s, v: targets.boundary_probabilities(s[:, i], v, snippets))
        return at(segments, valid)

    regression = jax.nn.sigmoid(outputs["regression"])
    terms = {
        "start": losses.balanced_bce(outputs["start"], boundary(0)),
        "end": losses.balanced_bce(outputs["end"], boundary(1)),
        "classification": losses.balanced_bce(outputs["classification"], ious, threshold=0.9),
        "regression": 10.0 * losses.sampled_mse(regression, ious, key),
    }
    if "actionness" in outputs:
        inside = jax.vmap(lambda s, v: targets.actionness(s, v, snippets))(segments, valid)
        terms["actionness"] = losses.balanced_bce(outputs["actionness"], inside)
    return sum(terms.values()), terms


def proposals(
    outputs: Mapping[str, np.ndarray], use_boundaries: bool = True
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every video's proposals: segments (P, 2) in units of the video and scores (P,).

    Args:
        outputs: of `GTAD`, as NumPy arrays.
        use_boundaries: score by start x end x both map values, else by the map values alone.
    """
    probability = {
        name: 1 / (1 + np.exp(-np.asarray(x, np.float64))) for name, x in outputs.items()
    }
    cells = anchors(outputs["start"].shape[1])
    confidence = probability["regression"] * probability["classification"]
    return [
        dense_proposals(cells, start, end, score, use_boundaries)
        for start, end, score in zip(
            probability["start"], probability["end"], confidence, strict=True
        )
    ]
