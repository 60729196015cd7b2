"""Notes beside a file on what it was made from, so that it is made again when that changes, and only then.

What something was made from is told by its files' names, sizes and times of writing.
"""

import pathlib
from collections.abc import Callable, Mapping

from lofi_jax.errors import UserError
from lofi_jax.files import read_own_json, write_json


def is_made_from(path: pathlib.Path, sources: Mapping[str, pathlib.Path]) -> bool:
    """Whether the file is there, and was stamped with these sources as they are now."""
    try:
        noted = read_own_json(_note(path))
    except UserError:
        return False
    return path.exists() and noted == _state(sources)


def stamp(
    path: pathlib.Path, sources: Mapping[str, pathlib.Path], write: Callable[[], None]
) -> None:
    """Writes the file, and then the note on its sources; a kill between the two leaves none."""
    state = _state(sources)
    _note(path).unlink(missing_ok=True)
    write()
    write_json(_note(path), state)


def _note(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f".{path.stem}.made_from.json")


def _state(sources: Mapping[str, pathlib.Path]) -> dict[str, list]:
    return {name: _files(source) for name, source in sources.items()}


def _files(source: pathlib.Path) -> list:
    """Name, size and time of each file of it, wherever it lies."""
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    there = [(file, file.stat()) for file in files if file.is_file()]
    return [
        [file.relative_to(source.parent).as_posix(), stat.st_size, stat.st_mtime_ns]
        for file, stat in there
    ]
