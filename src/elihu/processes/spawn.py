"""Starts a process of the node, signals it, and reports its end."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

LOOK: Final = 0.05
"""Seconds between two checks of a process on kernels without process descriptors."""


class Process:
    """A child process in a session of its own, so that a terminal's Ctrl-C reaches only
    its node.

    Start it in a thread that lives as long as the node, since the kernel's parent-death
    signal follows the thread. It inherits ``descriptors`` and the standard output and
    error; its input is empty. ``environment`` is its whole environment, by default that
    of the node. ``ended`` is called in the event loop.
    """

    def __init__(
        self,
        command: Sequence[str],
        descriptors: Sequence[int],
        ended: Callable[[], None],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            start_new_session=True,
            env=environment,
        )
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        try:
            self._descriptor: int | None = (
                os.pidfd_open(self.pid) if sys.platform == "linux" else None
            )
        except OSError:
            self._descriptor = None
        if self._descriptor is None:
            self._loop.call_later(LOOK, self._look)
        else:
            self._loop.add_reader(self._descriptor, self._reap)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """Its exit status, minus the signal that ended it; None while it lives."""
        return self._popen.returncode

    def terminate(self) -> None:
        """Send SIGTERM."""
        if self.status is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)

    def _look(self) -> None:
        if self._popen.poll() is None:
            self._loop.call_later(LOOK, self._look)
        else:
            self._ended()

    def _reap(self) -> None:
        if self._popen.poll() is not None and self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            self._ended()


def ending(status: int | None) -> str:
    """How a process ended, as text."""
    if status is None:
        return "is not reached any more"
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was ended by {name}" + (
        ", as the system does when memory runs out" if -status == signal.SIGKILL else ""
    )
