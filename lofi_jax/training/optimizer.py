"""Optimizers and learning rate schedules, from their settings."""

import dataclasses
import math
from collections.abc import Hashable

import optax

from lofi_jax.errors import UserError

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "step")


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer's settings.

    Attributes:
        name: one of `OPTIMIZERS`.
        learning_rate: the highest.
        momentum: of sgd.
        weight_decay: of all parameters.
        schedule: one of `SCHEDULES`; "step": x `decay` every `decay_epochs`.
        warmup_epochs: of a linear warmup from zero.
        clip_norm: clips the gradient's global norm; 0: no clipping.
    """

    name: str = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    decay: float = 0.1
    decay_epochs: float = 5.0
    warmup_epochs: float = 0.0
    clip_norm: float = 0.0


def learning_rate(settings: Optimizer, steps: int, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate as a function of the step.

    Args:
        steps: total number.
        steps_per_epoch: the unit of `decay_epochs` and `warmup_epochs`.
    """
    peak, warmup = settings.learning_rate, round(settings.warmup_epochs * steps_per_epoch)
    if settings.schedule == "constant":
        schedule = optax.constant_schedule(peak)
    elif settings.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(peak, max(steps - warmup, 1))
    elif settings.schedule == "step":
        period = max(round(settings.decay_epochs * steps_per_epoch), 1)
        boundaries = {i * period: settings.decay for i in range(1, math.ceil(steps / period))}
        schedule = optax.piecewise_constant_schedule(peak, boundaries)
    else:
        raise UserError(
            f"unknown schedule {settings.schedule!r}: choose one of constant, cosine, step"
        )
    if not warmup:
        return schedule
    rise = optax.linear_schedule(0.0, peak, warmup)
    return optax.join_schedules([rise, schedule], [warmup])


def make(settings: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The gradient transformation of the settings at the given learning rate."""
    if settings.name == "sgd":
        decay = optax.add_decayed_weights(settings.weight_decay)
        step = optax.chain(decay, optax.sgd(schedule, settings.momentum or None))
    elif settings.name == "adam":
        decay = optax.add_decayed_weights(settings.weight_decay)
        step = optax.chain(decay, optax.adam(schedule))
    elif settings.name == "adamw":
        step = optax.adamw(schedule, weight_decay=settings.weight_decay)
    else:
        raise UserError(f"unknown optimizer {settings.name!r}: choose one of sgd, adam, adamw")
    if settings.clip_norm:
        step = optax.chain(optax.clip_by_global_norm(settings.clip_norm), step)
    return step


def make_joint(
    settings: Optimizer, schedule: optax.Schedule, encoder_scale: float
) -> optax.GradientTransformation:
    """One optimizer for {"encoder", "head"}; the encoder's learning rate is `encoder_scale` times
    the head's.

    The gradient's norm is clipped over both together.
    """
    inner = dataclasses.replace(settings, clip_norm=0.0)
    parts: dict[Hashable, optax.GradientTransformation] = {
        "encoder": make(inner, lambda step: encoder_scale * schedule(step)),
        "head": make(inner, schedule),
    }
    step = optax.partition(parts, {"encoder": "encoder", "head": "head"})
    if settings.clip_norm:
        step = optax.chain(optax.clip_by_global_norm(settings.clip_norm), step)
    return step
