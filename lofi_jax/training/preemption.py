"""SIGTERM, with which clusters announce a job's end, and SIGINT, which is Ctrl-C: a training saves
after its current step and stops.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from lofi_jax.training.processes import place


@contextlib.contextmanager
def told_to_end() -> Iterator[Callable[[], signal.Signals | None]]:
    """Catches both while a training runs; yields a function that says which came, if any.

    Several processes have to stop together, on SIGTERM alone: see `Checkpoints.preempted`.
    """
    told: list[signal.Signals] = []
    main = threading.current_thread() is threading.main_thread()
    if place()[1] > 1 or not main:
        yield lambda: None
        return

    def tell(number, _):
        told.append(signal.Signals(number))

    caught = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, tell) for number in caught]
    try:
        yield lambda: told[0] if told else None
    finally:
        for number, handler in zip(caught, before, strict=True):
            signal.signal(number, handler)
