"""ActionFormer's layers (arXiv 2202.07925): transformer blocks with windowed attention, and
convolutional towers.

A sequence may end in padding, as in the public network. Then `real` marks the positions of the
video. Every layer that mixes positions sets the others to zero, and attention ignores them. In
between, normalisation gives them nonzero values, with which the public weights were trained.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from lofi_jax.models.layers.drop_path import Keys, drop_path, of_layer
from lofi_jax.models.layers.gelu import gelu
from lofi_jax.models.layers.grouped_convolution import GroupedConv

Real = Bool[np.ndarray, " T"] | None
RealOut = Bool[np.ndarray, " t"] | None


def norm(name: str) -> nn.LayerNorm:
    """A normalisation over channels."""
    return nn.LayerNorm(epsilon=1e-5, name=name)


def masked(x: Float[Array, "B T C"], real: Real) -> Float[Array, "B T C"]:
    """Zeros where a position is not real; everything without padding, `real` being None."""
    return x if real is None else x * jnp.asarray(real, x.dtype)[:, None]


def positions(length: int, made_for: int, channels: int) -> Float[np.ndarray, "length channels"]:
    """Sinusoidal position embedding, divided by the square root of the channels (arXiv 1706.03762,
    section 3.5).

    Args:
        length: number of positions.
        made_for: the length it is made for; for a longer sequence it is stretched by linear
            interpolation.
        channels: an even number.
    """
    index = np.arange(made_for)[:, None]
    angle = index / 10000 ** (2 * (np.arange(channels) // 2) / channels)
    table = np.where(np.arange(channels) % 2, np.cos(angle), np.sin(angle)) / channels**0.5
    if length > made_for:
        at = (np.arange(length) + 0.5) * made_for / length - 0.5
        table = np.stack([np.interp(at, np.arange(made_for), column) for column in table.T], axis=1)
    return table[:length].astype(np.float32)


class LocalAttention(nn.Module):
    """Multi-head self-attention in a window, over inputs from depthwise convolutions, which may
    shorten them.

    Attributes:
        heads: of the attention.
        window: positions that each attends to, centred on itself; 0: all.
        stride: 2 halves the length.
    """

    heads: int
    window: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"], real: RealOut = None) -> Float[Array, "B t C"]:
        channels = x.shape[-1]

        def projected(name):
            conv = GroupedConv(
                channels, (3,), channels, self.stride, use_bias=False, name=f"{name}_conv"
            )
            y = conv(x)
            y = norm(f"{name}_norm")(masked(y, real))
            y = nn.Dense(channels, name=name)(y)
            return y.reshape(*y.shape[:2], self.heads, -1)

        # In float32: a T4, which has no products of bfloat16, refuses the library's in it.
        query, key, value = (
            projected(name).astype(jnp.float32) for name in ("query", "key", "value")
        )
        y = jax.nn.dot_product_attention(
            query,
            key,
            value,
            mask=None if real is None else jnp.asarray(real)[None, None, None],
            local_window_size=self.window // 2 if self.window else None,
        )
        y = nn.Dense(channels, name="out")(y.reshape(*y.shape[:2], channels).astype(x.dtype))
        return masked(y, real)


class Block(nn.Module):
    """A pre-norm transformer block; each branch is scaled by 1e-4 initially.

    Attributes:
        heads, window, stride: see `LocalAttention`.
        drop_path: probability that a video's branch is left out in training.
    """

    heads: int
    window: int
    stride: int = 1
    drop_path: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T C"], real: RealOut = None, keys: Keys = None
    ) -> Float[Array, "B t C"]:
        """Takes which positions are real after the stride, and in training the videos' keys."""
        channels = x.shape[-1]

        def scale(name):
            return self.param(name, nn.initializers.constant(1e-4), (channels,), jnp.float32)

        def dropped(branch, number):
            return drop_path(branch, self.drop_path, of_layer(keys, number))

        attention = LocalAttention(self.heads, self.window, self.stride, name="attention")
        y = attention(norm("attention_norm")(x), real)
        if self.stride > 1:
            x = nn.max_pool(x, (3,), (self.stride,), padding=((1, 1),))  # type: ignore  # Flax takes pairs
        x = masked(x, real) + dropped(scale("attention_scale") * y, 0)
        y = nn.Dense(4 * channels, name="hidden")(norm("mlp_norm")(x))
        y = nn.Dense(channels, name="mlp_out")(gelu(y))
        return x + dropped(scale("mlp_scale") * masked(y, real), 1)


class Tower(nn.Module):
    """Convolutions shared by all levels, of `kernel` points: two with normalisation and one to the
    output.
    """

    channels: int
    outputs: int
    initial_bias: float = 0.0
    kernel: int = 3

    @nn.compact
    def __call__(self, x: Float[Array, "B T C"], real: Real = None) -> Float[Array, "B T outputs"]:
        for i in (1, 2):
            x = nn.Conv(
                self.channels,
                (self.kernel,),
                padding=self.kernel // 2,
                use_bias=False,
                name=f"conv{i}",
            )(x)
            x = nn.relu(norm(f"norm{i}")(masked(x, real)))
        bias = nn.initializers.constant(self.initial_bias)
        return nn.Conv(
            self.outputs, (self.kernel,), padding=self.kernel // 2, bias_init=bias, name="out"
        )(x)
