"""SIGTERM, with which clusters announce a job's end: a training saves after its current step and
stops.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from lofi_jax.training.processes import place


@contextlib.contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Catches SIGTERM while a training runs; yields a function that says whether it came.

    Several processes have to stop together: see `Checkpoints.preempted`.
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
