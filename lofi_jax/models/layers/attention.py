"""Attention as the device has it.

On a CPU the library's gradient takes twice as long as ours (jax 0.10.2): XLA fuses a sum over the
keys with the product that gives what is summed.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def attention(
    query: Float[Array, "N tokens heads C"],
    key: Float[Array, "N tokens heads C"],
    value: Float[Array, "N tokens heads C"],
) -> Float[Array, "N tokens heads C"]:
    """Scaled dot-product attention within each clip, by cuDNN where it takes the arrays."""
    return lax.platform_dependent(query, key, value, cpu=products, default=_library)


def _library(query, key, value):
    half = query.dtype in (jnp.bfloat16, jnp.float16)
    fits = half and query.shape[-1] % 8 == 0 and query.shape[-1] <= 128
    cudnn = fits and jax.default_backend() == "gpu"
    return jax.nn.dot_product_attention(
        query, key, value, implementation="cudnn" if cudnn else "xla"
    )


@jax.custom_vjp
def products(
    query: Float[Array, "N tokens heads C"],
    key: Float[Array, "N tokens heads C"],
    value: Float[Array, "N tokens heads C"],
) -> Float[Array, "N tokens heads C"]:
    """The same as products over each head's tokens, in float32."""
    return _forward(query, key, value)[0]


def _forward(query, key, value):
    q, k, v = (x.swapaxes(1, 2).astype(jnp.float32) for x in (query, key, value))
    q = q * q.shape[-1] ** -0.5
    logits = jnp.einsum("nhtc,nhsc->nhts", q, k)
    weights = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
    total = weights.sum(axis=-1, keepdims=True)
    # Divided after the product: over the channels, which are fewer than the keys.
    out = jnp.einsum("nhts,nhsc->nhtc", weights, v) / total
    return out.swapaxes(1, 2).astype(query.dtype), (q, k, v, weights, total, out)


def _backward(kept, gradient):
    """The sum over keys in the softmax's gradient is one over channels: of the gradient times the
    output (arXiv 2205.14135, appendix B.4).
    """
    q, k, v, weights, total, out = kept
    g = gradient.swapaxes(1, 2).astype(jnp.float32) / total
    of_value = jnp.einsum("nhct,nhts->nhcs", g.swapaxes(2, 3), weights)
    mean = (g * out).sum(axis=-1, keepdims=True)
    of_logits = weights * (jnp.einsum("nhtc,nhsc->nhts", g, v) - mean)
    of_query = jnp.einsum("nhts,nhsc->nhtc", of_logits, k) * q.shape[-1] ** -0.5
    of_key = jnp.einsum("nhct,nhts->nhcs", q.swapaxes(2, 3), of_logits)
    forms = (of_query, "nhtc->nthc"), (of_key, "nhcs->nshc"), (of_value, "nhcs->nshc")
    return tuple(jnp.einsum(form, x).astype(gradient.dtype) for x, form in forms)


products.defvjp(_forward, _backward)
