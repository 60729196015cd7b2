"""The TSM encoder: what moves where, and what a feature may depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lofi_jax.models import ENCODERS
from lofi_jax.models.encoders.tsm import TSM, shift

THIN = dict(stage_sizes=(1, 1), widths=(8, 16), stem="small", shift_div=4)


def test_the_first_part_comes_from_the_next_frame_and_the_second_from_the_previous():
    x = jnp.arange(2 * 3 * 8, dtype=jnp.float32).reshape(6, 1, 1, 8)  # two snippets of 3 frames
    moved = shift(x, frames=3, shift_div=4).reshape(2, 3, 8)
    x = x.reshape(2, 3, 8)
    np.testing.assert_array_equal(moved[:, :2, :2], x[:, 1:, :2])
    np.testing.assert_array_equal(moved[:, 2, :2], 0)
    np.testing.assert_array_equal(moved[:, 1:, 2:4], x[:, :2, 2:4])
    np.testing.assert_array_equal(moved[:, 0, 2:4], 0)
    np.testing.assert_array_equal(moved[:, :, 4:], x[:, :, 4:])


def test_the_named_encoder_has_the_published_number_of_parameters():
    encoder = ENCODERS["tsm_resnet18"]()
    frames = jax.ShapeDtypeStruct((1, 8, 224, 224, 3), jnp.uint8)
    variables = jax.eval_shape(encoder.init, jax.random.key(0), frames)
    count = sum(x.size for x in jax.tree.leaves(variables["params"]))
    assert count + 512 * 1000 + 1000 == 11_689_512  # ResNet-18 with its 1000-class layer


@pytest.fixture(scope="module")
def thin():
    encoder = TSM(**THIN)
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 12, 10, 3), np.uint8)
    variables = encoder.init(jax.random.key(0), frames)
    # The last BatchNorm of a block begins at zero, which would hide what its convolutions see.
    raised = jax.tree.map(lambda x: x + 0.3 if x.ndim == 1 else x, variables["params"])
    return encoder, variables | {"params": raised}, frames


def test_features_follow_the_order_of_frames(thin):
    encoder, variables, frames = thin
    forward = encoder.apply(variables, frames)
    assert forward.shape == (3, 16) and forward.dtype == jnp.float32
    assert np.abs(forward - encoder.apply(variables, frames[:, ::-1])).max() > 1e-3


def test_a_snippets_feature_depends_on_that_snippet_alone(thin):
    encoder, variables, frames = thin
    together = encoder.apply(variables, frames)
    for i in range(3):
        np.testing.assert_allclose(
            encoder.apply(variables, frames[i : i + 1])[0], together[i], atol=1e-4
        )


def test_training_updates_the_statistics_and_evaluation_does_not(thin):
    encoder, variables, frames = thin
    _, new = encoder.apply(variables, frames, train=True, mutable="batch_stats")
    same, frozen = encoder.apply(variables, frames, mutable="batch_stats")
    changed = jax.tree.map(
        lambda a, b: bool((a != b).any()), new["batch_stats"], variables["batch_stats"]
    )
    assert all(jax.tree.leaves(changed))
    assert jax.tree.all(
        jax.tree.map(lambda a, b: (a == b).all(), frozen["batch_stats"], variables["batch_stats"])
    )
