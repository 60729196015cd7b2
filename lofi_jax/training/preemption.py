"""SIGTERM, by which a cluster tells a job to end soon: a training then saves and stops after the step it is at."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from lofi_jax.training.processes import place


@contextlib.contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Catches SIGTERM for as long as a training runs, and yields a function that says whether it came.

    Several processes have to end together, which `Checkpoints.preempted` sees to.
    """
    told = threading.Event()
    main = threading.current_thread() is threading.main_thread()
    if place()[1] > 1 or not main:
        yield told.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        yield told.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
