"""Progress of a stage: a bar in a terminal, plain lines elsewhere."""

import sys
import time

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Progress through a known number of steps, with rate, time left and given values."""

    def __init__(self, name: str, total: int, done: int = 0, unit: str = "steps"):
        self._name, self._total, self._first = name, total, done
        self._started = self._spoke = time.monotonic()
        self._unit = unit
        terminal = sys.stderr.isatty()
        self._bar = (
            tqdm(total=total, initial=done, desc=name, unit=f" {unit}") if terminal else None
        )
        if done and not terminal:
            print(f"{name}: resuming from {done} of {total} {unit}", flush=True)

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def show(self, done: int, values: dict[str, float]) -> None:
        """Shows that `done` steps are done."""
        if self._bar is not None:
            self._bar.set_postfix({"loss": f"{values['loss']:.3f}"} if "loss" in values else {})
            self._bar.update(done - self._bar.n)
            return
        now = time.monotonic()
        if now - self._spoke < _SECONDS_BETWEEN_LINES and done < self._total:
            return
        self._spoke = now
        rate = (done - self._first) / max(self.elapsed(), 1e-9)
        left = (self._total - done) / max(rate, 1e-9)
        loss = f" loss {values['loss']:.4f}" if "loss" in values else ""
        print(
            f"{self._name}: {done}/{self._total}{loss} {rate:.2f} {self._unit}/s, {left:.0f} s"
            " left",
            flush=True,
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
