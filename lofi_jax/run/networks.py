"""Makes the networks that a config names."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lofi_jax import config as configs
from lofi_jax.config import Config
from lofi_jax.config.settings import Named
from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, HEADS
from lofi_jax.models.find import find
from lofi_jax.models.protocols import Encoder, Head
from lofi_jax.training import networks
from lofi_jax.training.networks import Chunks


def check(config: Config) -> None:
    """Makes all modules that the config names.

    Raises:
        UserError: options that one of them does not have.
    """
    make_encoder(config)
    for row in configs.rows_of(config):
        make_head(config, row.head, classes=1)


def make_encoder(config: Config) -> Encoder:
    """The encoder that the config names."""
    computed = {"dtype": jnp.dtype(config.dtype), "remat": config.joint.keep == "blocks"}
    return _make(ENCODERS, config.encoder, "config.encoder", **computed)


def make_named_encoder(settings: Named) -> Encoder:
    """An encoder by its name alone.

    Raises:
        UserError: no such class, or options that it does not have.
    """
    return _make(ENCODERS, settings, "encoder")


def make_head(config: Config, name: str, classes: int) -> Head:
    """A head by name, with the config's options. A head that classifies gets the number of
    classes.
    """
    settings = config.head
    if name != settings.name:
        settings = Named(name, config.other_heads.get(name, {}))
    classifies = find(HEADS, name, "config.head").classifies
    return _make(HEADS, settings, "config.head", **{"classes": classes} if classifies else {})


def classifies(name: str) -> bool:
    """Whether a head of this name labels its proposals."""
    return find(HEADS, name, "config.head").classifies


def _make(known: Mapping[str, Any], settings: Named, key: str, **options: Any) -> Any:
    options |= settings.options
    try:
        return find(known, settings.name, key)(**options)
    except TypeError as error:
        raise UserError(
            f"{key}: {settings.name} cannot be made with {options} ({error})"
        ) from error


def snippet_shape(config: Config) -> tuple[int, int, int, int]:
    """The shape (T, H, W, 3) of a snippet at full fidelity."""
    return (config.data.frames, config.data.height, config.data.width, 3)


def initial_encoder(config: Config, key: jax.Array) -> dict[str, Any]:
    """Fresh encoder variables: "params" and "batch_stats"."""
    return networks.initial_variables(make_encoder(config), snippet_shape(config), key)


def joint_chunks(config: Config) -> Chunks:
    """How much a device holds at once in joint training."""
    return Chunks(config.joint.chunk, config.joint.keep, config.joint.accumulate)
