"""The joint train step: however it is computed - in chunks, in parts, on many devices - the
gradient is the same.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from steps import joint_training

from lofi_jax import config as configs
from lofi_jax.config import named, optimizer, typed
from lofi_jax.jobs.planning import planning
from lofi_jax.models.heads.gtad import GTAD
from lofi_jax.run.networks import initial_encoder, make_encoder
from lofi_jax.training.networks import Chunks, encode_videos
from lofi_jax.training.sharding import make_mesh, placement, shard_batch
from lofi_jax.training.step import jit_step

CLASSES = 3
ENCODERS = {
    "tsm": tiny.get_config().encoder,
    "bottleneck": named("tsm_resnet50", stage_sizes=(1, 1), widths=(4, 8), stem="small"),
    "r2plus1d": named("r2plus1d", stage_sizes=(1, 1), widths=(8, 16)),
    "mmaction2": named("r2plus1d", stage_sizes=(1, 1), widths=(8, 16), form="mmaction2"),
}
HEADS = {
    "gtad": tiny.get_config().head,
    "bmn": named("bmn", channels=16, widths=(16, 8, 8, 8), bins=4),
    "actionformer": named("actionformer", channels=16, heads=2, window=5, levels=2),
    "tridet": named("tridet", channels=16, hidden=16, stem=1, levels=2, bins=4, deviation=0.5),
}


def config_of(encoder="tsm", head="gtad", **keys):
    """A config whose optimizer changes the parameters by the gradient itself."""
    c = tiny.get_config()
    c.unlock()
    c.encoder, c.head = ENCODERS[encoder], HEADS[head]
    c.joint.fidelity = "full"
    c.joint.optimizer = optimizer(name="sgd", weight_decay=0.0)
    for key, value in keys.items():
        c.update_from_flattened_dict({key.replace("__", "."): value})
    return typed(c)


def make(c, mesh=(1, 1)):
    mesh = make_mesh(*mesh)
    encoder = initial_encoder(c, jax.random.key(0))
    # As after training: a block whose last scale is zero would pass no gradient.
    params = jax.tree.map(
        lambda x: x + 0.1 * jax.random.normal(jax.random.key(x.size), x.shape), encoder["params"]
    )
    state, step = joint_training(c, mesh, {**encoder, "params": params}, CLASSES, 1.0)
    placed = placement(state, mesh, c.mesh.parameters)
    return mesh, jax.device_put(state, placed), jit_step(step, placed)


def a_batch(videos=4, snippets=16, side=16):
    rng = np.random.default_rng(0)
    ends = np.sort(rng.uniform(size=(videos, 3, 2)), axis=-1).astype(np.float32)
    return {
        "frames": rng.integers(0, 256, (videos, snippets, 2, side, side, 3), np.uint8),
        "segments": ends,
        "labels": rng.integers(0, CLASSES, (videos, 3)).astype(np.int32),
        "valid": np.array([[True, True, False], [True, False, False], [False] * 3, [True] * 3]),
    }


def gradient(c, mesh=(1, 1)):
    mesh, state, step = make(c, mesh)
    before = jax.tree.map(np.asarray, state.params)
    after, terms = step(state, shard_batch(a_batch(), mesh))
    return terms["loss"], jax.tree.map(lambda a, b: a - np.asarray(b), before, after.params)


def assert_same(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found[0], expected[0], rtol=tolerance)
    largest = max(np.abs(x).max() for x in jax.tree.leaves(expected[1]))
    assert largest > 1e-2
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance * largest),
        found[1],
        expected[1],
    )


@pytest.fixture(scope="module")
def plain():
    """The gradient of everything at once on one device."""
    return gradient(config_of())


SLOW = ("blocks", "parts in chunks")
CHANGES = {
    "convolutions of a chunk": {"joint__chunk": 4, "joint__keep": "convolutions"},
    "blocks": {"joint__keep": "blocks"},
    "parts": {"joint__accumulate": 4},
    "parts in chunks": {"joint__accumulate": 2, "joint__chunk": 8},
}


@pytest.mark.parametrize(
    "change", [pytest.param(c, marks=pytest.mark.slow) if c in SLOW else c for c in CHANGES]
)
def test_what_is_kept_changes_no_gradient(plain, change):
    assert_same(gradient(config_of(**CHANGES[change])), plain)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", list(ENCODERS)[1:])
def test_nor_does_it_for_any_encoder(encoder):
    changed = {"joint__chunk": 4, "joint__keep": "blocks", "joint__accumulate": 2}
    assert_same(gradient(config_of(encoder, **changed)), gradient(config_of(encoder)))


@pytest.mark.slow
@pytest.mark.parametrize("head", list(HEADS)[1:])
def test_nor_for_any_head(head):
    changed = {"joint__chunk": 4, "joint__accumulate": 4}
    parts, whole = gradient(config_of(head=head, **changed)), gradient(config_of(head=head))
    assert_same(parts, whole, 3e-5)  # TriDet's float32 rounds to 1.2e-5 on some CPUs


@pytest.mark.parametrize(
    ("mesh", "parameters"), [((2, 4), "replicated"), ((2, 4), "sharded"), ((1, 4), "sharded")]
)
def test_devices_change_no_gradient(plain, mesh, parameters):
    assert_same(gradient(config_of(mesh__parameters=parameters), mesh), plain)


def test_parts_and_chunks_on_devices_change_none(plain):
    c = config_of(joint__accumulate=2, joint__chunk=2, mesh__parameters="sharded")
    assert_same(gradient(c, (2, 2)), plain)


def collectives(c, mesh):
    mesh, state, step = make(c, mesh)
    program = step.lower(state, shard_batch(a_batch(), mesh)).compile().as_text()
    names = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute"
    return set(re.findall(rf" ({names})(?:-start)?\(", program))


def test_replicated_parameters_only_sum_over_videos():
    assert collectives(config_of(), (4, 1)) == {"all-reduce"}


def test_a_video_over_devices_gathers_its_features_besides():
    assert collectives(config_of(), (2, 2)) == {"all-reduce", "all-gather"}


@pytest.mark.slow
def test_sharded_parameters_take_a_part_of_the_memory():
    size = {}
    for parameters in ("replicated", "sharded"):
        mesh, state, step = make(config_of(mesh__parameters=parameters), (4, 2))
        after, _ = step(state, shard_batch(a_batch(), mesh))
        on_one = [x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(after)]
        size[parameters] = sum(on_one)
    assert size["sharded"] < 0.3 * size["replicated"]


def test_bfloat16_computes_in_it_and_keeps_all_else_in_float32(plain):
    c = config_of(dtype="bfloat16")
    mesh, state, step = make(c)
    batch = shard_batch(a_batch(), mesh)
    program = step.lower(state, batch).as_text()
    convolutions = re.findall(r"stablehlo\.convolution.*-> tensor<\S+x(\w+)>", program)
    assert set(convolutions) == {"bf16"} and len(convolutions) > 10
    after, terms = step(state, batch)
    assert {x.dtype.name for x in jax.tree.leaves(after.params)} == {"float32"}
    assert terms["loss"].dtype == jnp.float32
    np.testing.assert_allclose(terms["loss"], plain[0], rtol=0.05)


def temporaries(snippets, videos=1):
    """Bytes of temporaries of the encoder's gradient at a chunk of 5 snippets."""
    c = config_of(data__snippets=snippets)
    encode = encode_videos(make_encoder(c), make_mesh(1, 1), Chunks(5))

    def loss(variables, frames):
        return jnp.sum(jnp.sin(encode(variables, frames)))

    variables = jax.eval_shape(lambda: initial_encoder(c, jax.random.key(0)))
    frames = jax.ShapeDtypeStruct((videos, snippets, 2, 64, 64, 3), jnp.uint8)
    program = jax.jit(jax.grad(loss)).lower(variables, frames).compile()
    return program.memory_analysis().temp_size_in_bytes


def test_memory_does_not_grow_with_the_video_nor_with_the_batch():
    sizes = [temporaries(snippets) for snippets in (25, 400)]
    assert max(sizes) < 1.1 * min(sizes)
    assert temporaries(100, videos=4) < 1.1 * min(sizes)


@pytest.mark.slow
def test_a_batch_in_parts_takes_the_memory_of_a_part():
    def temporaries_gib(**keys):
        c = config_of(**{f"joint__{key}": value for key, value in keys.items()})
        at = configs.full_fidelity(c)
        return planning.measure(c, make_mesh(1, 1), configs.rows_of(c)[-1], at).temporaries_gib

    one, at_once = temporaries_gib(batch_size=1), temporaries_gib(batch_size=8)
    assert temporaries_gib(batch_size=8, accumulate=8) < one + 0.2 * (at_once - one)


def test_the_head_takes_under_150_mb_a_video():
    head = GTAD()
    features = jax.ShapeDtypeStruct((1, 100, 512), jnp.float32)
    params = jax.eval_shape(head.init, jax.random.key(0), features)

    def loss(params, features, batch):
        return head.loss(head.apply(params, features), batch, jax.random.key(0))[0]

    batch = {
        "segments": jax.ShapeDtypeStruct((1, 20, 2), jnp.float32),
        "valid": jax.ShapeDtypeStruct((1, 20), bool),
    }
    program = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, features, batch).compile()
    assert program.memory_analysis().temp_size_in_bytes < 150e6
