"""The temporal shift module (arXiv 1811.08383): a 2D ResNet that exchanges channels between
frames.
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.models.encoders import resnet

# ImageNet mean and deviation of RGB on [0, 1], used by every public 2D checkpoint.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def shift(x: Float[AnyArray, "NT H W C"], frames: int, shift_div: int) -> Float[Array, "NT H W C"]:
    """Shifts the first C/shift_div channels one frame back in time, the second C/shift_div one
    frame ahead.

    So the first part of a frame's channels comes from the next frame and the second part from the
    previous one, with zeros at the ends of each snippet of T = `frames` frames.
    """
    n, h, w, c = x.shape
    fold = c // shift_div
    x = x.reshape(n // frames, frames, h, w, c)
    zeros = jnp.zeros_like(x[:, :1])
    from_next = jnp.concatenate([x[:, 1:], zeros], axis=1)
    from_previous = jnp.concatenate([zeros, x[:, :-1]], axis=1)
    x = jnp.concatenate(
        [from_next[..., :fold], from_previous[..., fold : 2 * fold], x[..., 2 * fold :]], axis=-1
    )
    return x.reshape(n, h, w, c)


class TSM(nn.Module):
    """TSM-ResNet encoder: maps each snippet to one feature, the mean over its frames.

    >>> encoder = TSM(stage_sizes=(1, 1), widths=(8, 16), stem="small")
    >>> frames = np.zeros((3, 8, 16, 16, 3), np.uint8)
    >>> variables = jax.jit(encoder.init)(jax.random.key(0), frames)
    >>> jax.jit(encoder.apply)(variables, frames).shape
    (3, 16)

    Attributes:
        stage_sizes, widths, block, stem, dtype, remat: of the `resnet.ResNet`.
        shift_div: 1 / shift_div of the channels are shifted each way (8 in the public weights).
    """

    stage_sizes: Sequence[int]
    widths: Sequence[int] = (64, 128, 256, 512)
    block: Any = resnet.BasicBlock
    stem: str = "imagenet"
    shift_div: int = 8
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, frames: Real[AnyArray, "N T H W 3"], train: bool = False
    ) -> Float[Array, "N C"]:
        """Maps uint8 or float RGB frames in 0..255 to float32 features."""
        n, t = frames.shape[:2]
        x = (frames / 255.0 - jnp.array(MEAN)) / jnp.array(STD)
        x = x.astype(self.dtype).reshape(n * t, *frames.shape[2:])
        network = resnet.ResNet(
            stage_sizes=self.stage_sizes,
            widths=self.widths,
            block=self.block,
            stem=self.stem,
            shift=functools.partial(shift, frames=t, shift_div=self.shift_div),
            dtype=self.dtype,
            remat=self.remat,
            name="resnet",
        )
        return network(x, train).reshape(n, t, -1).mean(axis=1)
