"""Convolutions over time whose channels are in groups that do not see each other.

On a CPU XLA takes 2 to 80 times as long for one over snippets as for the same as products (jax
0.10.2). Elsewhere it is the library's: a TPU pads the few channels of each product to 128.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax
from jaxtyping import Array, Float

from lofi_jax.arrays import AnyArray


class GroupedConv(nn.Module):
    """What `nn.Conv` is with `feature_group_count`, with its parameters, padded to keep the length.

    >>> layer = GroupedConv(8, (3,), groups=4)
    >>> params = layer.init(jax.random.key(0), jnp.zeros((1, 5, 16)))["params"]
    >>> params["kernel"].shape
    (3, 4, 8)

    Attributes:
        features: output channels.
        kernel_size: (moments,), odd; (1, 1): of one moment, over two axes of them.
        groups: as many as channels: each channel by itself.
        stride: every such moment is kept.
    """

    features: int
    kernel_size: tuple[int, ...]
    groups: int
    stride: int = 1
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Float[AnyArray, "B ... C"]) -> Float[Array, "B ... D"]:
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        x, kernel, bias = promote_dtype(x, kernel, bias)
        flat = x.reshape(len(x), -1, x.shape[-1])
        y = grouped_convolution(flat, kernel.reshape(-1, *shape[-2:]), self.stride)
        y = y if bias is None else y + bias
        return y if x.ndim == 3 else y.reshape(*x.shape[:-1], -1)


def grouped_convolution(
    x: Float[AnyArray, "B T C"], kernel: Float[Array, "k c D"], stride: int = 1
) -> Float[Array, "B t D"]:
    """The convolution of C / c groups, with zeros beside the first and the last moment."""
    on_cpu, library = (functools.partial(form, stride=stride) for form in (_products, _library))
    return lax.platform_dependent(x, kernel, cpu=on_cpu, default=library)


def _library(x, kernel, stride):
    margin, groups = len(kernel) // 2, x.shape[-1] // kernel.shape[1]
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride,),
        [(margin, margin)],
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=groups,
    )


def _products(x, kernel, stride):
    moments, channels, features = kernel.shape
    groups, margin = x.shape[-1] // channels, moments // 2
    x = jnp.pad(x, ((0, 0), (margin, margin), (0, 0)))
    last = x.shape[1] - moments + 1
    seen = [x[:, i : i + last : stride] for i in range(moments)]
    if groups == x.shape[-1] == features:
        return sum((a * b for a, b in zip(seen, kernel[:, 0], strict=True)), jnp.zeros((), x.dtype))
    apart = jnp.stack([a.reshape(*a.shape[:2], groups, channels) for a in seen], axis=3)
    y = jnp.einsum("btgkc,kcgd->btgd", apart, kernel.reshape(moments, channels, groups, -1))
    return y.reshape(*y.shape[:2], features)
