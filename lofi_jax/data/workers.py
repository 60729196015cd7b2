"""What worker processes have in common."""

import multiprocessing
import os
import signal
import threading


def end_with_parent(*_) -> None:
    """Makes a worker exit when its parent is killed, and leave Ctrl-C to it; call it in the
    worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this process is no worker: it has no parent")

    def watch():
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
