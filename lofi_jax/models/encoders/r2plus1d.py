"""R(2+1)D (arXiv 1711.11248): a ResNet over space and time. Each 3D convolution is split into a
spatial and a temporal one, with BatchNorm and ReLU in between.

The public networks have three forms, which differ in more than the names of their weights: see
`FORMS`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from lofi_jax.arrays import AnyArray
from lofi_jax.errors import UserError
from lofi_jax.models.encoders import tsm
from lofi_jax.models.encoders.resnet import Layer, layers, stages
from lofi_jax.models.layers import pooling


class Form(NamedTuple):
    """What the public networks do differently.

    Attributes:
        stem_middle: channels between the stem's two convolutions.
        stem_pool: max-pooling over the image after the stem, 3 x 3 with stride 2.
        shared_middle: a block's second convolution has its first one's middle channels. Otherwise
            it has its own number, which differs where the block changes the width.
        split_shortcut: a shortcut that changes the shape is split in two as well.
        epsilon: of BatchNorm.
        middle_epsilon: of the BatchNorm between two halves.
        mean, std: of RGB on [0, 1].
    """

    stem_middle: int
    stem_pool: bool
    shared_middle: bool
    split_shortcut: bool
    epsilon: float
    middle_epsilon: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_MEAN = (0.43216, 0.394666, 0.37645)
_STD = (0.22803, 0.22145, 0.216989)
FORMS = {
    # The 18 layers of torchvision, and of TSP.
    "torchvision": Form(45, False, True, False, 1e-5, 1e-5, _MEAN, _STD),
    # The authors' own (VMZ, in Caffe2): the 34 layers trained on IG-65M, from which TSP starts.
    "vmz": Form(45, False, False, False, 1e-3, 1e-3, _MEAN, _STD),
    # mmaction2's 34 layers. Its epsilon applies to the outer BatchNorm only.
    "mmaction2": Form(83, True, False, True, 1e-3, 1e-5, tsm.MEAN, tsm.STD),
}


def middle_channels(inputs: int, outputs: int, area: int) -> int:
    """Channels between the two halves: chosen to keep the parameters of one 3 x area convolution
    (section 3.5).
    """
    return 3 * area * inputs * outputs // (area * inputs + 3 * outputs)


class SplitConv(nn.Module):
    """A spatial convolution, BatchNorm, ReLU and a temporal convolution.

    Both run as 2D convolutions, over (H, W) of every frame and over (T, H x W): the same values as
    3D ones, which XLA computes three times slower on a CPU.

    Attributes:
        width: output channels.
        middle: channels between the halves.
        space: size of the spatial kernel.
        time: size of the temporal kernel.
        strides: over time and over space.
    """

    width: int
    middle: int
    space: int
    time: int
    strides: tuple[int, int]
    conv: Layer
    norm: Layer

    @nn.compact
    def __call__(self, x: Float[AnyArray, "N T H W C"]) -> Float[Array, "N t h w width"]:
        n, t = x.shape[:2]
        stride_t, stride = self.strides
        y = self.conv(
            self.middle,
            (self.space, self.space),
            (stride, stride),
            padding=self.space // 2,
            name="spatial",
        )(x.reshape(n * t, *x.shape[2:]))
        y = nn.relu(self.norm(name="norm")(y))
        h, w = y.shape[1:3]
        y = self.conv(
            self.width,
            (self.time, 1),
            (stride_t, 1),
            padding=(self.time // 2, 0),
            name="temporal",
        )(y.reshape(n, t, h * w, self.middle))
        return y.reshape(n, y.shape[1], h, w, self.width)


class Block(nn.Module):
    """Two split 3 x 3 x 3 convolutions beside the identity; a stride is over time and space
    alike.
    """

    width: int
    stride: int
    form: Form
    conv: Layer
    norm: Layer
    middle_norm: Layer

    @nn.compact
    def __call__(self, x: Float[Array, "N T H W C"]) -> Float[Array, "N t h w width"]:
        def split(middle, size, stride, name):
            return SplitConv(
                self.width,
                middle,
                size,
                size,
                (stride, stride),
                self.conv,
                self.middle_norm,
                name=name,
            )

        channels, form = x.shape[-1], self.form
        first = middle_channels(channels, self.width, 9)
        second = first if form.shared_middle else middle_channels(self.width, self.width, 9)
        y = split(first, 3, self.stride, "conv1")(x)
        y = nn.relu(self.norm(name="bn1")(y))
        y = split(second, 3, 1, "conv2")(y)
        y = self.norm(name="bn2", scale_init=nn.initializers.zeros)(y)
        if channels != self.width or self.stride != 1:
            if form.split_shortcut:
                middle = middle_channels(channels, self.width, 1)
                x = split(middle, 1, self.stride, "downsample_conv")(x)
            else:
                every = x[:, :: self.stride, :: self.stride, :: self.stride]
                x = self.conv(self.width, (1, 1, 1), name="downsample_conv")(every)
            x = self.norm(name="downsample_bn")(x)
        return nn.relu(y + x)


class R2Plus1D(nn.Module):
    """R(2+1)D encoder: maps each snippet to one feature, the mean over space and time.

    >>> encoder = R2Plus1D(stage_sizes=(1, 1), widths=(4, 8))
    >>> frames = np.zeros((3, 4, 16, 16, 3), np.uint8)
    >>> variables = jax.jit(encoder.init)(jax.random.key(0), frames)
    >>> jax.jit(encoder.apply)(variables, frames).shape
    (3, 8)

    Attributes:
        stage_sizes: residual blocks in each stage; every stage after the first halves time and
            space.
        widths: channels of each stage.
        form: "torchvision", "vmz" or "mmaction2": see `FORMS`.
        dtype: of the computation; parameters and batch_stats stay float32.
        remat: keep only each residual block's input and recompute the rest in the backward pass.
    """

    stage_sizes: Sequence[int]
    widths: Sequence[int] = (64, 128, 256, 512)
    form: str = "torchvision"
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, frames: Real[AnyArray, "N T H W 3"], train: bool = False
    ) -> Float[Array, "N C"]:
        """Maps uint8 or float RGB frames in 0..255 to float32 features.

        With `train`, BatchNorm uses the batch's statistics and updates batch_stats; otherwise it
        uses batch_stats.

        Raises:
            UserError: no such form, or not one width for each stage.
        """
        if self.form not in FORMS:
            raise UserError(f"R(2+1)D's form is one of {', '.join(FORMS)}, not {self.form!r}")
        form = FORMS[self.form]
        conv, norm = layers(train, self.dtype, form.epsilon)
        _, middle_norm = layers(train, self.dtype, form.middle_epsilon)
        x = ((frames / 255.0 - jnp.array(form.mean)) / jnp.array(form.std)).astype(self.dtype)
        x = SplitConv(
            self.widths[0], form.stem_middle, 7, 3, (1, 2), conv, middle_norm, name="stem"
        )(x)
        x = nn.relu(norm(name="stem_bn")(x))
        if form.stem_pool:
            x = pooling.halved(x, (2, 3))
        block = nn.remat(Block) if self.remat else Block
        for name, width, stride in stages(self.stage_sizes, self.widths):
            x = block(width, stride, form, conv, norm, middle_norm, name=name)(x)
        return x.mean(axis=(1, 2, 3), dtype=jnp.float32)
