"""Progress of running jobs: the newest report of each, written in batches."""

import asyncio
import contextlib
import threading
from typing import ClassVar, Final

from elihu.runtime.service import Scope, Service, Tick

THROTTLE: Final = 0.5
"""Seconds between two writes."""

IDLE: Final = 3_600.0


class Progress(Service):
    """Writes the reports. One that cannot be written is dropped; a later one replaces it."""

    name: ClassVar = "progress"

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._reports: dict[tuple[int, int], str] = {}
        self._on_the_way: dict[tuple[int, int], str] = {}
        self._arrived = asyncio.Event()

    def report(self, key: tuple[int, int], progress: str) -> None:
        """Store a report of the attempt (id, claim). Callable from any thread."""
        with self._lock:
            first = not self._reports
            self._reports[key] = progress
        if first:
            self._loop.call_soon_threadsafe(self.wake)

    async def flush(self, key: tuple[int, int]) -> None:
        """Write the last report of this attempt before its end is acknowledged. A
        failure is ignored.

        An earlier report that is being written is waited for: on another connection it
        could arrive after the last one.
        """
        with contextlib.suppress(Exception, asyncio.CancelledError):
            if key in self._on_the_way:
                await self._arrived.wait()
            progress = self._reports.pop(key, None)
            if progress is not None:
                await self.scope.engine.record_progress(
                    self.scope.identity.node, [(*key, progress)]
                )

    async def tick(self) -> Tick:
        with self._lock:
            reports, self._reports = self._reports, {}
        if not reports:
            return Tick(IDLE)
        self._on_the_way = reports
        self._arrived.clear()
        try:
            await self.scope.engine.record_progress(
                self.scope.identity.node, [(*key, text) for key, text in reports.items()]
            )
        finally:
            self._on_the_way = {}
            self._arrived.set()
        await asyncio.sleep(THROTTLE)
        return Tick(0 if self._reports else IDLE, {"written": len(reports)})
