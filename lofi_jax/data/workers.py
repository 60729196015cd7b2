"""What worker processes have in common."""

import multiprocessing
import os
import threading


def end_with_parent(*_) -> None:
    """Has a worker end when its parent is killed, rather than wait for it for ever; call it in the worker."""

    def watch():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
