"""Calls that share a child: those of tasks whose jobs take less time than it takes to wake
another process.

A child that has several calls runs them one after another, from warm caches and without a
wait for the node between them. A call that waits behind one that takes long is taken back
and gets a child of its own.
"""

import asyncio
import os
from typing import Final

from elihu.runtime.attempts.processes.call import TakenBack
from elihu.runtime.attempts.processes.child import Child

SHORT: Final = 0.000_25
"""The most seconds that the jobs of a task take, as a rule, where they share a child."""
PATIENCE: Final = 0.005
"""Seconds between two looks. A child that has not answered since the last but one has its
waiting calls taken back: at the last one its answers may have been unread.
"""
MOST: Final = 64
"""The most calls of a child."""
_LONG: Final = 4 * SHORT
"""What a longer job counts: a few short ones make up for it."""
_WEIGHT: Final = 1 / 8


class Sharing:
    """``idle`` are children without a call, the last used one last. With ``max_jobs``
    calls a child takes no more.
    """

    def __init__(self, idle: list[Child], max_jobs: int) -> None:
        self._idle = idle
        self._max_jobs = max_jobs
        self._open: list[Child] = []
        self._width = _processors()
        self._typical: dict[str, float] = {}
        self._seen: dict[Child, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def note(self, task: str, seconds: float) -> None:
        """A job of this task took so long."""
        typical = self._typical.get(task, _LONG)
        self._typical[task] = typical + _WEIGHT * (min(seconds, _LONG) - typical)

    def child_for(self, task: str) -> Child | None:
        """A child that the next call of this task may share, None where it needs one of
        its own.
        """
        typical = self._typical.get(task, _LONG)
        if typical > SHORT:
            return None
        most = int(PATIENCE / max(typical, PATIENCE / MOST))
        able = [each for each in self._open if each.ready and each.jobs < self._max_jobs]
        child = min(able, key=_load) if able else None
        if child is None or len(able) < self._width or len(child.calls) >= most:
            child = self._opened() or child
        if child is None or len(child.calls) >= most:
            return None
        if child.calls and self._timer is None:
            self._watch()
        return child

    def close(self, child: Child) -> None:
        """No more calls share this child."""
        if child in self._open:
            self._open.remove(child)

    def stop(self) -> None:
        """Take nothing back any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _opened(self) -> Child | None:
        while self._idle:
            child = self._idle.pop()
            if child.ready:
                self._open.append(child)
                return child
        return None

    def _watch(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._look)

    def _look(self) -> None:
        self._timer = None
        seen, self._seen = self._seen, {}
        for child in list(self._open):
            if len(child.calls) < 2:
                continue
            before, looks = seen.get(child, (-1, 0))
            if before != child.answers:
                looks = 0
            if looks < 2:
                self._seen[child] = child.answers, looks + 1
                continue
            self.close(child)
            for call in child.take_back():
                call.fail(TakenBack())
        if self._seen:
            self._watch()


def _load(child: Child) -> int:
    return len(child.calls)


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
