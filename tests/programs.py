"""Every program of a run, lowered from shapes alone, for devices at hand or not; and what their
compilers make of it.

As a command it compiles programs for devices that are not there, in a process of its own:

    python tests/programs.py DEVICE,COUNT,HOSTS \\
        '{"program": "joint", "config": "paper/hacs:encoder=tsm_resnet50", ...}' ...

and prints one line of JSON for each; see `NAMES`, `CONFIG` and `described`.
"""

import collections
import json
import re
import sys
import time

import jax
import jax.numpy as jnp
import tiny
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from keys import changed

from lofi_jax.config import Config, fidelities, full_fidelity, load
from lofi_jax.config.rows import Row
from lofi_jax.devices import compile_only
from lofi_jax.fidelity import Fidelity
from lofi_jax.jobs.planning import planning
from lofi_jax.run.networks import initial_encoder, make_encoder, make_head, snippet_shape
from lofi_jax.stages import head, pretrain
from lofi_jax.stages.extract import jit_encode
from lofi_jax.training import networks, optimizer
from lofi_jax.training.networks import apply_head
from lofi_jax.training.sharding import make_mesh, placement, shard_shapes
from lofi_jax.training.step import initial_state, jit_step, make_step

NAMES = ("pretraining", "joint", "extraction", "head", "detection")

COLLECTIVES = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"


def lower(
    config: Config, mesh: Mesh, name: str, row: Row, fidelity: str = "full"
) -> jax.stages.Lowered:
    """One of `NAMES`, as its stage would compile it.

    Args:
        row: whose head it is.
        fidelity: of the joint step.
    """
    return _PROGRAMS[name](config, mesh, row, fidelity)


def joint_step(config: Config, mesh: Mesh, row: Row, at: Fidelity) -> jax.stages.Lowered:
    """The jitted joint train step of a row, lowered at a fidelity."""
    step, *shapes = planning.step_on_shapes(config, mesh, row, at)
    return step.lower(*shapes)


def _joint(config, mesh, row, fidelity):
    (at,) = fidelities(config, fidelity)
    return joint_step(config, mesh, row, at)


def _pretraining(config, mesh, row, fidelity):
    at = full_fidelity(config)
    videos = config.pretrain.batch_size
    batch = {
        "frames": ((videos, config.data.frames, at.height, at.width, 3), jnp.uint8),
        "label": ((videos,), jnp.int32),
    }

    def initial():
        origin = initial_encoder(config, jax.random.key(0))
        transform = optimizer.make(config.pretrain.optimizer, lambda _: 0.1)
        state = initial_state(*pretrain.initial(origin, _width(config), 200, 0), transform)
        loss = pretrain.make_loss(make_encoder(config), 200)
        return state, make_step(loss, transform, config.seed)

    return _lower_step(config, mesh, initial, batch)


def _head(config, mesh, row, fidelity):
    settings = config.head_training
    module = make_head(config, row.head, planning.CLASSES)
    videos, instances = settings.batch_size, planning.INSTANCES
    features = (videos, full_fidelity(config).snippets, _width(config))
    batch = {
        "features": (features, jnp.float32),
        "segments": ((videos, instances, 2), jnp.float32),
        "labels": ((videos, instances), jnp.int32),
        "valid": ((videos, instances), bool),
    }

    def initial():
        transform = optimizer.make(settings.optimizer, lambda _: 0.1)
        state = initial_state(*head.initial(module, jnp.zeros((1, *features[1:])), 0), transform)
        loss = head.make_loss(module, config.dtype, mesh)
        return state, make_step(loss, transform, config.seed)

    return _lower_step(config, mesh, initial, batch)


def _width(config):
    return networks.feature_width(make_encoder(config), snippet_shape(config))


def _lower_step(config, mesh, initial, batch):
    made = {}

    def state():
        first, made["step"] = initial()
        return first

    state = jax.eval_shape(state)
    placed = placement(state, mesh, config.mesh.parameters)
    state = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, placed
    )
    batch = {name: jax.ShapeDtypeStruct(*shape) for name, shape in batch.items()}
    return jit_step(made["step"], placed).lower(state, shard_shapes(batch, mesh))


def _extraction(config, mesh, row, fidelity):
    at = full_fidelity(config)
    variables = jax.eval_shape(lambda: initial_encoder(config, jax.random.key(0)))
    videos = config.extract.batch_size * mesh.shape["data"]
    frames = (videos, at.snippets, config.data.frames, at.height, at.width, 3)
    frames = shard_shapes({"frames": jax.ShapeDtypeStruct(frames, jnp.uint8)}, mesh)["frames"]
    encode = jit_encode(make_encoder(config), mesh, config.extract.chunk)
    return encode.lower(_everywhere(variables, mesh), frames)


def _detection(config, mesh, row, fidelity):
    module = make_head(config, row.head, planning.CLASSES)
    features = (config.detect.batch_size, full_fidelity(config).snippets, _width(config))
    features = jax.ShapeDtypeStruct(features, jnp.float32)
    params = jax.eval_shape(module.init, jax.random.key(0), features)["params"]
    apply = jax.jit(lambda params, x: apply_head(module, config.dtype, params, x))
    return apply.lower(*_everywhere((params, features), mesh))


def _everywhere(tree, mesh):
    whole = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), tree)


_PROGRAMS = dict(zip(NAMES, (_pretraining, _joint, _extraction, _head, _detection), strict=True))


def constants(lowered: jax.stages.Lowered) -> dict[str, int]:
    """The bytes of each type of constant that a lowered program holds; those of one number are
    none.
    """
    text = lowered.as_text()
    types = re.findall(r"stablehlo\.constant dense<(?:\"0x|\[).*?> : tensor<([^>]*)>", text)
    return {one: _bytes(one) for one in types}


def _bytes(tensor: str) -> int:
    *shape, dtype = tensor.split("x")
    bits = int(re.sub(r"\D", "", dtype.split("E")[0]))
    size = max(bits // 8, 1)
    for n in shape:
        size *= int(n)
    return size


def described(compiled: jax.stages.Compiled) -> dict:
    """What a compiler has made: GiB of temporaries and arguments a device, MB serialized, and its
    collectives.
    """
    sizes = compiled.memory_analysis()
    return {
        "temporaries_gib": sizes.temp_size_in_bytes / planning.GIB,
        "arguments_gib": sizes.argument_size_in_bytes / planning.GIB,
        "serialized_mb": len(compiled.runtime_executable().serialize()) / 1e6,
        "collectives": dict(
            collections.Counter(re.findall(rf" ({COLLECTIVES})(?:-start)?\(", compiled.as_text()))
        ),
    }


# What one line of the command may ask for, and what it is otherwise.
CONFIG = dict(
    config="paper/activitynet", program="joint", fidelity="full", mesh=(1, 1), change={}, tiny=False
)


def config_of(asked: dict):
    """The config that a line of the command asks for."""
    if asked["tiny"]:
        return changed(tiny.get_config(), asked["change"])
    return changed(load(asked["config"]), asked["change"])


def main():
    name, count, hosts = (sys.argv[1] + ",0,0").split(",")[:3]
    devices = compile_only.devices(name, int(count) or 1, int(hosts) or None)
    for text in sys.argv[2:]:
        asked = CONFIG | json.loads(text)
        config, mesh = config_of(asked), make_mesh(*asked["mesh"], devices)
        row = planning.lofi_rows(config)[0]
        lowered = lower(config, mesh, asked["program"], row, asked["fidelity"])
        before = time.process_time()
        try:
            found = described(compile_only.compiled(lowered, devices[0].platform))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            found = {"refused": str(error)[:200]}
        print(json.dumps(found | {"seconds": time.process_time() - before}), flush=True)


if __name__ == "__main__":
    main()
