"""The stages in order, each timed, none repeated."""

import json
import time

from lofi_jax.config import names
from lofi_jax.errors import UserError
from lofi_jax.stages import classify, datasets, detect, extract, head, joint, pictures, pretrain
from lofi_jax.stages.setup import Run


def run(run: Run) -> dict | None:
    """Runs the stages that the config names.

    Returns:
        The content of results.json, or None when "evaluate" is not among the stages.
    """
    starts = names(run.config.starts)
    actions = {
        "data": lambda: datasets.prepare(run),
        "pretrain": lambda: pretrain.run(run),
        "joint": lambda: joint.run(run),
        "extract": lambda: [extract.run(run, s) for s in starts],
        "head": lambda: [classify.run(run), *(head.run(run, s) for s in starts)],
        "detect": lambda: [detect.run(run, s) for s in starts],
    }
    wanted = names(run.config.stages)
    if "lofi" not in starts:
        wanted = tuple(stage for stage in wanted if stage != "joint")
    for stage in wanted:
        if stage in actions:
            with _Timed(run, stage):
                actions[stage]()
    if "evaluate" not in wanted:
        return None
    with _Timed(run, "evaluate"):
        results = detect.evaluate(run)
        pictures.draw(run)
    results["seconds"] = _seconds(run)
    _write(run.workdir / "results.json", results)
    _write(run.workdir / "detections.json", json.loads(detect.path(run, starts[-1]).read_text()))
    return results


class _Timed:
    """Adds the seconds spent on a stage to what earlier runs in this workdir spent on it."""

    def __init__(self, run: Run, stage: str):
        self._run, self._stage = run, stage

    def __enter__(self):
        self._started = time.monotonic()

    def __exit__(self, *_):
        seconds = _seconds(self._run)
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
