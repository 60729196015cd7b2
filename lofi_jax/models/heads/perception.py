"""TriDet's scalable-granularity perception layer (arXiv 2303.07347, section 3.2).

In place of attention it has two branches: one scales every moment by the mean of all, the other
sees a window and a wide window of moments. A sequence may end in padding: see local_transformer.py.
The mean is over the padding too, as in the public network.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from lofi_jax.models.layers.drop_path import Keys, drop_path, of_layer
from lofi_jax.models.layers.gelu import gelu
from lofi_jax.models.layers.grouped_convolution import GroupedConv
from lofi_jax.models.layers.local_transformer import RealOut, masked, norm

GROUPS = 16  # of the normalisation before the perceptron, which is over channels and time


class Perception(nn.Module):
    """A layer: the two branches, then a perceptron, each added to what comes in.

    Attributes:
        window: points that the window branch sees, an odd number.
        factor: its wide window has about (window + 1) times this.
        hidden: channels inside the perceptron.
        stride: 2 halves the length, by max-pooling, before all else.
        scaled: what is added is scaled by 1e-4 per channel initially; otherwise not at all.
        deviation: of the branches' initial weights; see `TriDet`.
        drop_path: probability that a video's branch is left out in training.
    """

    window: int
    factor: float
    hidden: int
    stride: int = 1
    scaled: bool = False
    deviation: float = 1.0
    drop_path: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T C"], real: RealOut = None, keys: Keys = None
    ) -> Float[Array, "B t C"]:
        """Takes which positions are real after the stride, and in training the videos' keys."""
        channels = x.shape[-1]
        if self.stride > 1:
            x = nn.max_pool(x, (3,), (self.stride,), padding=((1, 1),))  # type: ignore  # Flax takes pairs

        def depthwise(name, kernel):
            initial = nn.initializers.normal(self.deviation)
            return GroupedConv(channels, (kernel,), channels, kernel_init=initial, name=name)

        def added(branch, name, number):
            if self.scaled:
                initial = nn.initializers.constant(1e-4)
                branch = self.param(name, initial, (channels,), jnp.float32) * branch
            return drop_path(branch, self.drop_path, of_layer(keys, number))

        y = norm("norm")(x)
        mean = nn.relu(depthwise("moment_gate", 1)(y.mean(axis=1, keepdims=True)))
        moments = depthwise("moment", 1)(y) * mean
        wide = wide_window(self.window, self.factor)
        windows = depthwise("window", self.window)(y) + depthwise("wide_window", wide)(y)
        windows = windows * depthwise("window_gate", self.window)(y)
        x = masked(x, real) + added(moments + windows + y, "scale", 0)
        y = nn.GroupNorm(GROUPS, epsilon=1e-5, name="mlp_norm")(x)
        y = nn.Dense(self.hidden, name="hidden")(y)
        y = nn.Dense(channels, name="mlp_out")(gelu(y))
        return x + added(y, "mlp_scale", 1)


def wide_window(window: int, factor: float) -> int:
    """The points that the wide window sees: the odd number at or after (window + 1) x factor."""
    return round((window + 1) * factor) // 2 * 2 + 1
