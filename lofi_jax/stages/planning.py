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
from lofi_jax.errors import UserError
from lofi_jax.fidelity import Fidelity
from lofi_jax.rows import Row
from lofi_jax.stages import joint
from lofi_jax.stages.divisions import fidelities
from lofi_jax.stages.setup import Run, encode_videos, initial_encoder
from lofi_jax.training.sharding import DATA, SNIPPET, make_mesh, placement, shard_shapes
from lofi_jax.training.step import jit_step

GIB = 2**30
FIDELITIES = ("full", "spatial", "spatiotemporal", "temporal")
# Before the data is prepared; neither number takes memory that matters.
CLASSES, INSTANCES = 200, 50


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
    work = functools.cache(lambda dtype, at: tflop(changed(run.config, dtype=dtype), row, at))
    for name, batch_size, chunk, dtype in wanted:
        (at,) = fidelities(run.config, name)
        settings = {"batch_size": batch_size, "chunk": chunk}
        config = changed(run.config, dtype=dtype, joint=settings)
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


def changed(config: ConfigDict, **changes) -> ConfigDict:
    """The config with other values."""
    other = config.copy_and_resolve_references()
    other.update(changes)
    return other


def lower(run: Run, row: Row, at: Fidelity, platforms=None):
    """The jitted joint train step of a row, lowered at a fidelity from shapes alone.

    Args:
        platforms: for which; none: that of the devices.
    """
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
    step = jit_step(made["step"], placed).trace(state, shard_shapes(_batch(config, at), run.mesh))
    return step.lower(lowering_platforms=platforms)


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


# A platform whose programs have the library's convolutions: see models/convolution.py.
_LIBRARY = ("tpu",)


def tflop(config: ConfigDict, row: Row, at: Fidelity) -> list[float]:
    """TFLOP a video of a step that computes the encoder's forward pass again 0, 1 and 2 times.

    XLA counts a loop's body once, so what is counted is the step without loops, and with the library's convolutions:
    those of the CPU have other products, in loops.
    """
    plain = changed(config, joint=dict(batch_size=1, chunk=0, accumulate=1, keep="all"))
    run = Run(plain, pathlib.Path(), make_mesh(1, 1))
    step = lower(run, row, at, _LIBRARY).cost_analysis()["flops"]
    variables = jax.eval_shape(lambda: initial_encoder(plain, jax.random.key(0)))
    forward = jax.jit(encode_videos(run, 0)).trace(variables, _batch(plain, at)["frames"])
    again = forward.lower(lowering_platforms=_LIBRARY).cost_analysis()["flops"]
    return [(step + n * again) / 1e12 for n in range(3)]
