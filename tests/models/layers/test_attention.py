"""Attention's CPU form against the library's."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.models.layers.attention import attention, products


def library(query, key, value):
    return jax.nn.dot_product_attention(query, key, value, implementation="xla")


def arrays(number, tokens=7, dtype=jnp.float32):
    normal = np.random.default_rng(0).normal
    return [jnp.asarray(normal(size=(2, tokens, 3, 4)), dtype) for _ in range(number)]


@pytest.mark.parametrize("tokens", [1, 7, 40])
@pytest.mark.parametrize("dtype, tolerance", [(jnp.float32, 1e-6), (jnp.bfloat16, 0.03)])
def test_output_and_gradients_are_the_library_s(tokens, dtype, tolerance):
    *given, cotangent = arrays(4, tokens, dtype)
    found, wanted = [], []
    for form, to in ((products, found), (library, wanted)):
        out, pull = jax.vjp(form, *given)
        to.extend([out, *pull(cotangent)])
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype == dtype
        np.testing.assert_allclose(
            ours.astype(np.float32), theirs.astype(np.float32), atol=tolerance
        )


def test_large_logits_do_not_overflow():
    query, key, value = arrays(3)
    out, pull = jax.vjp(products, 1e4 * query, key, value)
    assert np.isfinite(out).all() and all(np.isfinite(x).all() for x in pull(out))


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_only_a_cpu_has_the_products(platform):
    def gradient(form):
        step = jax.jit(jax.grad(lambda *given: form(*given).sum(), argnums=(0, 1, 2)))
        return step.trace(*arrays(3)).lower(lowering_platforms=(platform,)).as_text()

    def products_of(form):
        return sorted(re.findall(r"dot_general.* : (.*)", gradient(form)))

    assert products_of(attention) == products_of(products if platform == "cpu" else library)
    assert products_of(products) != products_of(library)
