"""Errors for the user, and how a command exits on them."""

import contextlib
import difflib
import errno
import logging as python_logging
import os
import pathlib
import re
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from lofi_jax import interrupts

# Of a message, which is one line whatever a file or a library puts into it.
LONGEST = 300


class UserError(Exception):
    """An error the user can fix: one line that names the file, video or key, and what to do."""

    exit_code = 1

    def __init__(self, message: str):
        super().__init__(one_line(message, LONGEST))


class UsageError(UserError):
    """A flag, an argument or a config that is wrong whatever the files hold."""

    exit_code = 2


@contextlib.contextmanager
def as_usage() -> Iterator[None]:
    """Whatever the user can fix within is an error of usage."""
    try:
        yield
    except UserError as error:
        raise UsageError(str(error)) from error


def warn(warnings: Iterable[str]) -> None:
    """Prints warnings to stderr, one line each, and continues."""
    for warning in warnings:
        print(f"warning: {one_line(warning, LONGEST)}", file=sys.stderr)


# What a full or closed disk says; C++ libraries only have it in the text of the error.
_FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_CLOSED = tuple(os.strerror(code) for code in (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO))
# What the system says where a folder has a file's name, or the other way round.
_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)


@contextlib.contextmanager
def naming_full_disk(folder: str | os.PathLike) -> Iterator[None]:
    """Turns any library's error on a place that takes nothing into a `UserError` that names the
    file, if the system tells it, or else the folder.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        said = unwritable(folder, error)
        if said is None:
            raise
        raise UserError(f"{said} and rerun to resume") from error


def unwritable(path: str | os.PathLike, error: Exception) -> str | None:
    """Says that a file cannot be written, why, and what to do: the one that the system names, or
    else `path`. None: the error is another one.
    """
    named = getattr(error, "filename", None)
    reason = next((text for text in (*_FULL, *_CLOSED) if text in str(error)), None)
    remedy = "free some space" if reason in _FULL else "make it writable"
    if reason is None and named:
        reason, remedy = _in_the_way(pathlib.Path(named), error), "move or delete it"
    return reason and f"{named or path}: cannot be written ({reason}): {remedy}"


def _in_the_way(path: pathlib.Path, error: Exception) -> str | None:
    """What is in place of a file or of its folder, if that is the error."""
    code, there = getattr(error, "errno", None), first_there(path)
    what = "it" if there == path else there
    if code == errno.ELOOP:
        return f"{what} is a link"
    # A folder that is there already is nothing to delete.
    if code not in _IN_THE_WAY or there.is_dir() != (code == errno.EISDIR):
        return None
    if there.is_dir():
        return f"{what} is a folder"
    return f"{what} is no folder" if there.exists() else f"{what} is a link that leads nowhere"


def first_there(path: pathlib.Path) -> pathlib.Path:
    """A path, or the nearest above it that is there."""
    return next(above for above in (path, *path.parents) if os.path.lexists(above))


def run(
    main: Callable[[], int | None],
    parse: Callable[[Sequence[str]], Sequence[str]] = flags.FLAGS,
    first: str = "",
) -> None:
    """Runs a command under absl; a `UserError`, a bad flag or an argument that is no flag becomes
    one line on stderr and the error's exit code; Ctrl-C one line and exit code 130.

    Args:
        main: the command; may return an exit code.
        parse: parses the flags of the command line.
        first: what a command that takes long to start prints before all else.
    """

    interrupts.end_at_once_on_the_second()

    def guarded(argv: Sequence[str]) -> int | None:
        with _ending():
            if argv[1:]:
                raise UsageError(
                    f"unexpected argument {argv[1]!r}: write flags only, as --name=value"
                )
            code = main()
            sys.stdout.flush()
            return code

    def guarded_parse(argv: Sequence[str]) -> Sequence[str]:
        _silence_libraries()
        # Help is no error, which absl's exit code says it is; nor does it know -h.
        if any(word in ("-h", "-help", "--help") for word in argv[1:]):
            _help()
        if first:
            print(first, flush=True)
        with _ending():
            try:
                return parse(argv)
            except flags.Error as error:
                raise UsageError(_of_flags(str(error))) from error

    app.run(guarded, flags_parser=guarded_parse)


def _of_flags(text: str) -> str:
    """What to say of the flags, where their library says this."""
    missing = re.findall(r"Flag (--\w+) must have a value other than None", text)
    if missing:
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} required: see --help"
    # When a config file itself fails, a whole traceback lies between these two lines.
    lines = text.splitlines()
    return " ".join(dict.fromkeys((lines[0], lines[-1])))


def _silence_libraries() -> None:
    """Drops what libraries tell their developers: log messages about saving, restoring and errors
    that they also raise, and what becomes of a checkpoint's other writes where one has failed.
    """
    logging.set_verbosity(logging.WARNING)
    logging.get_absl_logger().disabled = True
    python_logging.getLogger("asyncio").disabled = True
    others = sys.unraisablehook

    def unraisable(raised: Any) -> None:
        # Orbax has closed the event loop to which TensorStore's threads still report.
        if str(raised.exc_value) != "Event loop is closed":
            others(raised)

    sys.unraisablehook = unraisable


def _help() -> NoReturn:
    """Prints what the command is, and its own flags."""
    print(f"{(sys.modules['__main__'].__doc__ or '').strip()}\n\nflags:")
    print(flags.FLAGS.module_help(sys.argv[0]))
    sys.stdout.flush()
    sys.exit(0)


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        _exit(error)
    except KeyboardInterrupt as interrupt:
        interrupts.end(interrupt)
    except BrokenPipeError:
        if _is_read():
            raise  # another pipe broke
        # The reader has stopped, as `head` does; what is left in the buffer is dropped.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        # Of a path that nobody may look at, or that is too long; `python -X dev` tells where.
        if not isinstance(error.filename, str | bytes | os.PathLike) or sys.flags.dev_mode:
            raise
        _exit(UserError(f"{os.fsdecode(error.filename)}: {error.strerror}"))


def _exit(error: UserError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    # Exit at once: after a full disk the libraries' exit handlers would fail again, verbosely.
    os._exit(error.exit_code)


def _is_read() -> bool:
    """Whether the output is still being read."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return not any(event & select.POLLERR for _, event in output.poll(0))


def one_line(text: str, most: int = 120) -> str:
    """Text from a file or a library as a part of a message: one printable line, its middle left
    out where it is longer than `most`.

    >>> one_line("cannot be read:\\n  no such file", 24)
    'cannot be rea...uch file'
    """
    line = " ".join(part.strip() for part in text.splitlines())
    line = "".join(c if c.isprintable() else "?" for c in line)
    tail = most // 3
    return line if len(line) <= most else f"{line[: most - tail - 3]}...{line[-tail:]}"


def first(entries: Sequence[str], count: int = 3) -> str:
    """The first few of `entries`, with an ellipsis if there are more."""
    return ", ".join(entries[:count]) + (", ..." if len(entries) > count else "")


def there_are(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is none of those known: a close one, and the first of them.

    >>> there_are("mian", ["main", "plan"])
    'did you mean main? there are main, plan'
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{meant}there are {first(names, 20)}"
