"""ResNet for images (arXiv 1512.03385), in the layout of the public ImageNet weights, with a hook
for TSM's shift.

`shift` is applied before each residual block's first convolution, not to the identity path
("blockres" in arXiv 1811.08383). This is all that TSM adds.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from lofi_jax.arrays import AnyArray
from lofi_jax.errors import UserError
from lofi_jax.models.layers import convolution, pooling

Shift = Callable[[Any], Any]
Layer = Callable[..., Any]


def layers(train: bool, dtype: Any, epsilon: float = 1e-5) -> tuple[Layer, Layer]:
    """The convolution and BatchNorm of an encoder, both computing in `dtype`.

    With `train`, BatchNorm uses the batch's statistics and updates batch_stats; otherwise it uses
    batch_stats.
    """
    conv = functools.partial(
        nn.Conv,
        use_bias=False,
        kernel_init=nn.initializers.he_normal(),
        dtype=dtype,
        conv_general_dilated=convolution.convolve,
    )
    norm = functools.partial(
        nn.BatchNorm,
        use_running_average=not train,
        momentum=0.9,
        epsilon=epsilon,
        dtype=dtype,
    )
    return conv, norm


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside the identity."""

    width: int
    stride: int
    shift: Shift
    conv: Layer
    norm: Layer

    @nn.compact
    def __call__(self, x: Float[Array, "N H W C"]) -> Float[Array, "N h w width"]:
        strides = (self.stride, self.stride)
        y = self.conv(self.width, (3, 3), strides, padding=1, name="conv1")(self.shift(x))
        y = nn.relu(self.norm(name="bn1")(y))
        y = self.conv(self.width, (3, 3), padding=1, name="conv2")(y)
        y = self.norm(name="bn2", scale_init=nn.initializers.zeros)(y)
        return nn.relu(y + _identity(self, x, self.width, strides))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside the identity; the stride is on the 3 x 3."""

    width: int
    stride: int
    shift: Shift
    conv: Layer
    norm: Layer

    @nn.compact
    def __call__(self, x: Float[Array, "N H W C"]) -> Float[Array, "N h w {4*self.width}"]:
        strides = (self.stride, self.stride)
        y = self.conv(self.width, (1, 1), name="conv1")(self.shift(x))
        y = nn.relu(self.norm(name="bn1")(y))
        y = self.conv(self.width, (3, 3), strides, padding=1, name="conv2")(y)
        y = nn.relu(self.norm(name="bn2")(y))
        y = self.conv(4 * self.width, (1, 1), name="conv3")(y)
        y = self.norm(name="bn3", scale_init=nn.initializers.zeros)(y)
        return nn.relu(y + _identity(self, x, 4 * self.width, strides))


def _identity(block, x, channels, strides):
    """The shortcut: projected where the shape changes."""
    if x.shape[-1] == channels and strides == (1, 1):
        return x
    x = block.conv(channels, (1, 1), strides, name="downsample_conv")(x)
    return block.norm(name="downsample_bn")(x)


class ResNet(nn.Module):
    """A ResNet without its classification layer.

    Attributes:
        stage_sizes: residual blocks in each stage.
        widths: channels of each stage (before a bottleneck's expansion).
        block: `BasicBlock` or `Bottleneck`.
        stem: "imagenet" (7 x 7 stride 2, then max-pooling: divides the image by 4) or "small" (3 x
            3 stride 2: by 2).
        shift: applied before each block's first convolution.
        dtype: of the computation; parameters and batch_stats stay float32.
        remat: keep only each residual block's input and recompute the rest in the backward pass.
    """

    stage_sizes: Sequence[int]
    widths: Sequence[int] = (64, 128, 256, 512)
    block: Any = BasicBlock
    stem: str = "imagenet"
    shift: Shift = lambda x: x
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[AnyArray, "N H W 3"], train: bool = False) -> Float[Array, "N C"]:
        """Maps normalised images to features, averaged over the image.

        With `train`, BatchNorm uses the batch's statistics and updates batch_stats; otherwise it
        uses batch_stats.

        Raises:
            UserError: no such stem, or not one width for each stage.
        """
        if self.stem not in ("imagenet", "small"):
            raise UserError(f"an encoder's stem is imagenet or small, not {self.stem!r}")
        conv, norm = layers(train, self.dtype)
        if self.stem == "imagenet":
            x = conv(self.widths[0], (7, 7), (2, 2), padding=3, name="conv1")(x)
            x = nn.relu(norm(name="bn1")(x))
            x = pooling.halved(x, (1, 2))
        else:
            x = conv(self.widths[0], (3, 3), (2, 2), padding=1, name="conv1")(x)
            x = nn.relu(norm(name="bn1")(x))
        block = nn.remat(self.block) if self.remat else self.block
        for name, width, stride in stages(self.stage_sizes, self.widths):
            x = block(width, stride, self.shift, conv, norm, name=name)(x)
        return x.mean(axis=(1, 2), dtype=jnp.float32)


def stages(sizes: Sequence[int], widths: Sequence[int]) -> list[tuple[str, int, int]]:
    """Each residual block's name, width and stride: a stage after the first begins with stride 2.

    Raises:
        UserError: not one width for each stage.
    """
    if len(sizes) != len(widths):
        raise UserError(f"an encoder of stage_sizes {sizes} needs as many widths, not {widths}")
    return [
        (f"layer{i + 1}_{j}", width, 2 if i > 0 and j == 0 else 1)
        for i, (size, width) in enumerate(zip(sizes, widths, strict=True))
        for j in range(size)
    ]
