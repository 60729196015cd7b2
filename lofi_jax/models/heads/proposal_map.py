"""The shared parts of G-TAD and BMN: the layers on aligned features, the loss and the proposals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from lofi_jax.arrays import AnyArray
from lofi_jax.detection import losses, targets
from lofi_jax.detection.proposals import Proposals, dense_proposals
from lofi_jax.models.heads.alignment import AlignedDense

Outputs = Mapping[str, Array]

OUTPUTS = ("start", "end", "regression", "classification")


class Rules(NamedTuple):
    """Differences between the published codes of G-TAD and BMN in training and inference.

    Attributes:
        centre: of snippet 0 for the labels of the boundaries; see `targets.boundary_probabilities`.
        classification, regression: weights of these terms of the loss.
        extra: positives and negatives that the classification term adds to its counts.
        select, weigh: how proposals are chosen and scored; see `dense_proposals`.
    """

    centre: float
    classification: float
    regression: float
    extra: float
    select: bool
    weigh: bool


class Map(NamedTuple):
    """The cells of N anchors on a map: rows and columns (N,) int, and the map's shape."""

    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]


def confidences(sampled, widths: Sequence[int], cells: Map | None) -> dict[str, Array]:
    """The layers on the aligned features, to be called in a head's compact method ("align", "map1",
    ..., "map_out").

    Args:
        sampled: what `AlignedDense` takes; one more anchor than there are, the empty cell, where
            `cells` is given.
        widths: of the layers; the first two see one anchor each.
        cells: the map over which the layers from the third on are 3 x 3 convolutions. None: they
            see one anchor too. The cells without an anchor have values as all others do, which
            reach the anchors beside them: public weights depend on it.

    Returns:
        Logits (B, N) of each anchor's tIoU, "regression", and of whether it is right,
        "classification".
    """
    y = nn.relu(AlignedDense(widths[0], name="align")(*sampled))
    y = nn.relu(nn.Dense(widths[1], name="map1")(y))
    if cells is None:
        for i, width in enumerate(widths[2:], start=2):
            y = nn.relu(nn.Dense(width, name=f"map{i}")(y))
    else:
        anchor = np.full(cells.shape, len(cells.rows))
        anchor[cells.rows, cells.columns] = np.arange(len(cells.rows))
        y = y[:, anchor]
        for i, width in enumerate(widths[2:], start=2):
            y = nn.relu(nn.Conv(width, (3, 3), padding=1, name=f"map{i}")(y))
        y = y[:, cells.rows, cells.columns]
    maps = nn.Dense(2, name="map_out")(y)
    return {"regression": maps[..., 0], "classification": maps[..., 1]}


def loss(
    outputs: Outputs,
    batch: Mapping[str, AnyArray],
    key: PRNGKeyArray,
    anchors: np.ndarray,
    rules: Rules,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """G-TAD's loss (section 3.4), which is BMN's too, and its terms; in float32.

    Args:
        outputs: logits "start" and "end" (B, L), "regression" and "classification" (B, N).
        batch: "segments" (B, M, 2) float in units of the video, and "valid" (B, M) bool.
        key: draws the anchors of the regression term.
        anchors: (N, 2) int, in snippets.
        rules: of the code to follow.
    """
    outputs = {name: x.astype(jnp.float32) for name, x in outputs.items()}
    segments, valid = batch["segments"], batch["valid"]
    snippets = outputs["start"].shape[1]
    cells = jnp.asarray(anchors / snippets, jnp.float32)
    ious = jax.vmap(lambda s, v: targets.anchor_ious(cells, s, v))(segments, valid)

    def boundary(i):
        at = jax.vmap(
            lambda s, v: targets.boundary_probabilities(s[:, i], v, snippets, rules.centre)
        )
        return at(segments, valid)

    regression = jax.nn.sigmoid(outputs["regression"])
    terms = {
        "start": losses.balanced_bce(outputs["start"], boundary(0)),
        "end": losses.balanced_bce(outputs["end"], boundary(1)),
        "classification": rules.classification
        * losses.balanced_bce(outputs["classification"], ious, 0.9, rules.extra),
        "regression": rules.regression * losses.sampled_mse(regression, ious, key),
    }
    return sum(terms.values(), jnp.float32(0)), terms


def proposals(
    outputs: Mapping[str, np.ndarray], anchors: np.ndarray, rules: Rules
) -> list[Proposals]:
    """Every video's proposals, from logits as NumPy arrays; see `dense_proposals`."""
    probability = {
        name: 1 / (1 + np.exp(-np.asarray(x, np.float64))) for name, x in outputs.items()
    }
    confidence = probability["regression"] * probability["classification"]
    return [
        dense_proposals(anchors, start, end, score, rules.select, rules.weigh)
        for start, end, score in zip(
            probability["start"], probability["end"], confidence, strict=True
        )
    ]
