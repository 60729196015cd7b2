"""What a config's keys mean, as the types that the rest works with."""

import dataclasses

import numpy as np

from lofi_jax import fidelity
from lofi_jax.config import rows
from lofi_jax.config.settings import OWN, Config
from lofi_jax.detection import thresholds
from lofi_jax.detection.proposals import Suppression
from lofi_jax.models import HEADS
from lofi_jax.models.find import find
from lofi_jax.models.protocols import Head


def rows_of(config: Config) -> list[rows.Row]:
    """The rows of the table."""
    return rows.parse(config.rows, config.joint.fidelity, config.head.name, tuple(HEADS))


def tious(config: Config) -> np.ndarray:
    """The thresholds (K,) that the mAP is averaged over."""
    text = config.evaluate.tious or thresholds.of_dataset(config.dataset)
    return thresholds.parse(text, "config.evaluate.tious")


def suppression(config: Config, head: str) -> Suppression:
    """How overlapping proposals of a head, by name, are suppressed."""
    settings = config.detect
    if settings.nms == OWN:
        return find(HEADS, head, "config.head", Head).suppression._replace(
            vote=settings.vote,
            top_k=settings.top_k,
            multiclass=settings.multiclass,
            vote_by=settings.vote_by,
        )
    return Suppression(
        settings.nms,
        settings.nms_sigma,
        settings.nms_threshold,
        settings.vote,
        settings.top_k,
        min_score=settings.min_score,
        multiclass=settings.multiclass,
        vote_by=settings.vote_by,
    )


def full_fidelity(config: Config) -> fidelity.Fidelity:
    """The resolution of a video, or of a window of it, as prepared."""
    snippets = config.data.window or config.data.snippets
    return fidelity.Fidelity(snippets, config.data.height, config.data.width)


def fidelities(config: Config, name: str) -> list[fidelity.Fidelity]:
    """The fidelities that a schedule goes through."""
    factors = dataclasses.replace(config.joint.factors, short_cycle=1, long_cycle=1)
    at = fidelity.schedule(name, full_fidelity(config), factors, 1)
    return list(dict.fromkeys(at(step) for step in range(3)))
