"""How long something takes."""

import time

import numpy as np


def seconds(step) -> np.ndarray:
    """Of the clock and of this process's processor time."""
    started = np.array([time.perf_counter(), time.process_time()])
    step()
    return np.array([time.perf_counter(), time.process_time()]) - started
