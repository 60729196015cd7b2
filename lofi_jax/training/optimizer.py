"""Optimizers and learning rate schedules, from their settings."""

import dataclasses
import math
from collections.abc import Hashable
from typing import Any

import jax
import optax

from lofi_jax.errors import UserError
from lofi_jax.training.groups import GROUPS, group_of

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "step")


@dataclasses.dataclass(frozen=True)
class Group:
    """How the parameters of a group differ; see `groups.group_of`.

    Attributes:
        learning_rate_scale: their learning rate over the optimizer's; 0: they are frozen, have no
            gradient and take no optimizer memory.
        weight_decay_scale: their weight decay over the optimizer's.
    """

    learning_rate_scale: float = 1.0
    weight_decay_scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """An optimizer's settings.

    Attributes:
        name: one of `OPTIMIZERS`.
        learning_rate: the highest.
        momentum: of sgd.
        weight_decay: of all parameters.
        decay_vectors: False: no weight decay of what has one axis or none: biases, and the scales
            of normalisations.
        schedule: one of `SCHEDULES`; "step": x `decay` every `decay_epochs`.
        cosine_epochs: after which a cosine reaches zero, warmup included; 0: as long as the
            training.
        warmup_epochs: of a linear warmup from zero.
        clip_norm: clips the gradient's global norm, over all groups together; 0: no clipping.
        backbone, adapters, head: the groups.
    """

    name: str = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    weight_decay: float = 1e-4
    decay_vectors: bool = True
    schedule: str = "cosine"
    decay: float = 0.1
    decay_epochs: float = 5.0
    cosine_epochs: float = 0.0
    warmup_epochs: float = 0.0
    clip_norm: float = 0.0
    backbone: Group = Group()
    adapters: Group = Group()
    head: Group = Group()

    @property
    def frozen(self) -> tuple[str, ...]:
        """The frozen groups."""
        return tuple(name for name in GROUPS if getattr(self, name).learning_rate_scale == 0)


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
        length = round(settings.cosine_epochs * steps_per_epoch) or steps
        schedule = optax.cosine_decay_schedule(peak, max(length - warmup, 1))
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


def make(
    settings: Optimizer, schedule: optax.Schedule, encoder_scale: float = 1.0
) -> optax.GradientTransformation:
    """The gradient transformation of the settings, for the parameters that are not frozen.

    Args:
        schedule: the learning rate as a function of the step.
        encoder_scale: the learning rate of an encoder, its adapters included, over the head's.
    """
    frozen, parts = settings.frozen, {}
    for group in GROUPS:
        of_encoder = 1.0 if group == "head" else encoder_scale
        scales = getattr(settings, group)
        rate = of_encoder * scales.learning_rate_scale
        parts[group] = rate, scales.weight_decay_scale
        parts[f"{group} vectors"] = rate, scales.weight_decay_scale * settings.decay_vectors
    if len(set(parts.values())) == 1:
        step = _one(settings, schedule, *parts["head"])
    else:
        transforms: dict[Hashable, optax.GradientTransformation] = {
            name: _one(settings, schedule, *scales)
            for name, scales in parts.items()
            if name.removesuffix(" vectors") not in frozen
        }
        step = optax.partition(transforms, _labels)
    if settings.clip_norm:
        step = optax.chain(optax.clip_by_global_norm(settings.clip_norm), step)
    return step


def _labels(params: Any) -> Any:
    """The part of the optimizer that each parameter belongs to."""

    def label(path, x):
        names = [key.key for key in path]
        group = group_of(names)
        # Those of equal layers may be stacked.
        vector = x.ndim < 2 or names[-1].endswith(("bias", "scale"))
        return f"{group} vectors" if vector else group

    return jax.tree_util.tree_map_with_path(label, params)


def _one(
    settings: Optimizer, schedule: optax.Schedule, rate_scale: float, decay_scale: float
) -> optax.GradientTransformation:
    """The optimizer of parameters that are all treated alike."""
    weight_decay = decay_scale * settings.weight_decay

    def rate(step):
        return rate_scale * schedule(step)

    if settings.name == "sgd":
        decay = optax.add_decayed_weights(weight_decay)
        return optax.chain(decay, optax.sgd(rate, settings.momentum or None))
    if settings.name == "adam":
        return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(rate))
    if settings.name == "adamw":
        return optax.adamw(rate, weight_decay=weight_decay)
    raise UserError(f"unknown optimizer {settings.name!r}: choose one of sgd, adam, adamw")
