"""Progress of a stage: a bar in a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Progress through a known number of steps, with rate, time left and given values.

    What is compiled is no part of the rate: `compiling` leaves it out, and where that is not told,
    the first steps shown do not count.
    """

    def __init__(self, name: str, total: int, done: int = 0, unit: str = "steps"):
        self._name, self._total, self._first = name, total, done
        self._started = self._spoke = time.monotonic()
        self._unit = unit
        self._told = -1  # steps, by the last line
        # What the rate begins with: the steps done and the time, without what was left out since.
        self._from: tuple[int, float] | None = None
        self._paused = 0.0
        terminal = sys.stderr.isatty()
        self._bar = (
            tqdm(total=total, initial=done, desc=name, unit=f" {unit}") if terminal else None
        )
        if done and not terminal:
            print(f"{name}: resuming from {done} of {total} {unit}", flush=True)

    def elapsed(self) -> float:
        """Seconds since the start, without compiling."""
        return time.monotonic() - self._started - self._paused

    @contextlib.contextmanager
    def compiling(self) -> Iterator[None]:
        """Says that something is compiled, and then how long it took."""
        began = time.monotonic()
        self._say(f"{self._name}: compiling ...")
        yield
        took = time.monotonic() - began
        self._say(f"{self._name}: compiled in {took:.1f} s")
        if self._from is None:
            self._from = self._first, self.elapsed() - took
        self._paused += took
        if self._bar is not None:
            self._bar.start_t += took
            self._bar.last_print_t += took  # else it takes itself for one not yet shown

    def show(self, done: int, values: dict[str, float]) -> None:
        """Shows that `done` steps are done."""
        if self._from is None:
            self._from = done, self.elapsed()
        if self._bar is not None:
            self._bar.set_postfix({"loss": f"{values['loss']:.3f}"} if "loss" in values else {})
            self._bar.update(done - self._bar.n)
            return
        now = time.monotonic()
        early = now - self._spoke < _SECONDS_BETWEEN_LINES and done < self._total
        if early or done == self._told:
            return
        self._spoke, self._told = now, done
        loss = f" loss {values['loss']:.4f}" if "loss" in values else ""
        print(f"{self._name}: {done}/{self._total}{loss}{self._pace(done)}", flush=True)

    def _pace(self, done: int) -> str:
        """The rate and the time left, as far as they are known."""
        first, began = self._from or (self._first, 0.0)
        if done == first:
            first, began = self._first, 0.0
        rate = (done - first) / max(self.elapsed() - began, 1e-9)
        left = (self._total - done) / max(rate, 1e-9)
        return f" {rate:.2f} {self._unit}/s, {left:.0f} s left"

    def _say(self, line: str) -> None:
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line)  # above the bar, not into it

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
