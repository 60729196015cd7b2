"""The training loop: step, log, save, resume."""

import collections
import contextlib
import dataclasses
import json
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

import grain
import jax
import numpy as np

from lofi_jax.errors import UserError, warn
from lofi_jax.files import is_number, read_text, write_text
from lofi_jax.interrupts import Interrupted
from lofi_jax.training.checkpoints import Checkpoints, latest_sound
from lofi_jax.training.memory import naming_exhausted_memory
from lofi_jax.training.preemption import told_to_end
from lofi_jax.training.processes import agree, is_first, place
from lofi_jax.training.progress import Progress
from lofi_jax.training.session import Session
from lofi_jax.training.sharding import placement, shard_batch
from lofi_jax.training.step import TrainState, jit_step
from lofi_jax.training.tensorboard import scalars_writer


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """One training, ready to start.

    Attributes:
        name: shown to the user.
        folder: gets checkpoints/, tensorboard/ and curve.jsonl (one line each log entry).
        state: the initial one, the same in every process.
        step: of `make_step`.
        steps: total number.
        learning_rate: as a function of the step, for the log.
    """

    name: str
    folder: pathlib.Path
    state: TrainState
    step: Callable
    steps: int
    learning_rate: Callable[[int], Any]


def train(training: Training, batches: grain.IterDataset, session: Session) -> TrainState:
    """Trains to the last step, resuming from the folder's newest checkpoint if there is one.

    Args:
        batches: endless; this process's examples of each.

    Raises:
        UserError: received SIGTERM; the state is saved.
        Interrupted: likewise SIGINT.
        OutOfMemory: a step does not fit into the device.
    """
    name, folder, steps, mesh = training.name, training.folder, training.steps, session.mesh
    checkpoints = Checkpoints(folder / "checkpoints")
    placed = placement(training.state, mesh, session.parameters)
    state = jax.device_put(jax.tree.map(np.asarray, training.state), placed)
    step = jit_step(training.step, placed)
    iterator = iter(batches)
    first = checkpoints.latest_step() or 0
    if first:
        state = checkpoints.restore(state)
        iterator.set_state({"batches": first})
    curve = _Curve(folder, first)
    progress = Progress(name, steps, first)
    saved_at, saved_step = time.monotonic(), first
    waited, running, compiled = 0.0, collections.deque(), set()
    with told_to_end() as told:
        for i in range(first, steps):
            # While a step runs, the next batch is read and sent; more would only fill the memory.
            if len(running) == 2:
                with naming_exhausted_memory(name):
                    jax.block_until_ready(running.popleft())
            asked = time.monotonic()
            batch = shard_batch(next(iterator), mesh)
            if not running or running[-1].is_ready():
                waited += time.monotonic() - asked
            shapes = str(jax.tree.map(np.shape, batch))
            new = contextlib.nullcontext() if shapes in compiled else progress.compiling()
            with naming_exhausted_memory(name), new:
                state, terms = step(state, batch)  # which waits for compiling, not for the step
            compiled.add(shapes)
            running.append(terms["loss"])
            if (i + 1) % session.log_every == 0 or i + 1 == steps:
                with naming_exhausted_memory(name):
                    values = {k: float(v) for k, v in jax.device_get(terms).items()}
                values["learning_rate"] = float(training.learning_rate(i))
                values["waiting_for_data"] = waited / max(progress.elapsed(), 1e-9)
                curve.add(i + 1, values)
                progress.show(i + 1, values)
            signalled = told()
            if signalled or checkpoints.preempted(i + 1):
                checkpoints.save(i + 1, state)
                checkpoints.close()
                saved = f"saved at step {i + 1}; rerun to resume"
                if signalled == signal.SIGINT:
                    raise Interrupted(f"{name}: interrupted; {saved}")
                raise UserError(f"{name}: received SIGTERM; {saved}")
            # Several processes save together, so they compare clocks where they wait for a step
            # anyway.
            may_save = i + 1 < steps and (place()[1] == 1 or (i + 1) % session.log_every == 0)
            if may_save and agree(time.monotonic() - saved_at > session.checkpoint_seconds):
                checkpoints.save(i + 1, state)
                saved_at, saved_step = time.monotonic(), i + 1
    if saved_step < steps:
        checkpoints.save(steps, state)
    checkpoints.close()
    progress.close()
    curve.close()
    return state


def is_finished(folder: pathlib.Path, steps: int) -> bool:
    """Whether the folder's training has reached its last step. Every process must ask."""
    return agree(is_first() and latest_sound(folder / "checkpoints") == steps)


class _Curve:
    """The training curve on disk, as JSON lines and for TensorBoard; a restart drops later entries.

    Only the first process writes.
    """

    def __init__(self, folder: pathlib.Path, first: int):
        self._writes = is_first()
        if not self._writes:
            return
        self._path = folder / "curve.jsonl"
        kept = [entry for entry in read_curve(folder) if entry["step"] <= first]
        write_text(self._path, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._tensorboard = scalars_writer(folder / "tensorboard", first)

    def add(self, step: int, values: dict[str, float]) -> None:
        if not self._writes:
            return
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step} | values) + "\n")
        for key, value in values.items():
            self._tensorboard.add_scalar(key, value, step)

    def close(self) -> None:
        if self._writes:
            self._tensorboard.close()


def read_curve(folder: pathlib.Path) -> list[dict[str, float]]:
    """The entries of a training's curve so far, without damaged lines, such as one that a kill cut
    short.
    """
    path = folder / "curve.jsonl"
    try:
        lines = read_text(path).splitlines() if path.exists() else []
    except UserError as error:
        warn([f"{error}: the curve begins anew"])
        lines = []
    return [entry for entry in map(_entry, lines) if entry]


def _entry(line: str) -> dict[str, float] | None:
    """An entry of a curve; None for a damaged one."""
    with contextlib.suppress(ValueError, RecursionError):
        entry = json.loads(line)
        if isinstance(entry, dict) and is_number(entry.get("step")):
            return {key: value for key, value in entry.items() if is_number(value)}
    return None
