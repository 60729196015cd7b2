"""A public checkpoint made one of ours."""

import functools
import pathlib

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from lofi_jax.data import weights
from lofi_jax.data.annotations import first
from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS
from lofi_jax.training.checkpoints import save_state

# The others leave their sizes open.
NAMES = tuple(name for name, made in ENCODERS.items() if isinstance(made, functools.partial))


def encoder(source: str | pathlib.Path, name: str, output: str | pathlib.Path) -> str:
    """Writes the encoder in a public checkpoint as a checkpoint that every stage can start from.

    Args:
        source: a file that `weights.read` reads.
        name: one of `NAMES`.
        output: the folder to write.

    Returns:
        What was used and what was not, for the user.

    Raises:
        UserError: an unknown name, a file that cannot be read or holds another network, or a folder that cannot be
            written or holds a checkpoint.
    """
    if name not in NAMES:
        raise UserError(f"no encoder is named {name!r}: choose one of {', '.join(NAMES)}")
    arrays = weights.read(source)
    fit = _fit(arrays, name)
    if fit.problems:
        fitting = [other for other in NAMES if not _fit(arrays, other).problems]
        advice = f": it is a {fitting[0]}" if fitting else ""
        raise UserError(f"{source}: no {name} as {fit.layout}: {'; '.join(fit.problems)}{advice}")
    variables = unflatten_dict(fit.variables, sep=".")
    save_state(output, {"encoder": variables["params"]}, variables["batch_stats"])
    numbers = sum(array.size for array in fit.variables.values())
    return "\n".join(
        [
            f"{source}: {fit.layout} layout, for {name}",
            f"used: {len(fit.used)} arrays of {numbers:,} numbers ({first(fit.used)})",
            *(
                f"ignored: {len(keys)} of {what} ({first(keys)})"
                for what, keys in fit.ignored.items()
            ),
            "missing: none",
            str(pathlib.Path(output).absolute()),
        ]
    )


def _fit(arrays, name: str) -> weights.Fit:
    frames = jax.ShapeDtypeStruct((1, 8, 112, 112, 3), jnp.uint8)
    variables = jax.eval_shape(ENCODERS[name]().init, jax.random.key(0), frames)
    shapes = {path: leaf.shape for path, leaf in flatten_dict(variables, sep=".").items()}
    return weights.fit(arrays, shapes, weights.ENCODER_LAYOUTS)
