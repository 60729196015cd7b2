"""Drop path: whole samples of a branch, at the stated rate, whatever batch they come in."""

import jax
import numpy as np

from lofi_jax.models.layers.drop_path import drop_path, factors, of_layer, rates


def keys_of(samples, seed=0):
    return jax.random.split(jax.random.key(seed), samples)


def test_a_sample_is_dropped_whole_or_scaled_up():
    branch = np.arange(1.0, 1 + 400 * 6).reshape(400, 2, 3).astype(np.float32)
    out = np.asarray(drop_path(branch, 0.25, keys_of(400)))
    dropped = (out == 0).all(axis=(1, 2))
    np.testing.assert_allclose(out[~dropped], branch[~dropped] / 0.75, rtol=1e-6)
    assert 70 < dropped.sum() < 130  # 100 expected, of deviation 8.7


def test_nothing_is_dropped_without_keys_or_at_rate_zero():
    branch = np.ones((4, 2), np.float32)
    assert drop_path(branch, 0.5, None) is branch
    assert drop_path(branch, 0.0, keys_of(4)) is branch
    assert of_layer(None, 3) is None


def test_a_sample_does_not_depend_on_the_others():
    branch, keys = np.ones((64, 2), np.float32), keys_of(64)
    whole = drop_path(branch, 0.5, keys)
    parts = [drop_path(branch[i : i + 16], 0.5, keys[i : i + 16]) for i in range(0, 64, 16)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_branches_differ():
    branch, keys = np.ones((64, 1), np.float32), keys_of(64)
    one, other = (drop_path(branch, 0.5, of_layer(keys, i)) for i in (0, 1))
    assert 16 < np.sum(np.asarray(one) != np.asarray(other)) < 48


def test_every_clip_draws_for_each_branch_by_itself_and_more_are_left_out_with_depth():
    found = np.asarray(factors(0.5, keys_of(4), clips=200, depth=3))
    assert found.shape == (3, 800, 2)
    for layer, rate in enumerate((0.0, 0.25, 0.5)):
        values = {np.float32(1 / (1 - rate))} | ({0.0} if rate else set())
        assert set(np.unique(found[layer])) == values
        assert abs(np.mean(found[layer] == 0) - rate) < 0.04  # of deviation 0.0125 at most
    assert 0.4 < np.mean(found[2, :, 0] != found[2, :, 1]) < 0.6
    # Of the last two windows alone.
    parts = factors(0.5, keys_of(4)[2:], clips=200, depth=3)
    np.testing.assert_array_equal(parts, found[:, 400:])


def test_no_factors_are_drawn_without_keys_or_at_rate_zero():
    assert factors(0.5, None, clips=2, depth=3) is None
    assert factors(0.0, keys_of(4), clips=2, depth=3) is None


def test_rates_rise_linearly():
    np.testing.assert_allclose(rates(0.1, 5), [0, 0.025, 0.05, 0.075, 0.1])
    assert rates(0.1, 1) == [0.0]
