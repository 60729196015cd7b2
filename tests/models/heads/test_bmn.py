"""The BMN head: shapes, what it can learn, and finite numbers whatever the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from heads import check_finite, trained, video

from lofi_jax.models.heads.bmn import BMN

THIN = {"channels": 16, "widths": (16, 16, 16, 16), "bins": 4}


@pytest.mark.parametrize("snippets", [1, 7])
def test_loss_and_gradients_are_finite_whatever_the_batch(snippets):
    names = {"start", "end", "classification", "regression"}
    check_finite(BMN(**THIN), snippets, names)


def test_the_default_head_has_the_published_shapes():
    head = BMN()
    shapes = jax.eval_shape(head.init, jax.random.key(0), jnp.zeros((1, 100, 400)))["params"]
    assert shapes["base1"]["kernel"].shape == (3, 100, 256)
    assert shapes["align"]["kernel"].shape == (256, 32, 512)
    assert shapes["map1"]["kernel"].shape == (512, 128)
    assert shapes["map2"]["kernel"].shape == shapes["map3"]["kernel"].shape == (3, 3, 128, 128)
    outputs = jax.eval_shape(head.apply, {"params": shapes}, jnp.zeros((2, 100, 400)))
    assert outputs["start"].shape == (2, 100) and outputs["regression"].shape == (2, 5050)


def test_an_unknown_layout_is_an_error():
    with pytest.raises(TypeError, match="start_end, duration_start"):
        jax.eval_shape(
            BMN(**THIN, layout="end_start").init, jax.random.key(0), jnp.zeros((1, 4, 8))
        )


def test_it_learns_to_find_the_segments_of_a_video():
    segments = [(1 / 12, 4 / 12), (6 / 12, 10 / 12)]
    head = BMN(**THIN)
    outputs, _ = trained(head, video(segments))
    found, scores, labels = head.proposals(outputs)[0]
    assert len(found) == 66  # all but those that end with the video
    best = found[np.argsort(-scores)[:2]]
    np.testing.assert_allclose(sorted(best.tolist()), segments, atol=1e-6)
    assert labels is None
    # By mmaction2's rules the boundaries choose.
    chosen = BMN(**THIN, layout="duration_start").proposals(outputs)[0]
    assert len(chosen.segments) < 66 and chosen.scores.max() == scores.max()
