"""Files: one reader of JSON and text, and one writer, whose readers never see half a file."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import numbers
import os
import pathlib
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

from lofi_jax.errors import UserError, first_there, unwritable

# Parsed JSON takes about six times the file's size in memory.
MAX_JSON_BYTES = 1_000_000_000
MAX_BYTES = 4_000_000_000
MOST = 1e15  # of a time or a score
# Bytes of a file's name without its ending; systems allow 255 with it.
_LONGEST_NAME = 200
_NO_FILE = "it is a pipe, a device or a socket, not a file"
_HALF = "half a character, a lone surrogate"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


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

    text = read_text(path, MAX_JSON_BYTES)
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    try:
        value = json.loads(text, object_pairs_hook=to_dict)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value, repeated
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: holds {_HALF}") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from error
    except RecursionError as error:
        raise UserError(f"{path}: not the expected JSON (nested too deep)") from error


def read_own_json(path: str | os.PathLike) -> Any:
    """The value that `write_json` wrote.

    Raises:
        UserError: as `read_json`; such a file was cut short or changed by another hand.
    """
    try:
        return read_json(path)[0]
    except UserError as error:
        raise UserError(f"{error}: delete it and run again") from error


def read_or_none(path: str | os.PathLike) -> Any:
    """As `read_own_json`, but None for a file that is missing or damaged, which can be made
    again.
    """
    try:
        return read_own_json(path)
    except UserError:
        return None


def write_json(path: str | os.PathLike, value: Any, indent: int | None = None) -> None:
    """Writes JSON atomically: a reader never sees half a file. Makes missing folders.

    Raises:
        UserError: the file cannot be written (no permission, full disk).
    """
    text = json.dumps(value, allow_nan=False, indent=indent, default=lambda array: array.tolist())
    write_text(path, text)


def read_text(path: str | os.PathLike, most: int = MAX_BYTES) -> str:
    """A text file's content, in UTF-8.

    Raises:
        UserError: as `read_bytes`, or not text.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not text in UTF-8 ({error.reason})") from error


def csv_rows(
    path: str | os.PathLike, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a file of comma-separated values by column, each with the number of its last
    line.

    Raises:
        UserError: as `read_text`; one of `columns` is missing from its first line, or a row is
            damaged.
    """
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        missing = [name for name in columns if name not in (rows.fieldnames or ())]
        if missing:
            needed = ", ".join(columns)
            raise UserError(f"{path}: no column {missing[0]!r} in its first line: needs {needed}")
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: {error}") from error


def read_bytes(path: str | os.PathLike, most: int = MAX_BYTES) -> bytes:
    """A file's content.

    Raises:
        UserError: no such file, no permission, not a file, or over `most` bytes.
    """
    try:
        if (size := regular(path).st_size) > most:
            raise UserError(
                f"{path}: {size / 1e9:.1f} GB; at most {most / 1e9:g} GB are read at once: split"
                " it, or keep fewer entries per video"
            )
        with open(path, "rb") as file:
            return file.read(size)  # room is taken for as much as may be read
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def regular(path: str | os.PathLike) -> os.stat_result:
    """What the system knows of a file that can be read from end to end: a folder, a pipe or a
    device could not be, or never ends.

    Raises:
        OSError: there is none, or it is something else.
    """
    known = _look(os.stat, path)
    if stat.S_ISDIR(known.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(known.st_mode):
        raise OSError(errno.EINVAL, _NO_FILE, path)
    return known


def _look(stat_of: Callable[..., os.stat_result], path: str | os.PathLike) -> os.stat_result:
    """As `os.stat` or `os.lstat`; raises an `OSError` for a name that cannot be one, too."""
    try:
        return stat_of(path)
    except ValueError as error:  # a NUL
        raise OSError(errno.EINVAL, "no such name is possible", path) from error


def write_text(path: str | os.PathLike, text: str) -> None:
    """As `write_json`, for any text."""
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: holds {_HALF}") from error
    write_bytes(path, content)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """As `write_json`, for anything."""
    with naming_unwritable(path), aside(path) as unfinished:
        unfinished.write_bytes(content)


@contextlib.contextmanager
def aside(path: str | os.PathLike, lasting: bool = True) -> Iterator[pathlib.Path]:
    """A place to write a file, which takes the name `path` when the block ends well. Makes missing
    folders.

    Args:
        lasting: the content is on the disk before the name is, so that a machine that goes down
            leaves the old file or the new one and none that is empty; not worth its time for many
            small files that are quickly made again.

    Raises:
        OSError: the file cannot be written, or something else than a file has its name.
    """
    path = pathlib.Path(path)
    unfinished = _unfinished(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_replaceable(path)
    try:
        yield unfinished
        if lasting:
            with open(unfinished, "rb") as file:
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        # Its user knows the file by its own name.
        if error.filename in (None, unfinished, str(unfinished)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def _check_replaceable(path: str | os.PathLike) -> None:
    """Raises an `OSError` where a file would take the place of something else."""
    # What /dev/stdout leads to may be a file, but is not what has the name.
    if os.path.islink(path) and os.readlink(path).startswith("/proc/"):
        raise OSError(errno.EINVAL, _NO_FILE, path)
    with contextlib.suppress(FileNotFoundError):
        regular(path)


def _unfinished(folder: pathlib.Path) -> pathlib.Path:
    """Where a file of any name is written: several processes, of several machines too, may write
    one; the last to finish wins.
    """
    return folder / f".{uuid.uuid4().hex}.tmp"


_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.tmp")
_ABANDONED = 3600.0  # seconds without a write


def remove_unfinished(folder: pathlib.Path) -> None:
    """Removes what killed writers left below a folder, in which nobody else may write."""
    for path in folder.rglob(".*.tmp"):
        if _UNFINISHED.fullmatch(path.name):
            remove(path)


def remove_abandoned(*folders: pathlib.Path) -> None:
    """Removes what killed writers left in folders in which others may write: what nobody has
    written to for an hour. What cannot be removed stays.
    """
    for path in (path for folder in folders for path in folder.glob(".*.tmp")):
        with contextlib.suppress(OSError):
            old = time.time() - path.lstat().st_mtime > _ABANDONED
            if old and _UNFINISHED.fullmatch(path.name):
                path.unlink()


def remove(path: pathlib.Path) -> None:
    """Removes a file, a link or a folder with all that it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def try_to_write(path: str | os.PathLike) -> None:
    """Finds out, before the work, whether a file can be written, without leaving anything.

    Raises:
        UserError: it cannot.
    """
    with naming_unwritable(path):
        _check_replaceable(path)
        _try(pathlib.Path(path).absolute())


def try_to_fill(folder: str | os.PathLike) -> None:
    """As `try_to_write`, for the files of a folder."""
    with naming_unwritable(folder):
        _try(pathlib.Path(folder).absolute() / "file")


@contextlib.contextmanager
def naming_unwritable(path: str | os.PathLike) -> Iterator[None]:
    """Turns the system's errors on a file or folder to be written into a `UserError`."""
    try:
        yield
    except OSError as error:
        error.filename = os.fspath(path)
        other = f"{path}: cannot be written ({error.strerror or error}): name another"
        raise UserError(unwritable(path, error) or other) from error


def _try(path: pathlib.Path) -> None:
    """Makes and removes a file in a path's folder, or in the first above it that is there: the
    missing ones can be made where a file can, if their names are not too long.
    """
    there = first_there(path.parent)
    if not there.is_dir():
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    for name in path.relative_to(there).parts:
        with contextlib.suppress(FileNotFoundError):
            _look(os.lstat, there / name)
    unfinished = _unfinished(there)
    unfinished.touch()
    unfinished.unlink()


def safe_name(name: str) -> str:
    """A name from a file, such as a video's id, as the name of a file: never a path, never hidden,
    never too long. A name that is none of these stays as it is.

    >>> safe_name("v_abc"), safe_name("../a/b")
    ('v_abc', '_._a_b~8e7e11e4')
    """
    bad = name.startswith(".") or not name or len(os.fsencode(_encodable(name))) > _LONGEST_NAME
    if not bad and name.isprintable() and not set(name) & set("/\\"):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    plain = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in name)
    # A character takes up to four bytes.
    return f"{plain[: _LONGEST_NAME // 4]}~{digest}".replace(".", "_", 1 if name[:1] == "." else 0)


def _encodable(name: str) -> str:
    return name.encode(errors="replace").decode()


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number of a size that a time or a score can have."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return bool(value <= MOST and not value < -MOST)
