"""Add an encoder: a Flax module that maps snippets to features. It needs no registration.

    python -m lofi_jax.main ... --config.encoder.width=16 \\
        --config.encoder.name=tests.examples.tiny_encoder:TinyEncoder

`lofi_jax.models.protocols.Encoder` has all requirements.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class TinyEncoder(nn.Module):
    """Two convolutions over space and time, and the mean over both.

    Attributes:
        width: channels of the features, C.
        dtype: of the computation; the config's dtype.
        remat: keep only each block's input for the backward pass; the config's joint.keep="blocks".
    """

    width: int = 8
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, frames: Float[Array, "N T H W 3"], train: bool = False
    ) -> Float[Array, "N C"]:
        """Maps uint8 or float RGB frames in 0..255 to float32 features.

        There is no BatchNorm, so `train` changes nothing.
        """
        x = (frames / 127.5 - 1.0).astype(self.dtype)
        convolution = nn.remat(nn.Conv) if self.remat else nn.Conv
        for i in range(2):
            x = convolution(
                self.width, (2, 3, 3), strides=(1, 2, 2), dtype=self.dtype, name=f"layer{i}"
            )(x)
            x = nn.relu(x)
        return x.mean(axis=(1, 2, 3)).astype(jnp.float32)
