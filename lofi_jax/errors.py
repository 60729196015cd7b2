"""Errors that speak to the user, and the one way a command ends on them."""

import contextlib
import errno
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from absl import app, flags, logging


class UserError(Exception):
    """Something the user can mend: one line that names the file, video or key, and what to do."""


def warn(warnings: Iterable[str]) -> None:
    """Says what the user should know of, a line each, and goes on."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


# What a full disk says; libraries written in C++ have it only in their errors' texts.
_DISK_FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@contextlib.contextmanager
def naming_full_disk(folder: str | os.PathLike) -> Iterator[None]:
    """Turns what any library raises on a full disk into a `UserError` that names the folder."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = next((text for text in _DISK_FULL if text in str(error)), None)
        if reason is None:
            raise
        raise UserError(
            f"{folder}: cannot be written ({reason}): make room, and the same command goes on from"
            " there"
        ) from error


def run(
    main: Callable[[], int | None],
    parse: Callable[[Sequence[str]], Sequence[str]] = flags.FLAGS,
) -> None:
    """Runs a command under absl; a `UserError`, a bad flag or an argument that is no flag becomes one line on stderr
    and exit code 2.

    Args:
        main: the command; may return an exit code.
        parse: makes the flags of the command line.
    """

    def guarded(argv: Sequence[str]) -> int | None:
        # The libraries' own notes on what they save and restore, and on errors that they raise as
        # well, are for their developers.
        logging.set_verbosity(logging.WARNING)
        logging.get_absl_logger().disabled = True
        with _ending():
            if argv[1:]:
                raise UserError(
                    f"unexpected argument {argv[1]!r}: write flags only, as --name=value"
                )
            code = main()
            sys.stdout.flush()
            return code

    def guarded_parse(argv: Sequence[str]) -> Sequence[str]:
        with _ending():
            try:
                return parse(argv)
            except flags.Error as error:
                # Of a config file's own error, a whole traceback lies between these two lines.
                lines = str(error).splitlines()
                raise UserError(" ".join(dict.fromkeys((lines[0], lines[-1])))) from error

    app.run(guarded, flags_parser=guarded_parse)


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        # At once: after a full disk the libraries' exit handlers would fail again, at length.
        os._exit(2)
    except BrokenPipeError:
        if _is_read():
            raise  # what broke was another pipe
        # Who read the output has seen enough, as `head` has; what is left in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _is_read() -> bool:
    """Whether anyone still reads the output."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return not any(event & select.POLLERR for _, event in output.poll(0))


def first(entries: Sequence[str], count: int = 3) -> str:
    """The first few of `entries`, and a sign that there are more."""
    return ", ".join(entries[:count]) + (", ..." if len(entries) > count else "")
