"""The grouped convolution beside Flax's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.models.layers.grouped_convolution import GroupedConv

# Input shape, output channels, kernel size, groups, stride.
CASES = {
    "groups": ((2, 7, 12), 8, (3,), 4, 1),
    "every second": ((2, 8, 12), 8, (5,), 4, 2),
    "one group": ((2, 7, 6), 4, (3,), 1, 1),
    "each channel": ((2, 7, 6), 6, (3,), 6, 1),
    "each channel, every second of an odd number": ((2, 7, 6), 6, (3,), 6, 2),
    "a kernel longer than the video": ((1, 2, 4), 4, (7,), 4, 1),
    "pairs": ((2, 5, 3, 8), 16, (1, 1), 4, 1),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_flaxs_own(case, dtype):
    """Initial parameters, outputs and gradients."""
    shape, features, kernel, groups, stride = case
    x = jax.random.normal(jax.random.key(1), shape).astype(dtype)
    padding = [(n // 2, n // 2) for n in kernel]
    theirs = nn.Conv(features, kernel, stride, padding, feature_group_count=groups)
    ours = GroupedConv(features, kernel, groups, stride)
    params = ours.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, params, theirs.init(jax.random.key(0), x))
    params = jax.tree.map(lambda p: (p + 0.1).astype(dtype), params)

    def loss(layer, params, x):
        y = layer.apply(params, x)
        assert y.dtype == dtype
        return jnp.sum(jnp.sin(y.astype(jnp.float32))), y

    (_, found), gradients = jax.value_and_grad(loss, (1, 2), has_aux=True)(ours, params, x)
    (_, wanted), expected = jax.value_and_grad(loss, (1, 2), has_aux=True)(theirs, params, x)
    tolerance = 1e-5 if dtype == "float32" else 0.1
    for a, b in zip(
        jax.tree.leaves((found, gradients)), jax.tree.leaves((wanted, expected)), strict=True
    ):
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        np.testing.assert_allclose(a, b, atol=tolerance * max(1, np.abs(b).max()))
