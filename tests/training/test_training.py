"""Optimizers, the step, and a loop that a restart does not change."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lofi_jax.data.loader import clips
from lofi_jax.errors import UserError
from lofi_jax.models.encoders.tsm import TSM
from lofi_jax.models.pixel_rows import unfolded
from lofi_jax.training import checkpoints, loop, optimizer
from lofi_jax.training.curve import read_curve
from lofi_jax.training.loop import Training
from lofi_jax.training.memory import OutOfMemory, naming_exhausted_memory
from lofi_jax.training.optimizer import Optimizer
from lofi_jax.training.session import Session
from lofi_jax.training.sharding import make_mesh, over_mesh, replicate, shard_batch
from lofi_jax.training.step import initial_state, make_step


def test_the_papers_schedule_halves_every_five_epochs():
    s = Optimizer(name="sgd", learning_rate=0.1, schedule="step", decay=0.5, decay_epochs=5.0)
    rate = optimizer.learning_rate(s, steps=150, steps_per_epoch=10)
    found = [float(rate(step)) for step in (0, 49, 50, 99, 100, 149)]
    np.testing.assert_allclose(found, [0.1, 0.1, 0.05, 0.05, 0.025, 0.025], rtol=1e-6)


def test_warm_up_rises_to_the_peak_and_cosine_falls_to_zero():
    s = Optimizer(learning_rate=1.0, schedule="cosine", warmup_epochs=1.0)
    rate = optimizer.learning_rate(s, steps=30, steps_per_epoch=10)
    np.testing.assert_allclose([rate(0), rate(5), rate(10), rate(20)], [0, 0.5, 1, 0.5], atol=1e-6)
    assert rate(30) < 1e-6


@pytest.mark.parametrize("change", [{"name": "lion"}, {"schedule": "linear"}])
def test_an_unknown_name_lists_the_known_ones(change):
    s = Optimizer(**change)
    with pytest.raises(UserError, match=f"{next(iter(change.values()))}.*choose one of"):
        optimizer.make(s, optimizer.learning_rate(s, 1, 1))


def test_joint_scales_the_encoders_rate_and_limits_the_norm_over_both():
    s = Optimizer(name="sgd", weight_decay=0.0, clip_norm=1.0)
    transform = optimizer.make(s, optax.constant_schedule(1.0), encoder_scale=0.25)
    params = {"encoder": {"w": jnp.zeros(1)}, "head": {"w": jnp.zeros(1)}}
    gradient = {"encoder": {"w": jnp.full(1, 3.0)}, "head": {"w": jnp.full(1, 4.0)}}
    updates, _ = transform.update(gradient, transform.init(params), params)
    np.testing.assert_allclose(updates["encoder"]["w"], -0.25 * 0.6, rtol=1e-6)
    np.testing.assert_allclose(updates["head"]["w"], -0.8, rtol=1e-6)


class Numbers:
    """Random access to points of a line."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return {"x": np.float32(i), "y": np.float32(3 * i + 1)}


def fit(folder, steps, mesh=None, parameters="replicated", transform=optax.adam(0.05)):  # noqa: B008
    """Fits the line, with noise from the step's own key, to `steps` steps."""

    def loss(params, batch_stats, batch, key):
        noise = 0.01 * jax.random.normal(key)
        error = jnp.mean((params["a"] * batch["x"] + params["b"] - batch["y"] + noise) ** 2)
        return error, ({"noise": noise}, {"seen": batch_stats["seen"] + batch["x"].sum()})

    params = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    state = initial_state(params, {"seen": jnp.zeros(())}, transform)
    step, rate = make_step(loss, transform, seed=5), optax.constant_schedule(0.05)
    session = Session(mesh or make_mesh(2, 1), parameters, log_every=1, checkpoint_seconds=0.0)
    batches = clips.training_batches(Numbers(), None, 2, seed=1)
    return loop.train(Training("fit", folder, state, step, steps, rate), batches, session)


def test_a_restarted_training_ends_with_the_same_numbers(tmp_path):
    whole = fit(tmp_path / "whole", 20)
    fit(tmp_path / "broken", 8)
    resumed = fit(tmp_path / "broken", 20)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    curves = [
        [{**e, "waiting_for_data": 0} for e in read_curve(tmp_path / name)]
        for name in ("whole", "broken")
    ]
    assert [e["step"] for e in curves[0]] == list(range(1, 21)) and curves[0] == curves[1]
    assert loop.is_finished(tmp_path / "broken", 20)
    assert not loop.is_finished(tmp_path / "broken", 21)


def test_a_training_that_diverges_ends_and_keeps_what_was_saved_before(tmp_path):
    with pytest.raises(UserError, match=r"fit: the loss is (inf|nan) at step 2: lower the stage's"):
        fit(tmp_path, 20, transform=optax.sgd(1e30))
    assert checkpoints.latest_sound(tmp_path / "checkpoints") == 1
    with pytest.raises(UserError, match="at step 2"):
        fit(tmp_path, 20, transform=optax.sgd(1e30))


def test_a_checkpoint_goes_on_on_another_number_of_devices(tmp_path):
    fit(tmp_path, 4, make_mesh(2, 1))
    restored = fit(tmp_path, 6, make_mesh(1, 1))
    assert restored.step == 6 and len(restored.params["a"].devices()) == 1
    state = checkpoints.load_state(tmp_path / "checkpoints")
    assert isinstance(state["params"]["a"], np.ndarray)
    np.testing.assert_array_equal(state["params"]["a"], restored.params["a"])
    older = checkpoints.load_state(tmp_path / "checkpoints" / "5")
    assert older["step"] == 5


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
    fit(tmp_path, 4)
    (tmp_path / "checkpoints" / "6.orbax-checkpoint-tmp").mkdir()
    assert fit(tmp_path, 5).step == 5


def test_missing_checkpoints_are_named(tmp_path):
    with pytest.raises(UserError, match="nothing: no such checkpoint folder"):
        checkpoints.load_state(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no checkpoint"):
        checkpoints.load_state(tmp_path)


def test_a_torn_last_line_of_the_curve_is_left_out(tmp_path):
    (tmp_path / "curve.jsonl").write_text(json.dumps({"step": 1}) + '\n{"step": 2, "lo')
    assert read_curve(tmp_path) == [{"step": 1}]


def encode(weights, frames):
    return jnp.tanh(frames.mean((2, 3, 4)) @ weights["w"])


@pytest.mark.parametrize("shape", [(2, 1), (4, 1), (1, 4), (2, 2), (2, 4)])
def test_the_mesh_changes_no_gradient_and_only_sums_travel(shape):
    mesh = make_mesh(*shape)
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(4, 8, 2, 3, 3, 3)).astype(np.float32)
    weights = {"w": rng.normal(size=(3, 5)).astype(np.float32)}

    def loss(weights, frames, encode):
        return jnp.sum(encode(weights, frames) ** 3)

    plain = jax.grad(loss)(weights, frames, encode)
    spread = jax.jit(lambda w, x: jax.grad(loss)(w, x, over_mesh(encode, mesh, "data", "snippet")))
    args = (replicate(weights, mesh), unfolded(shard_batch({"frames": frames}, mesh)["frames"]))
    np.testing.assert_allclose(spread(*args)["w"], plain["w"], atol=1e-5)
    program = spread.lower(*args).compile().as_text()
    assert "all-reduce" in program
    for other in ("all-gather", "all-to-all", "collective-permute"):
        assert other not in program


def test_clips_are_spread_over_all_devices_and_change_no_gradient():
    encoder = TSM(stage_sizes=(1, 1), widths=(8, 16), stem="small", shift_div=4)
    clips = np.random.default_rng(0).integers(0, 256, (8, 2, 16, 16, 3), np.uint8)
    variables = jax.jit(encoder.init)(jax.random.key(0), clips)
    weights = np.random.default_rng(1).normal(size=(8, 16)).astype(np.float32)

    @jax.jit
    def gradient(params, batch):
        frames = unfolded(batch["frames"])

        def loss(params):
            current = {**variables, "params": params}
            features, _ = encoder.apply(current, frames, True, mutable="batch_stats")
            return jnp.sum(features * batch["weights"])

        return jax.grad(loss)(params)

    def on(mesh):
        batch = shard_batch({"frames": clips, "weights": weights}, mesh)
        assert len(batch["frames"].addressable_shards[0].data) == 8 // mesh.size
        return jax.tree.map(np.asarray, gradient(replicate(variables["params"], mesh), batch))

    expected, found = on(make_mesh(1, 1)), on(make_mesh(2, 4))
    largest = max(np.abs(x).max() for x in jax.tree.leaves(expected))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * largest), found, expected
    )


def test_sharded_parameters_go_on_replicated_on_another_mesh(tmp_path):
    fit(tmp_path / "a", 6, make_mesh(2, 1))
    fit(tmp_path / "b", 3, make_mesh(2, 4), "sharded")
    resumed = fit(tmp_path / "b", 6, make_mesh(2, 1))
    whole = checkpoints.load_state(tmp_path / "a" / "checkpoints")
    for name in ("a", "b"):
        np.testing.assert_allclose(resumed.params[name], whole["params"][name], rtol=1e-5)


def test_a_step_too_large_for_the_memory_names_the_key():
    huge = jax.jit(lambda: jnp.zeros(1 << 44) + 1)
    with pytest.raises(OutOfMemory, match="joint.*does not fit.*batch_size.*config.joint.chunk"):
        with naming_exhausted_memory("joint"):
            jax.block_until_ready(huge())


def test_what_cannot_be_spread_is_refused_by_key():
    mesh = make_mesh(2, 4)
    frames = np.zeros((2, 6, 1, 2, 2, 3), np.uint8)
    with pytest.raises(UserError, match="6 snippets cannot be spread over 4.*config.mesh.snippet"):
        shard_batch({"frames": frames}, mesh)
    with pytest.raises(UserError, match="batch of 3 cannot be spread over 2.*config.mesh"):
        shard_batch({"x": np.zeros(3)}, mesh)
    with pytest.raises(UserError, match=r"a 3 x 4 mesh, but only 8 devices.*config.mesh"):
        make_mesh(3, 4)
    assert math.prod(make_mesh(-1, 2).shape.values()) == 8
