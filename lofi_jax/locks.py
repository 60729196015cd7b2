"""One writer at a time: of a workdir, of a dataset, of an output file.

The lock is the system's own on a small file, which ends with its process however that ends, so
none is ever stale. On NFS it holds between machines whose servers support locks (Linux does); on
disks without any, it holds nobody back.
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import pathlib
import socket
import stat
import sys
from collections.abc import Iterator

from absl import flags

from lofi_jax.errors import UserError, one_line
from lofi_jax.files import naming_unwritable, safe_name

_NONE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

flags.disclaim_key_flags()  # a flag that is defined here is its command's, whose help lists it


def define_wait() -> flags.FlagHolder[bool]:
    """Defines the flag --wait of a command that writes where others may write."""
    return flags.DEFINE_bool(
        "wait", True, "Wait for another process that writes there; --nowait ends at once."
    )


@contextlib.contextmanager
def only(path: str | os.PathLike, wait: bool = True) -> Iterator[None]:
    """Holds the lock of a file or folder, whose name the lock's own file has if that is not too
    long; makes missing folders.

    Args:
        wait: for another process, which is named on stderr; otherwise ends.

    Raises:
        UserError: another process is at work and `wait` is false, or the lock's file cannot be
            made.
    """
    path = pathlib.Path(path).absolute()
    with _only(path.with_name(f".{safe_name(path.name)}.lock"), path, wait):
        yield


@contextlib.contextmanager
def inside(folder: str | os.PathLike, wait: bool = True) -> Iterator[None]:
    """As `only`, of a folder in which the lock's own file lies: the one above may take none."""
    folder = pathlib.Path(folder).absolute()
    with _only(folder / ".run.lock", folder, wait):
        yield


@contextlib.contextmanager
def _only(file: pathlib.Path, path: pathlib.Path, wait: bool) -> Iterator[None]:
    held = _held(file, path, wait)
    try:
        yield
    finally:
        # While it is held, so that nobody holds a file that is no longer there.
        file.unlink(missing_ok=True)
        os.close(held)


def _held(file: pathlib.Path, path: pathlib.Path, wait: bool) -> int:
    """The descriptor of the locked file."""
    while True:
        with naming_unwritable(file.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
        held = _opened(file)
        try:
            _lock(held, path, wait)
            # The one before may have deleted it in between.
            if _is(file, held):
                os.ftruncate(held, 0)
                os.pwrite(held, _me().encode(), 0)
                return held
        except BaseException:
            os.close(held)
            raise
        os.close(held)


def _opened(file: pathlib.Path) -> int:
    """The descriptor of the lock's file, which is made; never of what another link leads to."""
    with naming_unwritable(file):
        held = os.open(
            file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644
        )
    if not stat.S_ISREG(os.fstat(held).st_mode):
        os.close(held)
        raise UserError(f"{file}: is no file, so it cannot be a lock: move or delete it")
    return held


def _lock(held: int, path: pathlib.Path, wait: bool) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NONE:
            return
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise UserError(f"{path}: cannot be locked ({error.strerror})") from error
        at_work = f"{path}: {_other(held)} is writing there"
        if not wait:
            raise UserError(f"{at_work}: let it end, or name another place") from error
        print(f"{at_work}: waiting for it to end", file=sys.stderr, flush=True)
        fcntl.flock(held, fcntl.LOCK_EX)


def _is(file: pathlib.Path, held: int) -> bool:
    try:
        return os.path.samestat(os.stat(file), os.fstat(held))
    except FileNotFoundError:
        return False


def _me() -> str:
    since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since})


def _other(held: int) -> str:
    """Who holds a lock, as its file says."""
    try:
        told = json.loads(os.pread(held, 1000, 0))
        return one_line(f"process {told['pid']} on {told['host']}, since {told['since']},")
    except (ValueError, TypeError, KeyError):
        return "another process"
