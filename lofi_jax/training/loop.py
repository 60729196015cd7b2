"""The training loop: step, log, save, resume."""

import collections
import contextlib
import dataclasses
import math
import pathlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import grain
import jax
import numpy as np
from jax.sharding import Mesh

from lofi_jax.devices.shared_programs import shared
from lofi_jax.errors import UserError
from lofi_jax.interrupts import Interrupted
from lofi_jax.training import folders
from lofi_jax.training.checkpoints import Checkpoints, latest_sound
from lofi_jax.training.curve import CurveWriter
from lofi_jax.training.memory import naming_exhausted_memory
from lofi_jax.training.preemption import told_to_end
from lofi_jax.training.processes import agree, is_first, place
from lofi_jax.training.progress import Progress
from lofi_jax.training.session import Session
from lofi_jax.training.sharding import placement, shard_batch
from lofi_jax.training.step import TrainState, jit_step


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
        UserError: received SIGTERM; the state is saved. Or the loss is no longer finite.
        Interrupted: likewise SIGINT.
        OutOfMemory: a step does not fit into the device.
    """
    name, steps = training.name, training.steps
    checkpoints = Checkpoints(folders.checkpoints(training.folder))
    placed = placement(training.state, session.mesh, session.parameters)
    state = jax.device_put(jax.tree.map(np.asarray, training.state), placed)
    iterator = iter(batches)
    first = checkpoints.latest_step() or 0
    if first:
        state = checkpoints.restore(state)
        iterator.set_state({"batches": first})
    curve = CurveWriter(training.folder, first)
    progress = Progress(name, steps, first)
    step = shared(jit_step(training.step, placed))
    runner = _Runner(name, step, iterator, session.mesh, progress)
    saved_at, saved_step = time.monotonic(), first
    with told_to_end() as told:
        for done in range(first + 1, steps + 1):
            state, terms = runner.run(state)
            if done % session.log_every == 0 or done == steps:
                with naming_exhausted_memory(name):
                    values = {k: float(v) for k, v in jax.device_get(terms).items()}
                _check_finite(name, done, values["loss"], checkpoints)
                values["learning_rate"] = float(training.learning_rate(done - 1))
                values["waiting_for_data"] = runner.waited / max(progress.elapsed(), 1e-9)
                curve.add(done, values)
                progress.show(done, values)
            signalled = told()
            if signalled or checkpoints.preempted(done):
                _check_finite(name, done, terms["loss"], checkpoints)
                checkpoints.save(done, state)
                checkpoints.close()
                raise _ended_early(name, done, signalled)
            # Several processes save together, so they compare clocks where they wait for a step
            # anyway.
            may_save = done < steps and (place()[1] == 1 or done % session.log_every == 0)
            if may_save and agree(time.monotonic() - saved_at > session.checkpoint_seconds):
                _check_finite(name, done, terms["loss"], checkpoints)
                checkpoints.save(done, state)
                saved_at, saved_step = time.monotonic(), done
    if saved_step < steps:
        checkpoints.save(steps, state)
    checkpoints.close()
    progress.close()
    curve.close()
    return state


def is_finished(folder: pathlib.Path, steps: int) -> bool:
    """Whether the folder's training has reached its last step. Every process must ask."""
    return agree(is_first() and latest_sound(folders.checkpoints(folder)) == steps)


class _Runner:
    """Runs steps; while one runs, the next batch is read and sent.

    Attributes:
        waited: seconds in which the devices had nothing to do, for want of a batch.
    """

    def __init__(
        self, name: str, step: Callable, batches: Iterator, mesh: Mesh, progress: Progress
    ):
        self.waited = 0.0
        self._name, self._step, self._batches, self._mesh = name, step, batches, mesh
        self._progress = progress
        self._running: collections.deque[Any] = collections.deque()
        self._compiled: set[str] = set()

    def run(self, state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        """Starts one step, and returns before it ends."""
        if len(self._running) == 2:  # more would only fill the memory
            with naming_exhausted_memory(self._name):
                jax.block_until_ready(self._running.popleft())
        asked = time.monotonic()
        batch = shard_batch(next(self._batches), self._mesh)
        if not self._running or self._running[-1].is_ready():
            self.waited += time.monotonic() - asked
        shapes = str(jax.tree.map(np.shape, batch))
        known = shapes in self._compiled
        compiling = contextlib.nullcontext() if known else self._progress.compiling()
        with naming_exhausted_memory(self._name), compiling:
            state, terms = self._step(state, batch)  # waits for compiling, not for the step
        self._compiled.add(shapes)
        self._running.append(terms["loss"])
        return state, terms


def _check_finite(name: str, step: int, loss: jax.Array | float, checkpoints: Checkpoints) -> None:
    """Raises where a training has diverged, before that is saved."""
    if not math.isfinite(value := float(loss)):
        checkpoints.close()
        raise UserError(
            f"{name}: the loss is {value} at step {step}: lower the stage's optimizer.learning_rate"
            " or set its clip_norm; what was saved before is kept"
        )


def _ended_early(name: str, step: int, signalled: int | None) -> UserError | Interrupted:
    saved = f"saved at step {step}; rerun to resume"
    if signalled == signal.SIGINT:
        return Interrupted(f"{name}: interrupted; {saved}")
    return UserError(f"{name}: received SIGTERM; {saved}")
