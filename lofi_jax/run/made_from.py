"""Notes beside a file on its inputs, so that it is remade only when they, or it, change.

Inputs are identified by name, size and mtime.
"""

import pathlib
from collections.abc import Callable, Mapping

from lofi_jax.files import read_or_none, remove, write_json

_PRODUCT = "the file itself"  # which may have been damaged since


def is_made_from(path: pathlib.Path, sources: Mapping[str, pathlib.Path]) -> bool:
    """Whether the file exists and its note matches the present inputs."""
    return path.exists() and read_or_none(_note(path)) == _state({**sources, _PRODUCT: path})


def stamp(
    path: pathlib.Path, sources: Mapping[str, pathlib.Path], write: Callable[[], None]
) -> None:
    """Writes the file, then the note on its inputs; a kill in between leaves no note."""
    before = _state(sources)
    remove(_note(path))
    write()
    write_json(_note(path), before | _state({_PRODUCT: path}))


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
