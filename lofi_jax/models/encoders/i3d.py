"""I3D (arXiv 1705.07750): Inception-v1 with its kernels and pools inflated over time, for RGB.

Modules and end points have the names of the public networks. Everything pads as TensorFlow's SAME
does: by size and stride, the odd one at the end.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.errors import UserError
from lofi_jax.models.encoders.resnet import Layer, layers
from lofi_jax.models.layers import pooling

# The stem: a convolution's channels, size and stride, or a pool's window and strides over (T, H,
# W). Then the mixed blocks: channels of the branches 0, 1a, 1b, 2a, 2b and 3b.
_STEM = {
    "Conv3d_1a_7x7": (64, 7, 2),
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "Conv3d_2b_1x1": (64, 1, 1),
    "Conv3d_2c_3x3": (192, 3, 1),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
}
_MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
END_POINTS = tuple(_MIXED)
# Pools before a mixed block: window and strides over all three axes.
_POOLS = {"Mixed_4b": (3, 2), "Mixed_5b": (2, 2)}


class Unit(nn.Module):
    """A convolution of the same size over time and space, BatchNorm and ReLU."""

    width: int
    size: int
    stride: int
    conv: Layer
    norm: Layer

    @nn.compact
    def __call__(self, x: Float[AnyArray, "N T H W C"]) -> Float[Array, "N t h w width"]:
        kernel, strides = 3 * (self.size,), 3 * (self.stride,)
        padding = lax.padtype_to_pads(x.shape[1:4], kernel, strides, "SAME")
        x = self.conv(self.width, kernel, strides, padding=padding, name="conv3d")(x)
        return nn.relu(self.norm(name="bn")(x))


class Mixed(nn.Module):
    """An Inception block: 1 x 1 x 1, two of 3 x 3 x 3 and a max-pool, side by side."""

    widths: tuple[int, ...]
    conv: Layer
    norm: Layer

    @nn.compact
    def __call__(self, x: Float[Array, "N T H W C"]) -> Float[Array, "N T H W D"]:
        def unit(name, width, size, x):
            return Unit(width, size, 1, self.conv, self.norm, name=name)(x)

        b0, b1a, b1b, b2a, b2b, b3b = self.widths
        branches = (
            unit("b0", b0, 1, x),
            unit("b1b", b1b, 3, unit("b1a", b1a, 1, x)),
            unit("b2b", b2b, 3, unit("b2a", b2a, 1, x)),
            unit("b3b", b3b, 1, pooling.same(x, (3, 3, 3), (1, 1, 1))),
        )
        return jnp.concatenate(branches, axis=-1)


class I3D(nn.Module):
    """I3D encoder: maps each snippet to one feature, pooled as before the public classifier.

    At the last end point a feature has 1024 channels and a stride of 8 frames and 32 pixels. Of
    "Mixed_4f" it has 832, 4 frames and 16 pixels, for finer boundaries.

    >>> encoder = I3D(end_point="Mixed_3b", divisor=16)
    >>> frames = np.zeros((3, 8, 16, 16, 3), np.uint8)
    >>> variables = jax.jit(encoder.init)(jax.random.key(0), frames)
    >>> jax.jit(encoder.apply)(variables, frames).shape
    (3, 16)

    Attributes:
        end_point: one of `END_POINTS`, where the network ends.
        divisor: of all channels; 1: the public network.
        dtype: of the computation; parameters and batch_stats stay float32.
        remat: keep only each block's input and recompute the rest in the backward pass.
    """

    end_point: str = END_POINTS[-1]
    divisor: int = 1
    dtype: Any = jnp.float32
    remat: bool = False

    @property
    def beyond(self) -> tuple[str, ...]:
        """The modules of the whole network that this one ends before.

        Raises:
            UserError: no such end point.
        """
        if self.end_point not in END_POINTS:
            raise UserError(
                f"I3D's end point is one of {', '.join(END_POINTS)}, not {self.end_point!r}"
            )
        return END_POINTS[END_POINTS.index(self.end_point) + 1 :]

    def __call__(
        self, frames: Real[AnyArray, "N T H W 3"], train: bool = False
    ) -> Float[Array, "N C"]:
        """Maps uint8 or float RGB frames in 0..255 to float32 features.

        With `train`, BatchNorm uses the batch's statistics and updates batch_stats; otherwise it
        uses batch_stats.

        Raises:
            UserError: no such end point.
        """
        return pooled(self.steps(frames, train))

    @nn.compact
    def steps(
        self, frames: Real[AnyArray, "N T H W 3"], train: bool = False
    ) -> Float[Array, "N t C"]:
        """As a call, but a feature for each step of the end point: the mean over the image."""
        conv, norm = layers(train, self.dtype, 1e-3)
        unit, mixed = (nn.remat(Unit), nn.remat(Mixed)) if self.remat else (Unit, Mixed)
        x = (jnp.asarray(frames) / 127.5 - 1).astype(self.dtype)
        for name, what in _STEM.items():
            if name.startswith("Max"):
                x = pooling.same(x, *what)
            else:
                width, size, stride = what
                x = unit(width // self.divisor, size, stride, conv, norm, name=name)(x)
        for name, widths in _MIXED.items():
            if name in self.beyond:
                break
            if name in _POOLS:
                window, stride = _POOLS[name]
                x = pooling.same(x, 3 * (window,), 3 * (stride,))
            x = mixed(tuple(w // self.divisor for w in widths), conv, norm, name=name)(x)
        return x.mean(axis=(2, 3), dtype=jnp.float32)


def pooled(steps: Float[Array, "N t C"]) -> Float[Array, "N C"]:
    """The mean of the means of every two neighbouring steps, as the public networks have it."""
    if steps.shape[1] > 1:
        steps = (steps[:, :-1] + steps[:, 1:]) / 2
    return steps.mean(axis=1)
