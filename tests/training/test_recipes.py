"""What a recipe can add: a running mean of the parameters, groups, frozen ones; worked by hand."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lofi_jax.data.loader import clips
from lofi_jax.errors import UserError
from lofi_jax.models.heads.actionformer import ActionFormer
from lofi_jax.stages.pretrain import make_loss
from lofi_jax.training import checkpoints, groups, loop, optimizer
from lofi_jax.training.loop import Training
from lofi_jax.training.networks import apply_heads
from lofi_jax.training.optimizer import Group, Optimizer
from lofi_jax.training.session import Session
from lofi_jax.training.sharding import make_mesh
from lofi_jax.training.step import initial_state, make_step

SGD = Optimizer(name="sgd", weight_decay=0.0)


def params():
    return {
        "encoder": {
            "conv": {"kernel": jnp.ones((1, 1)), "bias": jnp.ones(1)},
            "block": {"adapter": {"kernel": jnp.ones((1, 1))}},
        },
        "head": {"kernel": jnp.ones((1, 1)), "scale": jnp.ones(1)},
    }


def test_groups_by_path():
    assert groups.group_of(("encoder", "block3", "adapter_down", "kernel")) == "adapters"
    assert groups.group_of(("encoder", "block3", "kernel")) == "backbone"
    assert groups.group_of(("classifier", "kernel")) == "head"


@pytest.mark.parametrize("frozen", [(), ("backbone",), ("adapters", "head")])
def test_parts_merge_to_the_whole(frozen):
    parts = groups.split(params(), frozen)
    merged = groups.merge(*parts)
    assert jax.tree.structure(merged) == jax.tree.structure(params())
    assert sum(len(jax.tree.leaves(part)) for part in parts) == 5


def updates_of(settings, **keys):
    """By how much each parameter moves, at a learning rate of 1 and a gradient of 1."""
    transform = optimizer.make(settings, optax.constant_schedule(1.0), **keys)
    gradient = jax.tree.map(jnp.ones_like, params())
    moved, _ = transform.update(gradient, transform.init(params()), params())
    return jax.tree.map(lambda x: -float(x.sum()), moved)


def test_rates_and_decays_by_group_by_hand():
    settings = dataclasses.replace(
        SGD,
        weight_decay=0.1,
        decay_vectors=False,
        adapters=Group(2.0, 3.0),
        head=Group(0.5, 0.0),
    )
    moved = updates_of(settings, encoder_scale=0.1)
    assert moved["encoder"]["conv"] == pytest.approx({"kernel": 0.1 * 1.1, "bias": 0.1})
    assert moved["encoder"]["block"]["adapter"]["kernel"] == pytest.approx(0.1 * 2 * 1.3)
    assert moved["head"] == pytest.approx({"kernel": 0.5, "scale": 0.5})


@pytest.mark.parametrize("name", optimizer.OPTIMIZERS)
def test_without_groups_all_are_treated_alike(name):
    settings = Optimizer(name=name, weight_decay=0.1)
    transform = optimizer.make(settings, optax.constant_schedule(0.01))
    plain = {
        "sgd": optax.chain(
            optax.add_decayed_weights(0.1), optax.sgd(optax.constant_schedule(0.01))
        ),
        "adam": optax.chain(
            optax.add_decayed_weights(0.1), optax.adam(optax.constant_schedule(0.01))
        ),
        "adamw": optax.adamw(optax.constant_schedule(0.01), weight_decay=0.1),
    }[name]
    states = [x.init(params()) for x in (transform, plain)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    gradient = jax.tree.map(jnp.ones_like, params())
    found, expected = (
        x.update(gradient, state, params())[0]
        for x, state in zip((transform, plain), states, strict=True)
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_cosine_may_be_longer_than_the_training():
    settings = Optimizer(learning_rate=1.0, warmup_epochs=1.0, cosine_epochs=5.0)
    rate = optimizer.learning_rate(settings, steps=30, steps_per_epoch=10)
    found = [float(rate(step)) for step in (0, 10, 30, 50)]
    np.testing.assert_allclose(found, [0, 1, 0.5, 0], atol=1e-6)


@jax.custom_vjp
def undifferentiable(x):
    return x


def _refuse(_, gradient):
    raise AssertionError("a gradient was asked for")


undifferentiable.defvjp(lambda x: (x, None), _refuse)


def a_loss(params, batch_stats, batch, key):
    encoder, head = params["encoder"], params["head"]
    kernel = undifferentiable(encoder["conv"]["kernel"]) * head["kernel"]
    total = jnp.sum((kernel + encoder["block"]["adapter"]["kernel"]) * batch["x"])
    return total, ({}, batch_stats)


def test_a_frozen_group_has_no_gradient_no_memory_and_stays():
    settings = dataclasses.replace(Optimizer(weight_decay=0.1), backbone=Group(0.0))
    frozen = settings.frozen
    assert frozen == ("backbone",)
    transform = optimizer.make(settings, optax.constant_schedule(0.1))
    state = initial_state(params(), {}, transform, frozen, ema=0.5)
    # Two moments and a mean for each of the three parameters that train.
    sizes = [x.size for x in jax.tree.leaves((state.opt_state, state.ema)) if x.ndim]
    assert sizes == [1] * 9
    step = jax.jit(make_step(a_loss, transform, 0, frozen, ema=0.5))
    after, _ = step(state, {"x": jnp.ones(())})
    before = params()
    jax.tree.map(
        np.testing.assert_array_equal, after.params["encoder"]["conv"], before["encoder"]["conv"]
    )
    assert after.params["head"]["kernel"] < 1 and "conv" not in after.ema["encoder"]
    everything = optimizer.make(Optimizer(), optax.constant_schedule(0.1))
    with pytest.raises(AssertionError, match="a gradient was asked for"):
        make_step(a_loss, everything, 0)(
            initial_state(params(), {}, everything), {"x": jnp.ones(())}
        )


def test_nothing_trained_is_an_error():
    with pytest.raises(UserError, match="nothing is trained.*learning_rate_scale above 0"):
        initial_state({"head": params()["head"]}, {}, optax.sgd(0.1), ("head",), ema=0.9)


class Ones:
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return {"x": np.float32(1 + i)}


def fall(folder, steps, ema):
    """Moves a parameter by each batch's mean."""

    def loss(params, batch_stats, batch, key):
        return jnp.sum(params["head"]["w"] * batch["x"].mean()), ({}, batch_stats)

    transform = optax.sgd(0.1)
    state = initial_state({"head": {"w": jnp.zeros(1)}}, {}, transform, (), ema)
    step, rate = make_step(loss, transform, 5, (), ema), optax.constant_schedule(0.1)
    session = Session(make_mesh(2, 1), log_every=1, checkpoint_seconds=0.0)
    batches = clips.training_batches(Ones(), None, 2, seed=1)
    return loop.train(Training("fall", folder, state, step, steps, rate), batches, session)


def test_the_mean_of_the_parameters_by_hand_and_after_a_restart(tmp_path):
    iterator = iter(clips.training_batches(Ones(), None, 2, seed=1))
    last, mean = 0.0, 0.0
    for _ in range(7):
        last -= 0.1 * next(iterator)["x"].mean()
        mean = 0.9 * mean + 0.1 * last
    whole = fall(tmp_path / "whole", 7, 0.9)
    np.testing.assert_allclose(whole.params["head"]["w"], last, rtol=1e-6)
    np.testing.assert_allclose(whole.ema["head"]["w"], mean, rtol=1e-6)
    fall(tmp_path / "broken", 3, 0.9)
    resumed = fall(tmp_path / "broken", 7, 0.9)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    saved = checkpoints.load_state(tmp_path / "broken" / "checkpoints")
    np.testing.assert_array_equal(saved["params"]["head"]["w"], whole.ema["head"]["w"])
    without = fall(tmp_path / "without", 7, 0.0)
    np.testing.assert_array_equal(without.params["head"]["w"], whole.params["head"]["w"])
    saved = checkpoints.load_state(tmp_path / "without" / "checkpoints")
    np.testing.assert_array_equal(saved["params"]["head"]["w"], without.params["head"]["w"])


def test_smoothed_labels_by_hand():
    class Pixels(nn.Module):
        """The mean of a clip's three channels is its feature."""

        def __call__(self, frames, train=False):
            return jnp.asarray(frames, jnp.float32).mean(axis=(1, 2, 3))

    identity = {"encoder": {}, "classifier": {"kernel": jnp.eye(3), "bias": jnp.zeros(3)}}
    frames = np.zeros((1, 1, 1, 1, 3), np.uint8)
    frames[..., 0] = 2
    batch = {"frames": frames, "label": np.array([0])}
    log = np.array([2.0, 0.0, 0.0]) - np.log(np.exp(2) + 2)
    for smoothing in (0.0, 0.3):
        total, _ = make_loss(Pixels(), 3, smoothing)(identity, {}, batch, jax.random.key(0))
        labels = np.array([1.0, 0, 0]) * (1 - smoothing) + smoothing / 3
        np.testing.assert_allclose(total, -(labels * log).sum(), rtol=1e-6)


def test_what_a_head_draws_depends_neither_on_devices_nor_on_microbatches():
    head = ActionFormer(
        2, channels=8, heads=2, window=3, stem=0, levels=2, drop_path=0.5, input_dropout=0.4
    )
    features = np.random.default_rng(0).normal(size=(4, 6, 5)).astype(np.float32)
    params = jax.jit(head.init)(jax.random.key(0), features)["params"]

    def outputs(mesh, microbatches):
        apply = jax.jit(apply_heads(head, "float32", make_mesh(*mesh), microbatches))
        return np.asarray(apply(params, features, jax.random.key(7))["classification"][1])

    whole = outputs((1, 1), 1)
    np.testing.assert_allclose(outputs((2, 2), 2), whole, rtol=1e-5, atol=1e-6)
    still = jax.jit(head.apply)({"params": params}, features)["classification"][1]
    assert np.abs(whole - still).max(axis=(1, 2)).min() > 1e-4
