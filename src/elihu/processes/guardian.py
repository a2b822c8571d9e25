"""A small process beside each child process of a node, which outlives it by a moment.

When the child dies while a job runs, whatever the cause, the guardian ends what that job
started: the time limit, a kill, a crash, or the death of the node, which takes its
children along. It is forked before the child imports anything, so the two share their
memory.
"""

import gc
import mmap
import os
import select
import signal
import struct
import sys
import time
from contextlib import suppress
from typing import Final

from elihu.processes.proc import read_stat
from elihu.processes.tree import MARK, kill_started_by

LOOK: Final = 0.25
"""Seconds between two looks at the child where the kernel has no descriptors for
processes.
"""

_STATE: Final = struct.Struct("?q64p")
"""Whether a job runs, the clock tick of its begin, and its mark."""


class Guardian:
    """``job_begins`` and ``job_ended`` are for the child; ``start`` forks the guardian,
    and must be called before the child has a thread.
    """

    def __init__(self) -> None:
        self._state = mmap.mmap(-1, _STATE.size)

    def start(self) -> None:
        """Fork the process that waits for the end of this one."""
        child = os.getpid()
        descriptor = _descriptor_of(child)
        between = os.fork()
        if between == 0:
            # Forked twice: a task that waits for all of its own children must not wait
            # for the guardian.
            try:
                if os.fork() == 0:
                    self._guard(child, descriptor)
            finally:
                os._exit(0)
        os.waitpid(between, 0)
        if descriptor is not None:
            os.close(descriptor)

    def job_begins(self, mark: str) -> None:
        """From now on, programs that this process starts have the mark."""
        os.environ[MARK] = mark
        _STATE.pack_into(self._state, 0, True, _now(), mark.encode())

    def job_ended(self) -> None:
        """The job returned or failed by itself: what it started may continue."""
        _STATE.pack_into(self._state, 0, False, 0, b"")
        os.environ.pop(MARK, None)

    def _guard(self, child: int, descriptor: int | None) -> None:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _close_descriptors(descriptor)
        gc.freeze()
        if descriptor is not None:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            poller.poll()
        else:
            while _lives(child):
                time.sleep(LOOK)
        runs, since, mark = _STATE.unpack_from(self._state, 0)
        if runs:
            kill_started_by(mark.decode(), child, since, frozenset({os.getpid(), child}))


def _descriptor_of(pid: int) -> int | None:
    """What becomes readable at the end of the process, None where the kernel has no
    such thing.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            return os.pidfd_open(pid)
    return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _now() -> int:
    """The present moment in the ticks of ``/proc``, one less where that is unsure."""
    with suppress(ValueError, OSError, AttributeError):
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")) - 1
    own = read_stat(os.getpid())
    return own.started if own else 0


def _close_descriptors(kept: int | None) -> None:
    """Hold nothing open for others: a reader of the child's output waits for its end."""
    highest = min(os.sysconf("SC_OPEN_MAX"), 65_536)
    start = 0
    if kept is not None:
        os.closerange(0, kept)
        start = kept + 1
    os.closerange(start, highest)
