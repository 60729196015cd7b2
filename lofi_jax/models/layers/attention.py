"""Attention as the device has it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def attention(
    query: Float[Array, "N tokens heads C"],
    key: Float[Array, "N tokens heads C"],
    value: Float[Array, "N tokens heads C"],
) -> Float[Array, "N tokens heads C"]:
    """Scaled dot-product attention within each clip, by cuDNN where it takes the arrays."""
    half = query.dtype in (jnp.bfloat16, jnp.float16)
    fits = half and query.shape[-1] % 8 == 0 and query.shape[-1] <= 128
    cudnn = fits and jax.default_backend() == "gpu"
    return jax.nn.dot_product_attention(
        query, key, value, implementation="cudnn" if cudnn else "xla"
    )
