"""Encoders of windows beside those of snippets: one way to call both, and what each refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.errors import UserError
from lofi_jax.models import windows
from lofi_jax.models.encoders.tsm import TSM
from lofi_jax.models.protocols import WindowEncoder


class Brightness:
    """A window's mean colour, for every two frames."""

    clip, patch, adapter, backbone = 4, 8, "none", "trained"

    def init(self, key, x, /):
        return {}

    def init_with_output(self, key, x, /):
        return self.apply({}, x), {}

    def apply(self, variables, x, /, *args, train=False, mutable=False, chunk=0):
        pairs = x.reshape(len(x), -1, 2, *x.shape[2:]).astype(jnp.float32)
        features = pairs.mean(axis=(2, 3, 4))
        return (features, {}) if mutable else features

    def clone(self, **changes):
        return self


def frames(snippets, length):
    values = np.arange(2 * snippets * length * 8 * 8 * 3) % 251
    return values.astype(np.uint8).reshape(2, snippets, length, 8, 8, 3)


def test_the_kinds_are_told_apart_by_their_shape():
    assert isinstance(Brightness(), WindowEncoder)
    assert not isinstance(TSM(stage_sizes=(1,), widths=(8,)), WindowEncoder)


@pytest.mark.parametrize(("snippets", "length"), [(2, 4), (4, 2), (1, 8)])
def test_a_snippets_feature_is_the_mean_of_its_own(snippets, length):
    given = frames(snippets, length)
    found = windows.encode(Brightness(), {}, given, microbatches=2)
    np.testing.assert_allclose(found, given.mean(axis=(2, 3, 4)), rtol=1e-5)


def test_fewer_features_than_snippets_are_interpolated():
    given = jnp.asarray([[[0.0], [4.0]]])
    found = windows.resampled(given, 4)
    np.testing.assert_allclose(found[0, :, 0], [0.0, 1.0, 3.0, 4.0])


def test_a_clips_feature_is_the_mean_over_time_with_the_new_state():
    given = frames(1, 8)[:, 0]
    plain = windows.encode_clips(Brightness(), {}, given)
    trained, new = windows.encode_clips(Brightness(), {}, given, train=True, mutable="batch_stats")
    np.testing.assert_allclose(plain, given.mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_array_equal(trained, plain)
    assert new == {}


def test_chunks_count_snippets_or_clips():
    assert windows.pieces(TSM(stage_sizes=(1,), widths=(8,)), 12, 4) == 12
    assert windows.pieces(Brightness(), 12, 4) == 12
    assert windows.pieces(Brightness(), 12, 1) == 3


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((6, 8, 8), "clips of 4 frames do not divide the 6 of a window .*: 4 or 8 would do"),
        ((2, 8, 8), "clips of 4 frames do not divide the 2 of a window .*: 4 would do"),
        ((4, 8, 20), "patches of 8 pixels do not divide a width of 20: 16 or 24 would do"),
        ((4, 4, 8), "patches of 8 pixels do not divide a height of 4: 8 would do"),
    ],
)
def test_what_does_not_divide_is_refused_with_what_would(size, says):
    with pytest.raises(UserError, match=says):
        windows.check(Brightness(), *size)
    with pytest.raises(UserError, match=says):
        jax.eval_shape(
            lambda x: windows.encode(Brightness(), {}, x),
            jax.ShapeDtypeStruct((1, 1, *size, 3), jnp.uint8),
        )
