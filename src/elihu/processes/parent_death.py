"""Ends a child process when its node ends, whatever ends the node."""

import os
import select
import signal
import threading

from elihu.processes.prctl import signal_at_parent_death


def die_with_parent(node: int, descriptor: int) -> None:
    """Kill this process when ``node``, its parent, ends, or when the other end of the
    connection is closed.

    The kernel's signal comes when the thread that started the child ends: the node's
    loop runs in it.
    """
    signal_at_parent_death(signal.SIGKILL)
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
