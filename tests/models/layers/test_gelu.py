"""The GELU against its definition, and the library's."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.models.layers.gelu import gelu

POINTS = np.linspace(-9, 9, 181, dtype=np.float32)


def test_a_number_times_the_probability_of_less():
    wanted = [x * 0.5 * math.erfc(-x / math.sqrt(2)) for x in POINTS.tolist()]
    np.testing.assert_allclose(gelu(POINTS), wanted, atol=1e-6, rtol=1e-6)
    assert gelu(POINTS).dtype == jnp.float32


@pytest.mark.parametrize("dtype, tolerance", [(jnp.float32, 1e-6), (jnp.bfloat16, 0)])
def test_its_slope_is_the_library_s(dtype, tolerance):
    slope, library = (
        jax.vmap(jax.grad(form))(jnp.asarray(POINTS, dtype))
        for form in (gelu, lambda x: jax.nn.gelu(x, approximate=False))
    )
    np.testing.assert_allclose(slope.astype(np.float32), library.astype(np.float32), atol=tolerance)
