"""Attention's own form against the library's, and which device has which."""

import re
from types import SimpleNamespace

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
@pytest.mark.parametrize("dtype, tolerance", [(jnp.float32, 1e-6), (jnp.bfloat16, 0.05)])
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


def products_of(form, platform, dtype):
    """The types of the products of a form's gradient, as lowered for a platform."""
    step = jax.jit(jax.grad(lambda *given: form(*given).sum(), argnums=(0, 1, 2)))
    text = step.trace(*arrays(3, dtype=dtype)).lower(lowering_platforms=(platform,)).as_text()
    return sorted(re.findall(r"dot_general.*? : (.*)", text))


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_only_a_tpu_has_the_library_s(platform):
    found, ours, theirs = (
        products_of(form, platform, jnp.float32) for form in (attention, products, library)
    )
    assert ours != theirs
    assert found == (theirs if platform == "tpu" else ours)


def test_products_of_bfloat16_are_in_float32_on_a_cpu_alone():
    on_cpu, on_gpu = (products_of(attention, one, jnp.bfloat16) for one in ("cpu", "cuda"))
    assert len(on_cpu) == len(on_gpu) > 0
    assert all("bf16" not in one for one in on_cpu)
    assert all(one.count("bf16") == 2 and "-> tensor" in one for one in on_gpu)


@pytest.mark.parametrize(
    # Each with its own number of tokens: JAX keeps what it has traced.
    "tokens, capability, cudnn",
    [(1, "7.5", False), (2, "8.0", True), (3, "9.0", True), (4, "gfx90a", False), (5, None, False)],
)
def test_cudnn_attends_where_it_can(monkeypatch, tokens, capability, cudnn):
    device = SimpleNamespace(**{} if capability is None else {"compute_capability": capability})
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    asked = []
    monkeypatch.setattr(
        jax.nn,
        "dot_product_attention",
        lambda query, *rest, implementation=None: asked.append(implementation) or query,
    )
    query, key, value = (jnp.tile(x, 2) for x in arrays(3, tokens, jnp.bfloat16))
    jax.eval_shape(lambda *given: attention(*given), query, key, value)
    assert ("cudnn" in asked) == cudnn
