"""Attention as the device has it: cuDNN's on a GPU with bfloat16 (compute capability 8), the
library's on a TPU, and products of our own elsewhere.

On a CPU the library's gradient takes twice as long as ours (jax 0.10.2): XLA fuses a sum over the
keys with the product that gives what is summed. A T4, without bfloat16, refuses its products in it.
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
    """Scaled dot-product attention within each clip."""
    return lax.platform_dependent(
        query, key, value, cpu=_in_float32, tpu=jax.nn.dot_product_attention, default=_on_gpu
    )


def _in_float32(query, key, value):
    q, k, v = (x.astype(jnp.float32) for x in (query, key, value))
    return products(q, k, v).astype(query.dtype)


def _on_gpu(query, key, value):
    half = query.dtype in (jnp.bfloat16, jnp.float16)
    fits = half and query.shape[-1] % 8 == 0 and query.shape[-1] <= 128
    if fits and _capability() >= 8:
        return jax.nn.dot_product_attention(query, key, value, implementation="cudnn")
    return products(query, key, value)


def _capability() -> float:
    """The compute capability of the device at hand; 0 where it is none of NVIDIA's."""
    text = str(getattr(jax.local_devices()[0], "compute_capability", "0"))
    return float(text) if text.replace(".", "").isdigit() else 0.0


@jax.custom_vjp
def products(
    query: Float[Array, "N tokens heads C"],
    key: Float[Array, "N tokens heads C"],
    value: Float[Array, "N tokens heads C"],
) -> Float[Array, "N tokens heads C"]:
    """The same as products over each head's tokens, which take the inputs' dtype and sum in
    float32.
    """
    return _forward(query, key, value)[0]


def _einsum(form, a, b):
    return jnp.einsum(form, a, b, preferred_element_type=jnp.float32)


def _forward(query, key, value):
    dtype = query.dtype
    q, k, v = (x.swapaxes(1, 2) for x in (query, key, value))
    logits = _einsum("nhtc,nhsc->nhts", q, k) * q.shape[-1] ** -0.5
    weights = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
    total = weights.sum(axis=-1, keepdims=True)
    weights = weights.astype(dtype)
    # Divided after the product: over the channels, which are fewer than the keys.
    out = _einsum("nhts,nhsc->nhtc", weights, v) / total
    return out.swapaxes(1, 2).astype(dtype), (q, k, v, weights, total, out.astype(dtype))


def _backward(kept, gradient):
    """The sum over keys in the softmax's gradient is one over channels: of the gradient times the
    output (arXiv 2205.14135, appendix B.4).
    """
    q, k, v, weights, total, out = kept
    dtype = gradient.dtype
    g = gradient.swapaxes(1, 2) / total
    mean = (g * out).sum(axis=-1, keepdims=True)
    g = g.astype(dtype)
    of_value = _einsum("nhct,nhts->nhcs", g.swapaxes(2, 3), weights)
    of_logits = (weights * (_einsum("nhtc,nhsc->nhts", g, v) - mean)).astype(dtype)
    scale = q.shape[-1] ** -0.5
    of_query = _einsum("nhts,nhsc->nhtc", of_logits, k) * scale
    of_key = _einsum("nhct,nhts->nhcs", q.swapaxes(2, 3), of_logits) * scale
    forms = (of_query, "nhtc->nthc"), (of_key, "nhcs->nshc"), (of_value, "nhcs->nshc")
    return tuple(jnp.einsum(form, x).astype(dtype) for x, form in forms)


products.defvjp(_forward, _backward)
