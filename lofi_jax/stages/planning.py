"""What fits: the real joint train step, compiled from shapes alone, says its memory and its work without being run."""

import dataclasses
import functools
import itertools
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from lofi_jax import config as configs
from lofi_jax.config import AUTO
from lofi_jax.errors import UserError
from lofi_jax.fidelity import Fidelity
from lofi_jax.rows import Row
from lofi_jax.stages import joint
from lofi_jax.stages.divisions import check_joint, fidelities
from lofi_jax.stages.setup import Run, encode_videos, initial_encoder, open_run, stored_config
from lofi_jax.training import memory
from lofi_jax.training.sharding import DATA, SNIPPET, make_mesh, placement, shard_shapes
from lofi_jax.training.step import jit_step

GIB = 2**30
FIDELITIES = ("full", "spatial", "spatiotemporal", "temporal")
# Before the data is prepared; neither number takes memory that matters.
CLASSES, INSTANCES = 200, 50
# What "auto" tries, largest first.
BATCH_SIZES = (16, 8, 4, 2, 1)
CHUNKS = (25, 10, 5, 2, 1)


@dataclasses.dataclass(frozen=True)
class Plan:
    """One way to take a joint train step, and what it costs.

    Attributes:
        fidelity: its name.
        snippets, height, width: of a video.
        batch_size: videos a step, over all devices.
        chunk: snippets whose activations a device holds at once; 0: all.
        dtype: of the computation.
        temporaries_gib: of one device, in GiB, as XLA has planned them.
        peak_gib: temporaries, state, and two batches (the next one is sent while a step runs).
        tflop: of a step on all devices, what is computed again included.
    """

    fidelity: str
    snippets: int
    height: int
    width: int
    batch_size: int
    chunk: int
    dtype: str
    temporaries_gib: float
    peak_gib: float
    tflop: float


class Candidate(NamedTuple):
    """One way to take a joint train step; see `Plan`."""

    fidelity: str
    batch_size: int
    chunk: int
    dtype: str


def candidates(
    run: Run, batch_sizes: Sequence[int], chunks: Sequence[int], dtypes: Sequence[str]
) -> list[Candidate]:
    """Every fidelity, batch size, chunk and dtype.

    Args:
        batch_sizes: those that the mesh, or the parts they are worked in, do not divide are left out.
        chunks: at most so many snippets; the largest divisor of a fidelity's is taken.
    """
    data, snippet = run.mesh.shape[DATA], run.mesh.shape[SNIPPET]
    sizes = sorted({n for n in batch_sizes if n % (data * run.config.joint.accumulate) == 0})
    found = []
    for dtype, name in itertools.product(dtypes, FIDELITIES):
        (at,) = fidelities(run.config, name)
        if at.snippets % snippet:
            continue
        held = at.snippets // snippet
        wanted = dict.fromkeys(divisor(held, chunk) for chunk in chunks)
        found += [Candidate(name, *rest, dtype) for rest in itertools.product(sizes, wanted)]
    return found


def plans(run: Run, wanted: Sequence[Candidate]) -> Iterator[Plan]:
    """What the step of the config's first joint row costs in each of the ways."""
    row = lofi_rows(run.config)[0]
    work = functools.cache(lambda dtype, at: tflop(_changed(run.config, dtype=dtype), row, at))
    for name, batch_size, chunk, dtype in wanted:
        (at,) = fidelities(run.config, name)
        settings = {"batch_size": batch_size, "chunk": chunk}
        config = _changed(run.config, dtype=dtype, joint=settings)
        temporaries, peak = measure(dataclasses.replace(run, config=config), row, at)
        yield Plan(
            fidelity=name,
            **dataclasses.asdict(at),
            batch_size=batch_size,
            chunk=chunk,
            dtype=dtype,
            temporaries_gib=temporaries,
            peak_gib=peak,
            tflop=batch_size * work(dtype, at)[recomputations(config)],
        )


def divisor(snippets: int, most: int) -> int:
    """The largest divisor of a number of snippets that is at most `most`; 0 stays 0, all at once."""
    return most and max(n for n in range(1, min(most, snippets) + 1) if snippets % n == 0)


def lofi_rows(config: ConfigDict) -> list[Row]:
    """The rows of the config that train jointly.

    Raises:
        UserError: none does.
    """
    found = [row for row in configs.rows_of(config) if row.start == "lofi"]
    if not found:
        raise UserError("config.rows has no row lofi: there is no joint training to plan")
    return found


def _changed(config: ConfigDict, **changes) -> ConfigDict:
    changed = config.copy_and_resolve_references()
    changed.update(changes)
    return changed


def lower(run: Run, row: Row, at: Fidelity):
    """The jitted joint train step of a row, lowered at a fidelity from shapes alone."""
    config, made = run.config, {}

    def initial():
        encoder = initial_encoder(config, jax.random.key(0))
        rate = optax.constant_schedule(0.1)
        state, made["step"] = joint.make_training(run, row, encoder, CLASSES, rate)
        return state

    state = jax.eval_shape(initial)
    placed = placement(state, run.mesh, config.mesh.parameters)
    state = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, placed
    )
    return jit_step(made["step"], placed).lower(state, shard_shapes(_batch(config, at), run.mesh))


def _batch(config: ConfigDict, at: Fidelity) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of a joint batch."""
    videos = config.joint.batch_size
    frames = (videos, at.snippets, config.data.frames, at.height, at.width, 3)
    return {
        "frames": jax.ShapeDtypeStruct(frames, jnp.uint8),
        "segments": jax.ShapeDtypeStruct((videos, INSTANCES, 2), jnp.float32),
        "labels": jax.ShapeDtypeStruct((videos, INSTANCES), jnp.int32),
        "valid": jax.ShapeDtypeStruct((videos, INSTANCES), bool),
    }


def measure(run: Run, row: Row, at: Fidelity) -> tuple[float, float]:
    """A device's temporaries and its peak, in GiB."""
    # On the CPU, LLVM's optimizations take half of the time and change no buffer.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    sizes = lower(run, row, at).compile(options).memory_analysis()
    temporaries = sizes.temp_size_in_bytes
    frames = _batch(run.config, at)["frames"]
    next_batch = math.prod(frames.shape) / run.mesh.size
    held = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes
    return temporaries / GIB, (temporaries + held + next_batch) / GIB


def recomputations(config: ConfigDict) -> int:
    """How often the encoder's forward pass is computed again on the way back."""
    joint_ = config.joint
    return int(joint_.chunk > 0 or joint_.accumulate > 1) + int(joint_.keep == "blocks")


def tflop(config: ConfigDict, row: Row, at: Fidelity) -> list[float]:
    """TFLOP a video of a step that computes the encoder's forward pass again 0, 1 and 2 times.

    XLA counts a loop's body once, so what is counted is the step without loops.
    """
    plain = _changed(config, joint=dict(batch_size=1, chunk=0, accumulate=1, keep="all"))
    run = Run(plain, pathlib.Path(), make_mesh(1, 1))
    step = lower(run, row, at).cost_analysis()["flops"]
    variables = jax.eval_shape(lambda: initial_encoder(plain, jax.random.key(0)))
    forward = jax.jit(encode_videos(run, 0)).lower(variables, _batch(plain, at)["frames"])
    again = forward.cost_analysis()["flops"]
    return [(step + n * again) / 1e12 for n in range(3)]


def resolve(config: ConfigDict, workdir: str) -> ConfigDict:
    """The config with what it leaves to the planner filled in: a batch size or a chunk of "auto".

    A workdir that holds a run keeps what was chosen there. Must run before JAX is used.

    Raises:
        UserError: an impossible config, or nothing fits.
    """
    settings = config.joint
    if AUTO not in (settings.batch_size, settings.chunk):
        return config
    configs.validate(config)
    stored = stored_config(workdir)
    if stored is not None:
        chosen = {key: stored.joint[key] for key in ("batch_size", "chunk")}
    else:
        chosen = choose(open_run(config, pathlib.Path(workdir).absolute()))
        print(f"joint: batch_size={chosen['batch_size']} chunk={chosen['chunk']} fit")
    filled = config.copy_and_resolve_references()
    for key, value in chosen.items():
        if settings[key] == AUTO:
            filled.joint[key] = value
    return filled


def advice(run: Run) -> str:
    """What would have fitted, in one whose joint step did not: clearly less than it, whatever the device says."""
    failed = max(measure(run, row, at)[1] for row, at in _steps(run.config))
    limit = min(_limit_gib(run.config), 0.9 * failed)
    wanted = dict(batch_size=AUTO, chunk=AUTO, memory_gib=limit)
    try:
        chosen = choose(dataclasses.replace(run, config=_changed(run.config, joint=wanted)))
    except UserError as error:
        return str(error)
    keys = " and ".join(f"config.joint.{key}={value}" for key, value in chosen.items())
    return f"{keys} would fit"


def _limit_gib(config: ConfigDict) -> float:
    """The memory of a device that joint training may take, in GiB."""
    return config.joint.memory_gib or memory.limit_gib()


def _steps(config: ConfigDict) -> list[tuple[Row, Fidelity]]:
    """Every joint row at every fidelity that it goes through."""
    return [(row, at) for row in lofi_rows(config) for at in fidelities(config, row.fidelity)]


def choose(run: Run) -> dict[str, int]:
    """The largest batch size, and with it the largest chunk, at which all joint rows fit into a device's memory.

    Raises:
        UserError: not even the smallest ones do.
    """
    config, smallest = run.config, math.inf
    limit, steps = _limit_gib(config), _steps(config)
    common = math.gcd(*(at.snippets for _, at in steps)) // run.mesh.shape[SNIPPET]
    least = run.mesh.shape[DATA] * config.joint.accumulate
    sizes = [n for n in BATCH_SIZES if n % least == 0] or [least]
    if config.joint.batch_size != AUTO:
        sizes = [config.joint.batch_size]
    chunks = list(dict.fromkeys((0, *(divisor(common, n) for n in CHUNKS))))
    if config.joint.chunk != AUTO:
        chunks = [config.joint.chunk]
    for batch_size in sizes:
        for chunk in chunks:
            changed = _changed(config, joint=dict(batch_size=batch_size, chunk=chunk))
            candidate = dataclasses.replace(run, config=changed)
            check_joint(candidate, [at for _, at in steps])
            needed = max(measure(candidate, row, at)[1] for row, at in steps)
            if needed <= limit:
                return {"batch_size": batch_size, "chunk": chunk}
            smallest = min(smallest, needed)
    raise UserError(
        f"no joint step fits into {limit:.2f} GiB, the smallest takes {smallest:.2f} GiB: lower"
        " config.joint.fidelity, or leave batch_size and chunk both to auto"
    )
