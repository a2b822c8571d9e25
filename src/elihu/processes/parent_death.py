"""Ends a child process when its node ends, whatever ends the node."""

import ctypes
import os
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def die_with_parent(node: int, descriptor: int) -> None:
    """Kill this process when ``node``, its parent, ends, or when the other end of the
    connection is closed.

    The kernel's signal comes when the thread that started the child ends: the node's
    loop runs in it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != node:
        os._exit(1)
    threading.Thread(
        target=_watch, args=(descriptor,), name="elihu-parent-death", daemon=True
    ).start()


def _watch(descriptor: int) -> None:
    """Wait until the connection is closed, without reading from it."""
    poller = select.poll()
    poller.register(descriptor, 0)
    poller.poll()
    os.kill(os.getpid(), signal.SIGKILL)
