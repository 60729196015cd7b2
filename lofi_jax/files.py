"""Files: one reader of JSON and text, and one writer, whose readers never see half a file."""

import contextlib
import json
import numbers
import os
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any, TypeGuard

from lofi_jax.errors import UserError

# Parsed JSON takes about six times the file's size in memory.
MAX_JSON_BYTES = 1_000_000_000


def read_json(path: str | os.PathLike) -> tuple[Any, list[str]]:
    """A JSON file's value, and the keys that occur more than once in one object (the first is
    kept).

    Raises:
        UserError: no such file, empty, over `MAX_JSON_BYTES`, or not JSON.
    """
    repeated: list[str] = []

    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            result = {}
            for key, value in pairs:
                if key in result:
                    repeated.append(key)
                else:
                    result[key] = value
        return result

    try:
        size = os.stat(path).st_size
        if size > MAX_JSON_BYTES:
            raise UserError(
                f"{path}: {size / 1e9:.1f} GB; at most {MAX_JSON_BYTES / 1e9:.0f} GB are "
                "read as JSON: split it, or keep fewer entries per video"
            )
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
        if not text.strip():
            raise UserError(f"{path}: the file is empty")
        return json.loads(text, object_pairs_hook=to_dict), repeated
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from error
    except RecursionError as error:
        raise UserError(f"{path}: not the expected JSON (nested too deep)") from error


def read_own_json(path: str | os.PathLike) -> Any:
    """The value that `write_json` wrote.

    Raises:
        UserError: as `read_json`; such a file was cut short or changed by another hand.
    """
    return read_json(path)[0]


def write_json(path: str | os.PathLike, value: Any, indent: int | None = None) -> None:
    """Writes JSON atomically: a reader never sees half a file. Makes missing folders.

    Raises:
        UserError: the file cannot be written (no permission, full disk).
    """
    text = json.dumps(value, allow_nan=False, indent=indent, default=lambda array: array.tolist())
    write_text(path, text)


def read_text(path: str | os.PathLike) -> str:
    """A text file's content, in UTF-8.

    Raises:
        UserError: no such file, or not text.
    """
    try:
        return pathlib.Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not text ({error})") from error


def write_text(path: str | os.PathLike, text: str) -> None:
    """As `write_json`, for any text."""
    write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """As `write_json`, for anything."""
    try:
        with aside(path) as unfinished:
            unfinished.write_bytes(content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def aside(path: str | os.PathLike, lasting: bool = True) -> Iterator[pathlib.Path]:
    """A place to write a file, which takes the name `path` when the block ends well. Makes missing
    folders.

    Args:
        lasting: the content is on the disk before the name is, so that a machine that goes down
            leaves the old file or the new one and none that is empty; not worth its time for many
            small files that are quickly made again.

    Raises:
        OSError: the file cannot be written.
    """
    path = pathlib.Path(path)
    # Several processes, of several machines too, may write one file; the last to finish wins.
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield unfinished
        if lasting:
            with open(unfinished, "rb") as file:
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number of a size that a time or a score can have."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return bool(value <= 1e15 and not value < -1e15)
