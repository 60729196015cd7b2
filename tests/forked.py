"""Runs the package's commands in forks of one process that has imported it, also with faults.

A fork starts in a tenth of the time of an interpreter. The parent must not have used JAX: its
threads do not survive a fork. Started by `Forked`, which speaks JSON with it, a line a command.
"""

import contextlib
import json
import os
import pathlib
import resource
import runpy
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

_LONGEST = 300  # seconds that a command may take

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree")


class Ended(NamedTuple):
    """How a command ended: its exit code (below 0: the signal) and what it said."""

    code: int
    out: str
    err: str

    @property
    def refused(self) -> bool:
        """Whether it ended in one line to the user, after any warnings."""
        lines = [line for line in self.err.splitlines() if not line.startswith("warning: ")]
        short = all(len(line) <= 320 for line in self.err.splitlines())
        return self.code in (1, 2) and len(lines) == 1 and lines[0].startswith("error: ") and short


class Forked:
    """A parent of forks."""

    def __init__(self, environment: dict[str, str]):
        self._parent = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=pathlib.Path(__file__).parents[1],
            env=environment,
        )

    def run(self, command: str, *arguments: object, **fault: Any) -> Ended:
        """Runs `lofi_jax.COMMAND ARGUMENTS`.

        Args:
            fault: at most one of kill_at=N (SIGKILL at the N-th change of a file),
                kill_after=SECONDS, most_bytes=N (of a file, as a full disk has it).
        """
        job = {"command": command, "arguments": [str(a) for a in arguments], "fault": fault}
        assert self._parent.stdin and self._parent.stdout
        self._parent.stdin.write(json.dumps(job) + "\n")
        self._parent.stdin.flush()
        return Ended(*json.loads(self._parent.stdout.readline()))

    def close(self) -> None:
        assert self._parent.stdin and self._parent.stdout
        self._parent.stdin.close()
        self._parent.wait()
        self._parent.stdout.close()


@contextlib.contextmanager
def forked(environment: dict[str, str]) -> Iterator[Forked]:
    """A `Forked` that ends with the block."""
    made = Forked(environment)
    try:
        yield made
    finally:
        made.close()


def _serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        # Pipes, for a bound on files is to be felt by the workdir alone.
        reads, writes = zip(os.pipe(), os.pipe(), strict=True)
        child = os.fork()
        if not child:
            _run(job, writes)
        for end in writes:
            os.close(end)
        told = _read(child, reads)
        _, status = os.waitpid(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), *told]), flush=True)


def _read(child: int, ends: Sequence[int]) -> list[str]:
    """What a process says into pipes until it ends; its own children may outlive it."""
    told = {end: b"" for end in ends}
    with selectors.DefaultSelector() as ready, open(os.pidfd_open(child), "rb") as ended:
        ready.register(ended, selectors.EVENT_READ)
        for end in ends:
            os.set_blocking(end, False)
            ready.register(end, selectors.EVENT_READ)
        running = True
        while running:
            running = ended not in [key.fileobj for key, _ in ready.select()]
            for end in ends:
                with contextlib.suppress(BlockingIOError):
                    while part := os.read(end, 1 << 16):
                        told[end] += part
                    if end in ready.get_map():
                        ready.unregister(end)  # closed at the other side
    for end in ends:
        os.close(end)
    return [content.decode(errors="replace") for content in told.values()]


def _run(job: dict, writes: Sequence[int]) -> None:
    """Runs a command in this process, and ends it."""
    code = 0
    signal.alarm(_LONGEST)
    for end, file in zip(writes, (1, 2), strict=True):
        os.dup2(end, file)
    sys.stdin = open(os.devnull)
    sys.argv = [f"lofi {job['command']}", *job["arguments"]]
    os.environ.setdefault("GLIBC_TUNABLES", "")  # no new start, which would lose the imports
    sys.path[0] = os.getcwd()  # as `python -m` has it
    try:
        _prepare(**job["fault"])
        runpy.run_module(f"lofi_jax.{job['command']}", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _prepare(kill_at: int = 0, kill_after: float = 0.0, most_bytes: int = 0) -> None:
    if kill_at:
        _kill_at(kill_at)
    if kill_after:
        threading.Thread(target=_kill_after, args=(kill_after,), daemon=True).start()
    if most_bytes:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


def _kill_at(number: int) -> None:
    left = number

    def count(event: str, arguments: tuple) -> None:
        nonlocal left
        changes = event in _CHANGES
        if event == "open" and isinstance(arguments[2], int):
            changes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if changes:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _kill_after(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    import lofi_jax.jobs.exports.export
    import lofi_jax.jobs.pipeline
    import lofi_jax.jobs.prediction.recorded
    import lofi_jax.results.submissions
    import lofi_jax.weights.convert  # noqa: F401

    _serve()
