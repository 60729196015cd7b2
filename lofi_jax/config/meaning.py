"""What a config's keys mean, as the types that the rest works with."""

import numpy as np
from ml_collections import ConfigDict

from lofi_jax import fidelity, rows
from lofi_jax.config.keys import OWN
from lofi_jax.detection import thresholds
from lofi_jax.detection.proposals import Suppression
from lofi_jax.models import HEADS


def rows_of(config: ConfigDict) -> list[rows.Row]:
    """The rows of the table."""
    return rows.parse(config.rows, config.joint.fidelity, config.head.name, tuple(HEADS))


def tious(config: ConfigDict) -> np.ndarray:
    """The thresholds (K,) that the mAP is averaged over."""
    text = config.evaluate.tious or thresholds.of_dataset(config.dataset)
    return thresholds.parse(text, "config.evaluate.tious")


def suppression(config: ConfigDict, head: str) -> Suppression:
    """How overlapping proposals of a head, by name, are suppressed."""
    settings = config.detect
    if settings.nms == OWN:
        return HEADS[head].suppression._replace(vote=settings.vote, top_k=settings.top_k)
    return Suppression(
        settings.nms,
        settings.nms_sigma,
        settings.nms_threshold,
        settings.vote,
        settings.top_k,
    )


def full_fidelity(config: ConfigDict) -> fidelity.Fidelity:
    """The resolution of a video, or of a window of it, as prepared."""
    snippets = config.data.window or config.data.snippets
    return fidelity.Fidelity(snippets, config.data.height, config.data.width)


def factors(config: ConfigDict, **changes) -> fidelity.Factors:
    """By how much the config's low fidelities divide the full one, but for the given changes."""
    return fidelity.Factors(**{**config.joint.factors, **changes})
