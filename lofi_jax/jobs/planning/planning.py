"""What fits: compiles the real joint train step from shapes alone, for its memory and work."""

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from lofi_jax import config as configs
from lofi_jax.config import Config, fidelities
from lofi_jax.config.rows import Row
from lofi_jax.devices import compile_only
from lofi_jax.errors import UsageError, UserError, one_line
from lofi_jax.fidelity import Fidelity
from lofi_jax.run.networks import (
    initial_encoder,
    joint_chunks,
    joint_settings,
    make_encoder,
    make_head,
    pieces,
    snippet_shape,
)
from lofi_jax.stages import joint
from lofi_jax.stages.extract import jit_encode
from lofi_jax.training import optimizer
from lofi_jax.training.sharding import DATA, SNIPPET, make_mesh, placement, shard_shapes
from lofi_jax.training.step import initial_state, jit_step, make_step

GIB = 2**30
# A platform whose programs have the library's convolutions, each of whose products is counted once:
# the CPU's forms have other products, in loops.
_COUNTED = ("tpu",)
FIDELITIES = ("full", "spatial", "spatiotemporal", "temporal")
# The data is not prepared yet; neither number changes the memory noticeably.
CLASSES, INSTANCES = 200, 50
# On the CPU, LLVM's optimizations and XLA's fusion emitters take most of the time and hardly change
# a buffer: 640 of 152 million bytes in the main job's step.
_QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0}
if jax.__version_info__ < (0, 11):  # whose compiler can do without the emitters
    _QUICK["xla_cpu_use_fusion_emitters"] = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """One way to run a joint train step, and its cost.

    Attributes:
        fidelity: its name.
        snippets, height, width: of a video.
        batch_size: videos a step, over all devices.
        chunk: snippets whose activations a device holds at once; 0: all.
        dtype: of the computation.
        tflop: of a step on all devices, including recomputation.
        moved_gib: the least traffic of a step in one device's memory, in GiB: the state read and
            written, the batch read.
        temporaries_gib, peak_gib, refused: see `Measured`.
    """

    fidelity: str
    snippets: int
    height: int
    width: int
    batch_size: int
    chunk: int
    dtype: str
    tflop: float
    moved_gib: float
    temporaries_gib: float = math.inf
    peak_gib: float = math.inf
    refused: str = ""


class Measured(NamedTuple):
    """The memory that a step takes on one device, in GiB.

    Attributes:
        temporaries_gib: as planned by XLA.
        peak_gib: temporaries, state and two batches (the next is sent while a step runs).
        refused: why compilation failed; "" if it did not. If it failed, the others are what the
            compiler says it needed, infinite if it says nothing.
    """

    temporaries_gib: float
    peak_gib: float
    refused: str = ""


class Candidate(NamedTuple):
    """One way to run a joint train step; see `Plan`."""

    fidelity: str
    batch_size: int
    chunk: int
    dtype: str


def candidates(
    config: Config,
    mesh: Mapping[str, int],
    names: Sequence[str],
    batch_sizes: Sequence[int],
    chunks: Sequence[int],
    dtypes: Sequence[str],
) -> list[Candidate]:
    """Every fidelity, batch size, chunk and dtype.

    Args:
        mesh: the sizes of its axes.
        names: of the fidelities.
        batch_sizes: those not divisible by the mesh or the microbatches are left out.
        chunks: upper bounds; the largest divisor of a fidelity's snippets (of an encoder of
            windows: clips) is taken.
    """
    data, snippet = mesh[DATA], mesh[SNIPPET]
    sizes = sorted({n for n in batch_sizes if n % (data * config.joint.accumulate) == 0})
    found = []
    for dtype, name in itertools.product(dtypes, names):
        (at,) = fidelities(config, name)
        if at.snippets % snippet:
            continue
        held = pieces(config, at) // snippet
        wanted = dict.fromkeys(divisor(held, chunk) for chunk in chunks)
        found += [Candidate(name, *rest, dtype) for rest in itertools.product(sizes, wanted)]
    return found


def plans(config: Config, mesh: Mesh, wanted: Sequence[Candidate]) -> Iterator[Plan]:
    """The cost of the config's first joint row's step for each candidate.

    Each plan comes twice: before its step is compiled, which may kill the process, and after.
    """
    row = lofi_rows(config)[0]
    work = functools.cache(
        lambda dtype, at: tflop(dataclasses.replace(config, dtype=dtype), row, at)
    )
    for name, batch_size, chunk, dtype in wanted:
        (at,) = fidelities(config, name)
        of_dtype = dataclasses.replace(config, dtype=dtype)
        this = with_joint(of_dtype, batch_size=batch_size, chunk=chunk)
        _, state, batch = step_on_shapes(this, mesh, row, at)
        plan = Plan(
            fidelity=name,
            **dataclasses.asdict(at),
            batch_size=batch_size,
            chunk=chunk,
            dtype=dtype,
            tflop=batch_size * work(dtype, at)[recomputations(this)],
            moved_gib=(2 * _held(state) + _held(batch)) / GIB,
        )
        yield plan
        yield dataclasses.replace(plan, **measure(this, mesh, row, at)._asdict())


def divisor(snippets: int, most: int) -> int:
    """The largest divisor of a number of snippets that is at most `most`; 0 stays 0, all at
    once.
    """
    return most and max(n for n in range(1, min(most, snippets) + 1) if snippets % n == 0)


def lofi_rows(config: Config) -> list[Row]:
    """The rows of the config that train jointly.

    Raises:
        UserError: none does.
    """
    found = [row for row in configs.rows_of(config) if row.start == "lofi"]
    if not found:
        raise UsageError("config.rows has no row lofi: there is no joint training to plan")
    return found


def with_joint(config: Config, **changes) -> Config:
    """The config with changed values in its joint stage."""
    return dataclasses.replace(config, joint=dataclasses.replace(config.joint, **changes))


def step_on_shapes(config: Config, mesh: Mesh, row: Row, at: Fidelity):
    """The jitted joint train step of a row, and the shapes of state and batch at a fidelity."""
    settings = joint_settings(config)
    head = make_head(config, row.head, CLASSES)
    networks = joint.Networks(make_encoder(config), head, config.dtype, joint_chunks(config))
    rate = optax.constant_schedule(0.1)
    transform = optimizer.make(settings.optimizer, rate, settings.encoder_scale)
    frozen, ema = settings.optimizer.frozen, settings.ema
    step = make_step(joint.make_loss(networks, mesh), transform, config.seed, frozen, ema)

    def initial():
        encoder = initial_encoder(config, jax.random.key(0))
        full = (configs.full_fidelity(config).snippets, *snippet_shape(config))
        made = joint.initial(networks, encoder, full, config.seed)
        return initial_state(*made, transform, frozen, ema)

    state = jax.eval_shape(initial)
    placed = placement(state, mesh, config.mesh.parameters)
    state = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, placed
    )
    return jit_step(step, placed), state, shard_shapes(_batch(config, at), mesh)


def _held(shapes) -> int:
    """The bytes of arrays on one device."""
    return sum(
        math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
        for x in jax.tree.leaves(shapes)
    )


def _batch(config: Config, at: Fidelity) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of a joint batch."""
    videos = config.joint.batch_size
    frames = (videos, at.snippets, config.data.frames, at.height, at.width, 3)
    return {
        "frames": jax.ShapeDtypeStruct(frames, jnp.uint8),
        "segments": jax.ShapeDtypeStruct((videos, INSTANCES, 2), jnp.float32),
        "labels": jax.ShapeDtypeStruct((videos, INSTANCES), jnp.int32),
        "valid": jax.ShapeDtypeStruct((videos, INSTANCES), bool),
    }


def measure(config: Config, mesh: Mesh, row: Row, at: Fidelity) -> Measured:
    """A step's memory on each device of a mesh, local or not."""
    step, state, batch = step_on_shapes(config, mesh, row, at)
    try:
        compiled = _compile(step.lower(state, batch), mesh.devices.flat[0].platform)
    except jax.errors.JaxRuntimeError as error:
        if "UNIMPLEMENTED" in str(error):  # arrays longer than its programs can count
            return Measured(math.inf, math.inf, f"the compiler says: {one_line(str(error))}")
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _refused(str(error), _held(state), _held(batch))
    sizes = compiled.memory_analysis()
    if sizes is None:
        raise UserError("this device's compiler does not tell what memory a program takes")
    temporaries = sizes.temp_size_in_bytes
    held = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    # As the device lays it out.
    next_batch = sizes.argument_size_in_bytes - _held(state)
    return Measured(temporaries / GIB, (temporaries + held + next_batch) / GIB)


def _compile(lowered: jax.stages.Lowered, platform: str) -> jax.stages.Compiled:
    if platform != jax.default_backend():
        return compile_only.compiled(lowered, platform)
    return lowered.compile(_QUICK if platform == "cpu" else None)


def _refused(error: str, state: int, batch: int) -> Measured:
    """Parses the compiler's message about a step that does not fit.

    Args:
        state, batch: the bytes that they take.
    """
    reason = "it does not fit into the device's memory"
    sizes = re.search(r"([\d.]+)([MGT])\)? (?:exceeds|of) ", error)
    if sizes is None:
        return Measured(math.inf, math.inf, reason)
    needed = float(sizes[1]) * {"M": 1 / 1024, "G": 1, "T": 1024}[sizes[2]]
    # One message counts temporaries, the other everything that the step holds.
    own = 0 if "temporaries" in error else (state + batch) / GIB
    return Measured(needed - own, needed - own + (state + 2 * batch) / GIB, reason)


def recomputations(config: Config) -> int:
    """How often the backward pass recomputes the encoder's forward pass."""
    joint_ = config.joint
    return int(joint_.chunk > 0 or joint_.accumulate > 1) + int(joint_.keep == "blocks")


def tflop(config: Config, row: Row, at: Fidelity) -> list[float]:
    """TFLOP per video of a step that recomputes the encoder's forward pass 0, 1 and 2 times.

    XLA counts a loop's body once, so what is counted is the step without the encoder's loops,
    lowered on the CPU for `_COUNTED`: JAX counts nothing of what is lowered for a device that is
    not there.
    """
    plain = with_joint(config, batch_size=1, chunk=0, accumulate=1, keep="all")
    mesh = make_mesh(1, 1, jax.devices("cpu"))
    step, state, batch = step_on_shapes(plain, mesh, row, at)
    variables = jax.eval_shape(lambda: initial_encoder(plain, jax.random.key(0)))
    forward = jit_encode(make_encoder(plain), mesh, chunk=0)

    def count(function, *shapes) -> float:
        lowered = function.trace(*shapes).lower(lowering_platforms=_COUNTED)
        counted = lowered.cost_analysis()
        if counted is None:
            raise UserError("JAX does not tell what work a program is here")
        return counted["flops"]

    once, again = count(step, state, batch), count(forward, variables, batch["frames"])
    return [(once + n * again) / 1e12 for n in range(3)]
