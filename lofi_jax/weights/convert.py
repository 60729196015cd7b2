"""Converts a public checkpoint to one of ours."""

import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import unflatten_dict

from lofi_jax.errors import UsageError, UserError, first, one_line
from lofi_jax.models import ENCODERS, HEADS, windows
from lofi_jax.models.protocols import by_path
from lofi_jax.training.checkpoints import save_state, try_to_save
from lofi_jax.weights import (
    actionformer_layout,
    assign,
    checkpoint_files,
    encoder_layouts,
    head_layouts,
    stacked,
    tridet_layout,
    videomae_layout,
    vjepa_layout,
)
from lofi_jax.weights.assign import Fit

# The encoders that leave no size open.
ENCODER_NAMES = tuple(
    name for name, made in ENCODERS.items() if isinstance(made, functools.partial)
)
# What tells a head's options from its arrays, its layout from its options, and its first layer with
# its groups.
_HEADS = {
    "gtad": (
        head_layouts.gtad_options,
        lambda options: head_layouts.gtad_layout(sum(options["bins"])),
        ("backbone1.0", 4),
    ),
    "bmn": (head_layouts.bmn_options, lambda options: head_layouts.bmn_layout, ("x_1d_b.0", 4)),
    **{
        name: (
            functools.partial(actionformer_layout.options, agnostic=not HEADS[name].classifies),
            lambda options: actionformer_layout.layout,
            ("backbone.embd.0.conv", 1),
        )
        for name in ("actionformer", "actionformer_agnostic")
    },
    **{
        name: (
            functools.partial(tridet_layout.options, agnostic=not HEADS[name].classifies),
            lambda options: tridet_layout.layout,
            ("backbone.embd.0.conv", 1),
        )
        for name in ("tridet", "tridet_agnostic")
    },
}
HEAD_NAMES = tuple(_HEADS)
# What tells an encoder's options from its arrays.
_ENCODER_OPTIONS = {"vjepa2_large": vjepa_layout.options}

Path = str | pathlib.Path
Arrays = Mapping[str, np.ndarray]


def encoder(source: Path, name: str, output: Path) -> str:
    """Writes the encoder in a public checkpoint as a checkpoint that every stage can start from.

    Args:
        source: a file that `checkpoint_files.read` reads.
        name: one of `ENCODER_NAMES`.
        output: the folder to write.

    Returns:
        A message about what was used and what was not.

    Raises:
        UserError: an unknown name, a file that cannot be read or holds another network, or a folder
            that cannot be written or holds a checkpoint.
    """
    _check(name, "encoder", ENCODER_NAMES)
    try_to_save(output)
    arrays = videomae_layout.joined(checkpoint_files.read(source))
    if videomae_layout.is_pretraining(arrays):
        raise UserError(
            f"{source}: is of VideoMAE's pre-training, which learns no classes: give the checkpoint"
            " that was fine-tuned on Kinetics-400 after it"
        )
    fit = _fit_encoder(arrays, name)
    if fit.problems:
        fitting = [other for other in ENCODER_NAMES if not _fit_encoder(arrays, other).problems]
        advice = f"use --encoder={fitting[0]}" if fitting else "give a file of that network"
        raise _misfit(source, name, fit, f"; {advice}")
    variables = unflatten_dict(stacked.together(fit.variables), sep=".")
    save_state(output, {"encoder": variables["params"]}, variables.get("batch_stats", {}))
    settings = _settings(_options(arrays, name))
    return "\n".join(
        [
            f"{source}: {fit.layout}, for {name}",
            *([f"config.encoder: {settings}"] if settings else []),
            *_account(fit),
            _place(output),
        ]
    )


def head(source: Path, name: str, output: Path) -> str:
    """Writes the head in a public checkpoint as one that `config.head_checkpoint` can name.

    Args, returns and raises as `encoder`; the name is one of `HEAD_NAMES`. The message includes the
    head's options.
    """
    _check(name, "head", HEAD_NAMES)
    try_to_save(output)
    arrays = checkpoint_files.read(source)
    tell_options, tell_layout, (first_layer, groups) = _HEADS[name]
    try:
        options = tell_options(arrays)
    except UserError as error:
        raise UserError(f"{source}: holds no {name}: {error}") from error
    layout = tell_layout(options)
    width = groups * head_layouts.shape(arrays, first_layer)[1]
    features = jax.ShapeDtypeStruct((1, 16, width), jnp.float32)
    try:
        shapes = _shapes(HEADS[name](**options), features)
    except Exception as error:  # What sizes that do not go together lead to has no one type.
        said = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{source}: holds no {name}: the sizes do not fit ({said})") from error
    fit = assign.fit(arrays, shapes, {"its authors' layout": layout})
    if fit.problems:
        raise _misfit(source, name, fit)
    params = unflatten_dict(fit.variables, sep=".")["params"]
    save_state(output, {"head": params}, {})
    classes = options.pop("classes", 1)
    of_classes = f" and {classes} classes, in the order of their names" if classes > 1 else ""
    return "\n".join(
        [
            f"{source}: {fit.layout}, for features of {width} channels{of_classes}",
            f"config.head: {_settings(options)}",
            *_account(fit),
            _place(output),
        ]
    )


def _check(name: str, kind: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise UsageError(f"no public {kind} is named {name!r}: choose one of {', '.join(names)}")


def _fit_encoder(arrays: Arrays, name: str) -> Fit:
    network = ENCODERS[name](**_options(arrays, name))
    shape = windows.example(network, (8, 112, 112, 3))
    frames = jax.ShapeDtypeStruct((1, *shape), jnp.uint8)
    shapes = stacked.apart(_shapes(network, frames))
    return assign.fit(arrays, shapes, encoder_layouts.ENCODER_LAYOUTS)


def _options(arrays: Arrays, name: str) -> dict[str, str]:
    """The arguments of an encoder that its arrays tell."""
    return _ENCODER_OPTIONS[name](arrays) if name in _ENCODER_OPTIONS else {}


def _settings(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())


@functools.lru_cache(maxsize=64)  # a file that does not fit is tried on every encoder
def _shapes(module: nn.Module, inputs: jax.ShapeDtypeStruct) -> dict[str, tuple[int, ...]]:
    """The shapes of a module's variables by path, the parameters first."""
    variables = by_path(jax.eval_shape(module.init, jax.random.key(0), inputs))
    by_kind = sorted(variables, key=lambda path: not path.startswith("params."))
    return {path: variables[path].shape for path in by_kind}


def _misfit(source: Path, name: str, fit: Fit, advice: str = "") -> UserError:
    problems = "; ".join(fit.problems)
    return UserError(f"{source}: holds no {name} as {fit.layout}; {problems}{advice}")


def _account(fit: Fit) -> list[str]:
    numbers = sum(array.size for array in fit.variables.values())
    return [
        f"used: {len(fit.used)} arrays of {numbers:,} numbers ({first(fit.used)})",
        *(f"ignored: {len(keys)} of {what} ({first(keys)})" for what, keys in fit.ignored.items()),
        "missing: none",
    ]


def _place(output: Path) -> str:
    return str(pathlib.Path(output).absolute())
