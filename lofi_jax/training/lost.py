"""What a process says when another one ends, or does not answer: one line.

JAX notices at once where a connection breaks, and within 100 seconds where a process stalls. It
then raises an error in the midst of a computation, or aborts the process from a thread of its own.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import sys
from collections.abc import Iterator

import jax

from lofi_jax.errors import UserError, one_line

_SIGNS = re.compile(
    "Gloo|NCCL|oordination|heartbeat|Socket closed|Connection|UNAVAILABLE|DEADLINE_EXCEEDED"
)
_REMEDY = "start all of them again to resume"
_kept = []  # what C calls must not be collected


def end_in_one_line(name: str, log: pathlib.Path) -> None:
    """From now on an abort of this process is one line on stderr and exit code 1; what JAX itself
    writes there goes to the log.

    Args:
        name: of this process.

    Raises:
        UserError: the log cannot be written.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except OSError as error:
        raise UserError(f"{log}: cannot be written ({error.strerror})") from error
    told = os.dup(2)
    sys.stderr = open(told, "w", buffering=1, closefd=False)
    os.dup2(written, 2)

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def end(_: int) -> None:
        lost = f"{name}: JAX has ended it, mostly since another one is lost ({log} says more)"
        os.write(told, f"error: {lost}: {_REMEDY}\n".encode())
        os._exit(1)

    _kept.append(end)
    # Python's own handlers would run between two of its instructions, and an abort does not wait.
    ctypes.CDLL(None).signal(signal.SIGABRT, end)


@contextlib.contextmanager
def naming_lost() -> Iterator[None]:
    """Turns an error that comes of another process's end into a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if jax.process_count() == 1 or not _SIGNS.search(str(error)):
            raise
        reason = one_line(str(error), 120)
        index, count = jax.process_index(), jax.process_count()
        raise UserError(
            f"process {index} of {count}: another one is lost ({reason}): {_REMEDY}"
        ) from error
