"""A trained encoder by itself: frames in, features out."""

import os
import pathlib
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from lofi_jax.arrays import AnyArray
from lofi_jax.config.settings import Named
from lofi_jax.errors import UserError
from lofi_jax.models import ENCODERS, windows
from lofi_jax.models.protocols import Encoder, WindowEncoder
from lofi_jax.run import checkpoints, networks
from lofi_jax.run.start import stored_config
from lofi_jax.run.workdir import Workdir
from lofi_jax.training import folders

_SNIPPET = (8, 224, 224, 3)


class FrameEncoder:
    """Maps snippets of frames, uint8 RGB (B, T, H, W, 3), to features (B, C) float32, or windows of
    frames to (B, n, C), on JAX's default device.

    Attributes:
        network: the Flax module.
        variables: its "params" and "batch_stats".
    """

    def __init__(self, network: Encoder, variables: dict[str, Any]):
        self.network, self.variables = network, variables
        self._apply = jax.jit(network.apply)

    def __call__(self, frames: AnyArray) -> Float[Array, "B *n C"]:
        """Takes uint8 (B, T, H, W, 3); raises ValueError for other shapes or dtypes, or none of
        some axis, and UserError where an encoder of windows cannot cut them into its clips or
        patches.
        """
        shape, dtype = np.shape(frames), getattr(frames, "dtype", None)
        if len(shape) != 5 or shape[-1] != 3 or dtype != np.uint8:
            raise ValueError(f"frames are uint8 (B, T, H, W, 3), not {dtype} {shape}")
        if not all(shape):
            raise ValueError(f"no frames: their shape is {shape}")
        if isinstance(self.network, WindowEncoder):
            windows.check(self.network, *shape[1:4])
        return self._apply(self.variables, frames)


def load_encoder(
    checkpoint: str | os.PathLike, encoder: str | Encoder = "", **options: Any
) -> FrameEncoder:
    """Loads the encoder from a checkpoint: of stage 1, of joint training, or from
    `lofi_jax.convert`.

        encode = lofi_jax.load_encoder("runs/synthetic/encoders/lofi_temporal_gtad")
        encode = lofi_jax.load_encoder("icp", encoder="tsm_resnet18")
        features = encode(frames)

    Args:
        checkpoint: the folder of a training or of its checkpoints, or one checkpoint in it.
        encoder: the network: one of `models.ENCODERS`, "package.module:Class", or the module
            itself. Default: as in the config.json of the checkpoint's workdir.
        options: arguments of a network given by name.

    Raises:
        UserError: there is no checkpoint, it holds no encoder or a different one, the network is
            unknown, or options of one that is not given by name.
    """
    is_module = isinstance(encoder, Encoder) and not isinstance(encoder, type)
    if not isinstance(encoder, str) and not is_module:
        raise UserError(f"encoder is {encoder!r}: give a name or a Flax module")
    if options and not (encoder and isinstance(encoder, str)):
        raise UserError(f"options {', '.join(options)}: give encoder=, the name of their network")
    path = pathlib.Path(checkpoint).absolute()
    folder = folders.of_checkpoints(path)
    shape = _SNIPPET
    if not folder.is_dir():
        raise UserError(f"{checkpoint}: no such checkpoint folder")
    encoders = Workdir(path).encoders
    if encoders.is_dir():
        names = ", ".join(sorted(entry.name for entry in encoders.iterdir()))
        raise UserError(f"{checkpoint}: a workdir: load one of its folders in encoders: {names}")
    if encoder == "":
        found = ((root, stored_config(root)) for root in path.parents[:4])
        root, config = next((pair for pair in found if pair[1]), (path, None))
        if config is None:
            raise UserError(
                f"{checkpoint}: no config.json above it names the network: give encoder=, one of"
                f" {', '.join(ENCODERS)}, or package.module:Class"
            )
        _, start, *_ = (*path.relative_to(root).parts, "", "")
        network = networks.make_encoder_of(config, start)
        name = f"the workdir's ({config.encoder.name})"
        shape = networks.snippet_shape(config)
    elif isinstance(encoder, str):
        network, name = networks.make_named_encoder(Named(encoder, options)), encoder
    else:
        network, name = encoder, type(encoder).__name__
    return FrameEncoder(network, checkpoints.load_encoder_of(network, shape, folder, name))
