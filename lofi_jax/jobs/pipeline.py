"""Runs the stages in order and times each."""

import contextlib
import time
from collections.abc import Iterator

from lofi_jax import locks
from lofi_jax.comma_separated import names
from lofi_jax.config import rows_of
from lofi_jax.config.rows import Row
from lofi_jax.errors import UserError, warn
from lofi_jax.files import (
    is_number,
    read_own_json,
    read_text,
    remove_unfinished,
    try_to_fill,
    try_to_write,
    write_json,
    write_text,
)
from lofi_jax.jobs import best, detection, images, trainings
from lofi_jax.jobs.extraction import extract_features
from lofi_jax.jobs.planning import auto
from lofi_jax.run import datasets, divisibility
from lofi_jax.run.checkpoints import ORIGIN
from lofi_jax.run.start import Run, claim
from lofi_jax.run.workdir import Workdir
from lofi_jax.training import processes
from lofi_jax.training.memory import OutOfMemory


def run(run: Run, again: tuple[str, ...] = (), wait: bool = True) -> dict | None:
    """Runs the stages that the config names, as the workdir's only writer.

    Args:
        again: stages to start anew; see `claim`.
        wait: for another writer; see `locks.only`.

    Returns:
        The content of results.json, or None when "evaluate" is not among the stages.

    Raises:
        UserError: what the user can fix; see `claim` too.
    """
    divisibility.check(run.config, run.mesh)
    with _claimed(run, again, wait):
        processes.wait("workdir claimed")
        return _stages(run, wait)


@contextlib.contextmanager
def _claimed(run: Run, again: tuple[str, ...], wait: bool) -> Iterator[None]:
    """Makes the first process the workdir's only writer before it changes anything there."""
    if not processes.is_first():
        yield
        return
    with locks.inside(run.workdir.root, wait):
        _try_the_last(run.workdir)
        claim(run, again)
        remove_unfinished(run.workdir.root)
        yield


def _try_the_last(workdir: Workdir) -> None:
    """Finds out, before the work, whether what a run writes after it can be written."""
    for path in (workdir.seconds, workdir.curves, workdir.results, workdir.best_detections):
        try_to_write(path)
    try_to_fill(workdir.timelines)


def _stages(run: Run, wait: bool) -> dict | None:
    table = rows_of(run.config)
    parts = list(dict.fromkeys(part for row in table for part in row.encoder.split("+")))
    encoders = list(dict.fromkeys([*parts, *(row.encoder for row in table)]))
    lofi = list({row.encoder: row for row in table if row.start == "lofi"}.values())
    starts = {part for part in parts if part in ORIGIN}
    if lofi and run.config.joint.start != "icp":
        starts.add(run.config.joint.start)
    actions = {
        "data": lambda: _by_the_first(lambda: datasets.prepare(run, wait)),
        "pretrain": lambda: [trainings.pretrain_encoder(run, start) for start in sorted(starts)],
        "joint": lambda: [_joint(run, row) for row in lofi],
        "extract": lambda: [extract_features(run, encoder) for encoder in encoders],
        "head": lambda: [
            trainings.train_classifier(run),
            *(trainings.train_head(run, row) for row in table),
        ],
        "detect": lambda: [detection.detect_in_test_videos(run, row) for row in table],
    }
    wanted = names(run.config.stages)
    for stage in wanted:
        if stage in actions:
            with _Timed(run, stage):
                actions[stage]()
    if "evaluate" not in wanted:
        return None
    with _Timed(run, "evaluate"):
        results = detection.evaluate(run)
        if not processes.is_first():
            return None
        images.draw(run)
    results["seconds"] = _seconds(run)
    chosen = best.of_results(table, results)
    results["detections"] = chosen.row.name
    write_json(run.workdir.results, results, indent=1)
    write_text(run.workdir.best_detections, read_text(run.workdir.detections(chosen.row)))
    print(f"detections.json: {chosen.row.name}, {chosen.why}")
    return results


def _by_the_first(action) -> None:
    """Runs an action in the first process only."""
    if processes.is_first():
        action()
    processes.wait("done by the first")


def _joint(run: Run, row: Row) -> None:
    """Trains jointly; on an out-of-memory error says what would fit."""
    try:
        trainings.train_jointly(run, row)
    except OutOfMemory as error:
        raise UserError(f"{error}; {auto.advice(run.config, run.mesh)}") from error


class _Timed:
    """Adds a stage's seconds to those of earlier runs in this workdir."""

    def __init__(self, run: Run, stage: str):
        self._run, self._stage = run, stage

    def __enter__(self):
        self._started = time.monotonic()

    def __exit__(self, *_):
        seconds = _seconds(self._run)
        if not processes.is_first():
            return
        spent = time.monotonic() - self._started
        seconds[self._stage] = round(seconds.get(self._stage, 0.0) + spent, 1)
        write_json(self._run.workdir.seconds, seconds)


def _seconds(run: Run) -> dict[str, float]:
    path = run.workdir.seconds
    if not path.exists():
        return {}
    try:
        seconds = read_own_json(path)
        if isinstance(seconds, dict) and all(is_number(s) and s >= 0 for s in seconds.values()):
            return seconds
        reason = f"{path}: not seconds by stage"
    except UserError as error:
        reason = str(error)
    warn([f"{reason}: the times of earlier runs are lost"])
    return {}
