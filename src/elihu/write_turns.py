"""Turns at SQLite's one write lock. SQLite lets those who wait for it try again and
again, in no order, until their time is over; those of one process that would write for
long stand in a line.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

PATIENCE: Final = 1.0
"""Seconds for which an exchange stands in the line behind actions. Then it asks SQLite
for the lock as other processes do.
"""


class Line:
    """Who comes first has the turn first, from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[Future[None]] = deque()

    def enter(self) -> "Future[None]":
        """Stand in the line; the future is done when the turn comes. Give it to
        ``leave``, whether or not it is done.
        """
        turn: Future[None] = Future()
        with self._guard:
            if self._taken:
                self._waiting.append(turn)
                return turn
            self._taken = True
        turn.set_running_or_notify_cancel()
        turn.set_result(None)
        return turn

    def leave(self, turn: "Future[None]") -> None:
        """End the turn, or the wait for it."""
        if turn.cancel() or turn.cancelled():
            return
        while True:
            with self._guard:
                if not self._waiting:
                    self._taken = False
                    return
                following = self._waiting.popleft()
            if following.set_running_or_notify_cancel():
                following.set_result(None)
                return


_lines: Final[dict[Path, Line]] = {}
os.register_at_fork(after_in_child=_lines.clear)  # nobody of the parent's lines is in the child


def line_at(path: Path) -> Line:
    """The line of this process at a database's file."""
    return _lines.get(path) or _lines.setdefault(path, Line())


@asynccontextmanager
async def turn_at(path: Path) -> AsyncIterator[None]:
    """Hold the turn, where anybody in this process has stood in the line of this file.
    After ``PATIENCE`` in the line the code inside begins without it.
    """
    line = _lines.get(path)
    if line is None:
        yield
        return
    turn = line.enter()
    try:
        if not turn.done():
            await asyncio.wait([asyncio.wrap_future(turn)], timeout=PATIENCE)
        yield
    finally:
        line.leave(turn)
