"""What worker processes have in common."""

import multiprocessing
import os
import threading


def end_with_parent(*_) -> None:
    """Makes a worker exit when its parent is killed; call it in the worker."""

    def watch():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
