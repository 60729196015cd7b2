"""Ctrl-C: the first ends a command in order, with one line and exit code 130; the second at once.

Python runs its signal handlers between two of its own instructions, and not while XLA compiles for
minutes. What counts the signals is therefore a thread that the system tells of each.
"""

import os
import signal
import socket
import sys
import threading
from typing import NoReturn

EXIT_CODE = 130  # as shells have it: 128 and SIGINT's number


class Interrupted(KeyboardInterrupt):
    """A Ctrl-C after which everything worth it has been saved: one line that says so."""


def end_at_once_on_the_second() -> None:
    """From now on the second SIGINT ends the process at once; call it in the main thread."""
    told, tells = socket.socketpair()
    tells.setblocking(False)
    signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)

    def watch():
        with tells:  # which it keeps open
            count = 0
            while count < 2:
                count += told.recv(64).count(bytes([signal.SIGINT]))
        os._exit(EXIT_CODE)

    threading.Thread(target=watch, daemon=True).start()


def end(interrupt: KeyboardInterrupt) -> NoReturn:
    """Ends the process after an interrupt, with the one line."""
    begin = "\n" if sys.stderr.isatty() else ""  # behind a progress bar and "^C"
    # In one piece, for a second signal may end the process in between.
    sys.stderr.write(f"{begin}{str(interrupt) or 'interrupted'}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: threads and worker processes of the libraries would be waited for.
    os._exit(EXIT_CODE)
