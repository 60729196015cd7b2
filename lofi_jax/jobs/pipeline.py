"""The stages in order, each timed, none repeated."""

import json
import time

from lofi_jax.config import rows_of
from lofi_jax.config.rows import names
from lofi_jax.errors import UserError
from lofi_jax.jobs import auto, pictures
from lofi_jax.run import datasets, divisions
from lofi_jax.run.workdir import Run
from lofi_jax.stages import classify, detect, extract, head, joint, pretrain
from lofi_jax.training import processes
from lofi_jax.training.memory import OutOfMemory


def run(run: Run) -> dict | None:
    """Runs the stages that the config names.

    Returns:
        The content of results.json, or None when "evaluate" is not among the stages.
    """
    divisions.check(run)
    table = rows_of(run.config)
    parts = list(dict.fromkeys(part for row in table for part in row.encoder.split("+")))
    encoders = list(dict.fromkeys([*parts, *(row.encoder for row in table)]))
    lofi = list({row.encoder: row for row in table if row.start == "lofi"}.values())
    starts = {part for part in parts if part in pretrain.ORIGIN}
    if lofi and run.config.joint.start != "icp":
        starts.add(run.config.joint.start)
    actions = {
        "data": lambda: _by_the_first(lambda: datasets.prepare(run)),
        "pretrain": lambda: [pretrain.run(run, start) for start in sorted(starts)],
        "joint": lambda: [_joint(run, row) for row in lofi],
        "extract": lambda: [extract.run(run, encoder) for encoder in encoders],
        "head": lambda: [classify.run(run), *(head.run(run, row) for row in table)],
        "detect": lambda: [detect.run(run, row) for row in table],
    }
    wanted = names(run.config.stages)
    for stage in wanted:
        if stage in actions:
            with _Timed(run, stage):
                actions[stage]()
    if "evaluate" not in wanted:
        return None
    with _Timed(run, "evaluate"):
        results = detect.evaluate(run)
        if not processes.is_first():
            return None
        pictures.draw(run)
    results["seconds"] = _seconds(run)
    _write(run.workdir / "results.json", results)
    _write(run.workdir / "detections.json", json.loads(detect.path(run, table[-1]).read_text()))
    return results


def _by_the_first(action) -> None:
    """What one process does for all."""
    if processes.is_first():
        action()
    processes.wait("done by the first")


def _joint(run: Run, row) -> None:
    """Trains jointly, or says what would fit."""
    try:
        joint.run(run, row)
    except OutOfMemory as error:
        raise UserError(f"{error}; {auto.advice(run)}") from error


class _Timed:
    """Adds the seconds spent on a stage to what earlier runs in this workdir spent on it."""

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
        _write(self._run.workdir / "seconds.json", seconds)


def _seconds(run: Run) -> dict[str, float]:
    path = run.workdir / "seconds.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _write(path, value) -> None:
    part = path.with_suffix(".part")
    try:
        part.write_text(json.dumps(value, indent=1))
        part.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
