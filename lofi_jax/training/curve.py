"""The curve of a training on disk: a JSON line an entry, and TensorBoard's file beside it."""

import contextlib
import json
import pathlib

from lofi_jax.errors import UserError, warn
from lofi_jax.files import is_number, read_text, write_text
from lofi_jax.training import folders
from lofi_jax.training.processes import is_first
from lofi_jax.training.tensorboard import scalars_writer


class CurveWriter:
    """Adds entries to a training's curve; a restart drops those beyond its first step.

    Only the first process writes.
    """

    def __init__(self, folder: pathlib.Path, first: int):
        self._writes = is_first()
        if not self._writes:
            return
        self._path = folders.curve(folder)
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
    path = folders.curve(folder)
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
