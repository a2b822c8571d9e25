"""Reports an event loop that is blocked, from another thread."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from elihu.runtime.service import logger
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import LoopBlocked

INTERVAL: Final = 0.5
"""Seconds between two requests to the loop for a sign of life."""

BLOCKED: Final = 1.0
"""Seconds without an answer after which the loop is reported."""

_FOR_JOBS: Final = 'declare the task with def or run_in="process", or await what it waits for'
_FOR_OTHERS: Final = "await what it waits for, or run it in a thread by asyncio.to_thread"
_OURS: Final = f"{Path(__file__).parents[1]}{os.sep}"


class LoopMonitor:
    """Watches ``loop``, which runs in ``thread``. ``describe`` names the job of a task
    of that loop, None where the task runs none; it is called from the other thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread: int,
        bus: Bus,
        *,
        node: Callable[[], str],
        describe: "Callable[[asyncio.Task[Any]], tuple[str, int, str] | None]",
    ) -> None:
        self._loop = loop
        self._thread = thread
        self._bus = bus
        self._node = node
        self._describe = describe
        self._asked: float | None = None
        self._reported = ""
        self._last_blocked: float | None = None

    def responsive_for(self, seconds: float) -> bool:
        """Whether the loop was not blocked at any moment of the last ``seconds``."""
        now = time.monotonic()
        if self._asked is not None and now - self._asked > BLOCKED:
            return False
        return self._last_blocked is None or now - self._last_blocked > seconds

    async def run(self) -> None:
        """Watch until cancelled, or until the loop is closed."""
        while True:
            before, cpu = time.monotonic(), time.process_time()
            if not self._ask():
                return
            await asyncio.sleep(INTERVAL)
            late = time.monotonic() - before - INTERVAL
            if late > BLOCKED and time.process_time() - cpu < late / 4 and self._asked is not None:
                # The whole process was stopped, not blocked by a task.
                self._asked = time.monotonic()
            self._check()

    def _ask(self) -> bool:
        if self._asked is None:
            self._asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:
                return False
        return True

    def _answer(self) -> None:
        """The loop answers; called in its thread."""
        asked, self._asked = self._asked, None
        if asked is None:
            return
        blocked = time.monotonic() - asked
        if blocked > BLOCKED:
            self._last_blocked = time.monotonic()
            culprit, self._reported = self._reported, ""
            if culprit:
                logger.warning("the event loop was blocked for %.1f s by %s", blocked, culprit)

    def _check(self) -> None:
        asked = self._asked
        if asked is None or self._reported or time.monotonic() - asked <= BLOCKED:
            return
        task = asyncio.current_task(self._loop)
        job = self._describe(task) if task is not None else None
        place = _place(sys._current_frames().get(self._thread))
        who = (
            f"job {job[1]} ({job[0]})"
            if job
            else f"asyncio task {task.get_name()}, which runs no job,"
            if task
            else "a callback, which runs no job,"
        )
        self._reported = f"{who}{place}"
        self._last_blocked = time.monotonic()
        logger.warning(
            "the event loop has been blocked for over %g s by %s: %s",
            BLOCKED,
            self._reported,
            _FOR_JOBS if job else _FOR_OTHERS,
        )
        if LoopBlocked in self._bus:
            self._bus.emit(
                LoopBlocked(
                    node=self._node(),
                    job_id=job[1] if job else None,
                    task=job[0] if job else None,
                    queue=job[2] if job else None,
                    place=place.strip(),
                )
            )


def _place(frame: FrameType | None) -> str:
    """Where the thread is: the innermost frame outside this package and asyncio."""
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_OURS) and "asyncio" not in Path(name).parts:
            return f" in {frame.f_code.co_qualname} at {name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
