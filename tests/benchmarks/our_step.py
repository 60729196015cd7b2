"""Our side of bench_step.py: the project's own steps, made from the config, on the weights that
PyTorch has.
"""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import Mesh
from step_work import HEAD, RATE, Work

from lofi_jax.config import Config
from lofi_jax.jobs.planning import planning
from lofi_jax.run.networks import (
    initial_encoder,
    joint_chunks,
    make_encoder,
    make_head,
    snippet_shape,
)
from lofi_jax.stages import head, joint
from lofi_jax.stages.extract import FullFidelityEncoder, jit_encode
from lofi_jax.training import memory, optimizer
from lofi_jax.training.sharding import make_mesh, placement, replicate, shard_batch
from lofi_jax.training.step import initial_state, jit_step, make_step
from lofi_jax.weights import assign, encoder_layouts, head_layouts

Weights = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def matmul_seconds(size: int, dtype: str) -> float:
    """The fastest of a few products of two square matrices."""
    a = jnp.ones((size, size), dtype)
    multiply = jax.jit(jnp.matmul)
    multiply(a, a).block_until_ready()
    return min(_seconds(lambda: multiply(a, a)) for _ in range(5))


def load(work: Work, arrays: dict, public: Weights, chunk: int):
    """Makes the work ready, and does it twice.

    Args:
        arrays: of `step_work.batch`.
        public: the encoder's and the head's weights, by their public names.
        chunk: snippets encoded at once; 0: all at once.

    Returns:
        A function that times it once, what it gave at first, and the memory XLA has planned for it
        on all devices, in GiB; None where that is more than there is.
    """
    config = dataclasses.replace(
        planning.with_joint(work.config, chunk=chunk),
        extract=dataclasses.replace(work.config.extract, chunk=chunk),
    )
    mesh = make_mesh(-1, 1)
    make = {"joint": _joint, "extract": _extract, "head": _head}[work.kind]
    try:
        with memory.naming_exhausted_memory(str(work)):
            do, peak = make(config, mesh, arrays, public)
            if peak > memory.limit_gib():
                return None
            found = jax.tree.map(np.asarray, do())
            do()
    except memory.OutOfMemory:
        return None
    return lambda: _seconds(do), found, peak * mesh.size


def tflop(work: Work) -> float:
    """Of the work, each product counted once: what is computed again is not."""
    config = work.config
    if work.kind == "head":
        mesh = make_mesh(1, 1, jax.devices("cpu"))  # which can count
        state, step = _head_training(config, mesh, work.width)
        shapes = {
            "features": jax.ShapeDtypeStruct((1, work.at.snippets, work.width), jnp.float32),
            "segments": jax.ShapeDtypeStruct((1, planning.INSTANCES, 2), jnp.float32),
            "valid": jax.ShapeDtypeStruct((1, planning.INSTANCES), bool),
        }
        flops = jax.jit(step).lower(state, shapes).cost_analysis()["flops"]
        return work.batch_size * flops / 1e12
    step, again, _ = planning.tflop(config, planning.lofi_rows(config)[0], work.at)
    return work.batch_size * (again - step if work.kind == "extract" else step)


def _joint(config: Config, mesh: Mesh, arrays: dict, public: Weights):
    variables = _encoder(config, public)
    module = make_head(config, "gtad", planning.CLASSES)
    networks = joint.Networks(make_encoder(config), module, config.dtype, joint_chunks(config))
    scale, rate = config.joint.encoder_scale, optax.constant_schedule(RATE)
    transform = optimizer.make(config.joint.optimizer, rate, scale)
    shape = (config.data.snippets, *snippet_shape(config))
    state = initial_state(*joint.initial(networks, variables, shape, config.seed), transform)
    step = make_step(joint.make_loss(networks, mesh), transform, config.seed)
    state = state.replace(params=state.params | {"head": _head_params(state.params, public)})
    return _training(config, mesh, state, step, arrays)


def _head(config: Config, mesh: Mesh, arrays: dict, public: Weights):
    state, step = _head_training(config, mesh, arrays["features"].shape[-1])
    state = state.replace(params={"head": _head_params(state.params, public)})
    return _training(config, mesh, state, step, arrays)


def _head_training(config: Config, mesh: Mesh, width: int):
    """Stage 3's state and step."""
    module = make_head(config, "gtad", planning.CLASSES)
    transform = optimizer.make(config.head_training.optimizer, optax.constant_schedule(RATE))
    features = jnp.zeros((1, config.data.snippets, width))
    state = initial_state(*head.initial(module, features, 0), transform)
    loss = head.make_loss(module, config.dtype, mesh)
    return state, make_step(loss, transform, config.seed)


def _training(config: Config, mesh: Mesh, state, step, arrays: dict):
    placed = placement(state, mesh, config.mesh.parameters)
    state = jax.device_put(jax.tree.map(np.asarray, state), placed)
    batch = shard_batch(arrays, mesh)
    program = jit_step(step, placed).lower(state, batch).compile()

    def do():
        nonlocal state
        state, terms = program(state, batch)
        return jax.block_until_ready(terms)

    return do, _planned(program)


def _extract(config: Config, mesh: Mesh, arrays: dict, public: Weights):
    variables, settings = _encoder(config, public), config.extract
    encoder = make_encoder(config)
    encode = FullFidelityEncoder(encoder, variables, mesh, settings.batch_size, settings.chunk)
    frames = shard_batch({"frames": arrays["frames"]}, mesh)["frames"]
    program = jit_encode(encoder, mesh, settings.chunk)
    program = program.lower(replicate(variables, mesh), frames).compile()
    return lambda: {"features": encode(arrays["frames"])}, _planned(program)


def _encoder(config: Config, public: Weights) -> dict:
    empty = jax.eval_shape(lambda: initial_encoder(config, jax.random.key(0)))
    return _fitted(public[0], empty, encoder_layouts.ENCODER_LAYOUTS)


def _head_params(params: dict, public: Weights) -> dict:
    layout = head_layouts.gtad_layout(sum(HEAD.bins))
    return _fitted(public[1], {"params": params["head"]}, {"gtad": layout})["params"]


def _fitted(arrays: dict, tree: dict, layouts: dict) -> dict:
    shapes = {path: x.shape for path, x in flatten_dict(tree, sep=".").items()}
    fit = assign.fit(arrays, shapes, layouts)
    if fit.problems:
        raise ValueError(f"PyTorch's weights are not ours: {'; '.join(fit.problems)}")
    return unflatten_dict(fit.variables, sep=".")


def _planned(program) -> float:
    """What XLA has planned for one device, in GiB."""
    sizes = program.memory_analysis()
    held = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    return (sizes.temp_size_in_bytes + held) / 2**30


def _seconds(do) -> float:
    started = time.perf_counter()
    jax.block_until_ready(do())
    return time.perf_counter() - started
