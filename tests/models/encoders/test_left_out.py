"""Drop path in the encoders of windows: a clip whose last block is left out has the features of a
shallower encoder.
"""

import jax
import numpy as np
import pytest

from lofi_jax.models import VJEPA, ActionFormer, VideoMAE, VideoPrism
from lofi_jax.models.layers.drop_path import factors
from lofi_jax.stages import joint, pretrain
from lofi_jax.training.networks import Chunks, encode_videos, sample_keys
from lofi_jax.training.sharding import make_mesh

SIZES = {"width": 12, "heads": 2, "patch": 8, "clip": 2}
RATE, WINDOWS, CLIPS = 0.6, 2, 4
EMPTY = {"batch_stats": {}}
FRAMES = np.random.default_rng(0).integers(0, 256, (WINDOWS, 2 * CLIPS, 16, 8, 3), np.uint8)


def videoprism(depths, **how):
    return VideoPrism(depths=depths, positions=(2, 2, 2), **SIZES, **how)


# An encoder of two blocks, the one without its last, and where its blocks' parameters lie.
ENCODERS = {
    "videomae": (lambda d, **how: VideoMAE(depth=d, image=16, **SIZES, **how), 2, 1, "blocks"),
    "vjepa": (lambda d, **how: VJEPA(depth=d, **SIZES, **how), 2, 1, "blocks"),
    "videoprism, space": (videoprism, (2, 0), (1, 0), "spatial"),
    "videoprism, time": (videoprism, (1, 1), (1, 0), "temporal"),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_a_block_that_is_left_out_is_as_if_it_were_not_there(name):
    make, depth, shallower, part = ENCODERS[name]
    encoder = make(depth, drop_path=RATE)
    given = jax.jit(encoder.init)(jax.random.key(0), FRAMES)
    keys = sample_keys(encoder, jax.random.key(7), WINDOWS)
    found = jax.jit(encoder.apply, static_argnames="chunk")(given, FRAMES, chunk=1, keys=keys)

    blocks = jax.tree.map(lambda p: p[:-1], given["params"][part])
    fewer = {"params": given["params"] | {part: blocks}}
    wanted = jax.jit(make(shallower).apply)(fewer, FRAMES)
    same = np.isclose(found, wanted, rtol=1e-5, atol=1e-6).all(axis=-1)
    left_out = (np.asarray(factors(RATE, keys, CLIPS, 2))[1] == 0).all(axis=-1)
    assert 0 < left_out.sum() < left_out.size
    assert same.reshape(left_out.size, -1).tolist() == [
        [out] * (same.size // left_out.size) for out in left_out
    ]


def test_nothing_is_left_out_without_keys():
    dropping, plain = (VideoMAE(depth=2, **SIZES, drop_path=rate) for rate in (RATE, 0.0))
    given = jax.jit(plain.init)(jax.random.key(0), FRAMES)
    found, wanted = (jax.jit(encoder.apply)(given, FRAMES) for encoder in (dropping, plain))
    np.testing.assert_array_equal(found, wanted)
    assert sample_keys(plain, jax.random.key(7), WINDOWS) is None


def test_a_rate_of_dropping_beyond_one_is_refused():
    with pytest.raises(TypeError, match=r"drop_path is 1.0: it must be in \[0, 1\)"):
        VideoMAE(depth=2, **SIZES, drop_path=1.0)


def test_what_is_left_out_depends_on_no_device_microbatch_or_chunk():
    encoder = VideoMAE(depth=2, **SIZES, drop_path=RATE)
    given = jax.jit(encoder.init)(jax.random.key(0), FRAMES)
    snippets = np.concatenate([FRAMES, FRAMES]).reshape(4, CLIPS, 2, *FRAMES.shape[2:])
    keys = sample_keys(encoder, jax.random.key(7), 4)

    def features(mesh, chunks):
        return jax.jit(encode_videos(encoder, mesh, chunks))(given, snippets, keys)

    plain = features(make_mesh(1, 1), Chunks())
    parts = features(make_mesh(2, 1), Chunks(1, microbatches=2))
    np.testing.assert_allclose(parts, plain, atol=1e-5)


@pytest.mark.parametrize("rate", [0.0, RATE])
def test_both_trainings_of_an_encoder_leave_branches_out(rate):
    encoder = VideoMAE(depth=2, **SIZES, drop_path=rate)
    given = jax.jit(encoder.init)(jax.random.key(0), FRAMES)
    head = ActionFormer(1, channels=8, heads=2, window=3, stem=0, levels=1)
    networks = joint.Networks(encoder, head)
    videos = {"frames": FRAMES.reshape(WINDOWS, CLIPS, 2, *FRAMES.shape[2:])}
    videos |= {"segments": np.tile(np.float32([0.2, 0.8]), (WINDOWS, 1, 1))}
    videos |= {"labels": np.zeros((WINDOWS, 1), int), "valid": np.ones((WINDOWS, 1), bool)}
    clips = {"frames": FRAMES, "label": np.array([0, 1])}
    for loss, (params, _), batch in (
        (pretrain.make_loss(encoder, 2), pretrain.initial(given | EMPTY, 12, 2, 0), clips),
        (
            joint.make_loss(networks, make_mesh(1, 1)),
            joint.initial(networks, given | EMPTY, (CLIPS, 2, 16, 8, 3), 0),
            videos,
        ),
    ):
        of = jax.jit(loss)
        first, second = (of(params, {}, batch, jax.random.key(seed))[0] for seed in (0, 1))
        assert (first == second) == (rate == 0)
