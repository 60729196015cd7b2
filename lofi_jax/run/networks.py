"""Makes the networks that a config names."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from lofi_jax import config as configs
from lofi_jax.config import Config
from lofi_jax.config.settings import Joint, Named
from lofi_jax.errors import UserError, as_usage, one_line
from lofi_jax.fidelity import Fidelity
from lofi_jax.models import ENCODERS, HEADS, windows
from lofi_jax.models.find import find
from lofi_jax.models.protocols import ADAPTERS, BACKBONES, Encoder, Head, WindowEncoder
from lofi_jax.training import networks
from lofi_jax.training.networks import Chunks
from lofi_jax.training.optimizer import Group


@as_usage()
def check(config: Config) -> None:
    """Makes all modules that the config names, and traces them on the shapes that they will see.

    Raises:
        UserError: options that one of them does not have, or that do not fit together, with the
            fidelities or, of an encoder of windows, with other keys.
    """
    table, full = configs.rows_of(config), configs.full_fidelity(config)
    encoder, width = make_encoder(config), 0
    if isinstance(encoder, WindowEncoder):
        _check_windows(config, encoder)
    if any(row.start != "external" for row in table):
        shape = snippet_shape(config)
        with naming("config.encoder", config.encoder.name, f"snippets of {shape}"):
            width = networks.feature_width(encoder, shape)
    inputs: dict[tuple[str, int, int], None] = {}
    for row in table:
        make_head(config, row.head, classes=1)
        channels = width * len(row.start.split("+"))
        lows = configs.fidelities(config, row.fidelity) if row.start == "lofi" else []
        if "external" not in row.start:
            inputs |= dict.fromkeys((row.head, at.snippets, channels) for at in (full, *lows))
    for name, length, channels in inputs:
        features = jax.ShapeDtypeStruct((1, length, channels), jnp.float32)
        with naming("config.head", name, f"{length} snippets of {channels} channels"):
            head = make_head(config, name, classes=1)
            jax.eval_shape(head.init, jax.eval_shape(lambda: jax.random.key(0)), features)


@contextlib.contextmanager
def naming(key: str, name: str, what: str) -> Iterator[None]:
    """Turns whatever a module raises on inputs that do not suit its options into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{key}: {name} with these options cannot work on {what} ({one_line(said)})"
        ) from error


def make_encoder(config: Config) -> Encoder:
    """The encoder that the config names."""
    computed = {"dtype": jnp.dtype(config.dtype), "remat": config.joint.keep == "blocks"}
    return _make(ENCODERS, config.encoder, "config.encoder", Encoder, **computed)


def make_encoder_of(config: Config, start: str) -> Encoder:
    """The encoder as one of the table's starts has it: adapters come with joint training only, and
    before it the backbone trains.
    """
    encoder = make_encoder(config)
    if start.startswith("lofi") or not isinstance(encoder, WindowEncoder):
        return encoder
    return encoder.clone(adapter="none", backbone="trained")


def make_named_encoder(settings: Named) -> Encoder:
    """An encoder by its name alone.

    Raises:
        UserError: no such class, or options that it does not have.
    """
    return _make(ENCODERS, settings, "encoder", Encoder)


def make_head(config: Config, name: str, classes: int) -> Head:
    """A head by name, with the config's options. A head that classifies gets the number of
    classes.
    """
    settings = config.head
    if name != settings.name:
        settings = Named(name, config.other_heads.get(name, {}))
    needed = {"classes": classes} if classifies(name) else {}
    return _make(HEADS, settings, "config.head", Head, **needed)


def classifies(name: str) -> bool:
    """Whether a head of this name labels its proposals."""
    return find(HEADS, name, "config.head", Head).classifies


def _make(
    known: Mapping[str, Any], settings: Named, key: str, protocol: type, **options: Any
) -> Any:
    options |= settings.options
    made = find(known, settings.name, key, protocol)
    try:
        return made(**options)
    except Exception as error:
        raise UserError(
            f"{key}: {settings.name} cannot be made with {one_line(str(options))}"
            f" ({one_line(str(error))})"
        ) from error


def pieces(config: Config, at: Fidelity) -> int:
    """What chunks count in a video at a fidelity; see `windows.pieces`."""
    return windows.pieces(make_encoder(config), at.snippets, config.data.frames)


def _check_windows(config: Config, encoder: WindowEncoder) -> None:
    """Checks an encoder of windows against the options that it has to go with."""
    data, table = config.data, configs.rows_of(config)
    for key, value, known in (
        ("adapter", encoder.adapter, ADAPTERS),
        ("backbone", encoder.backbone, BACKBONES),
    ):
        if value not in known:
            raise UserError(f"config.encoder.{key} is {value!r}: choose one of {', '.join(known)}")
    if encoder.adapter == "side" and encoder.backbone != "frozen":
        raise UserError(
            "config.encoder.adapter is 'side', which has no gradient in the backbone: set"
            " config.encoder.backbone to frozen"
        )
    if config.mesh.snippet > 1:
        raise UserError(
            f"config.mesh.snippet is {config.mesh.snippet}, but {config.encoder.name} mixes time"
            " over a whole window, which cannot be spread over devices: set it to 1"
        )
    if config.joint.keep == "convolutions":
        raise UserError(
            f"config.joint.keep is 'convolutions', of which {config.encoder.name} has none: set it"
            " to all or blocks"
        )
    if data.stride and data.frames > 1:
        raise UserError(
            f"config.data.stride is {data.stride}, but {config.encoder.name} sees the snippets of a"
            " window as one clip, whose frames must be equally spaced: set it to 0"
        )
    if all(row.start == "external" for row in table):
        return
    wanted = [configs.full_fidelity(config)]
    for row in table:
        if row.start == "lofi":
            wanted += configs.fidelities(config, row.fidelity)
    for at in wanted:
        windows.check(encoder, at.snippets * data.frames, at.height, at.width)


def snippet_shape(config: Config) -> tuple[int, int, int, int]:
    """The shape (T, H, W, 3) of a snippet at full fidelity."""
    return (config.data.frames, config.data.height, config.data.width, 3)


def initial_encoder(config: Config, key: jax.Array, start: str = "lofi") -> dict[str, Any]:
    """Fresh encoder variables, "params" and "batch_stats", of `make_encoder_of` a start."""
    return networks.initial_variables(make_encoder_of(config, start), snippet_shape(config), key)


def joint_settings(config: Config) -> Joint:
    """The settings of joint training; what the encoder says is frozen is, whatever the optimizer
    says.
    """
    encoder, settings = make_encoder(config), config.joint
    if not isinstance(encoder, WindowEncoder) or encoder.backbone == "trained":
        return settings
    still = dataclasses.replace(settings.optimizer, backbone=Group(learning_rate_scale=0.0))
    return dataclasses.replace(settings, optimizer=still)


def joint_chunks(config: Config) -> Chunks:
    """How much a device holds at once in joint training."""
    return Chunks(config.joint.chunk, config.joint.keep, config.joint.accumulate)
