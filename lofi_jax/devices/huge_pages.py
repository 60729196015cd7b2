"""Memory for the CPU's programs in huge pages, which are kept.

XLA takes the memory of each step anew, and most Linux systems hand it out in pages of 4 KiB unless
asked for more: a fifth to a quarter of a training's time goes into it. glibc asks for 2 MiB, and
keeps what is freed, where its variable says so when a process begins. Nothing else can set that.
"""

import os
import pathlib
import sys

from lofi_jax.devices import at_hand

_VARIABLE = "GLIBC_TUNABLES"
_TUNABLES = {"hugetlb": 1, "mmap_max": 0, "trim_threshold": 2**40}

# Which pages the system gives: "always [madvise] never" gives huge ones to those who ask.
_SETTING = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def begin_with() -> None:
    """Starts this command anew with them, where they help and nothing is said of them.

    They help on a CPU; a user's own GLIBC_TUNABLES, even empty, stays. Call it before the work.
    """
    if _VARIABLE in os.environ or not _on_request() or not at_hand.is_cpu():
        return
    # Whoever runs a command within a program of their own keeps that program.
    if sys.orig_argv[-len(sys.argv) :][1:] != sys.argv[1:]:
        return
    tunables = ":".join(f"glibc.malloc.{name}={value}" for name, value in _TUNABLES.items())
    sys.stdout.flush()
    os.execve(sys.executable, sys.orig_argv, {**os.environ, _VARIABLE: tunables})


def _on_request() -> bool:
    """Whether this is glibc on a system that gives huge pages to those who ask for them."""
    try:
        known = (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
        return known and "[madvise]" in _SETTING.read_text()
    except (AttributeError, OSError, ValueError):
        return False
