"""Progress of running jobs: the newest report of each, written together and not too often."""

import asyncio
import contextlib
from typing import ClassVar, Final

from elihu.errors import DatabaseError
from elihu.runtime.service import Scope, Service, Tick

THROTTLE: Final = 0.5
"""Seconds between two writes."""

IDLE: Final = 3_600.0


class Progress(Service):
    """Writes when something was reported; a report that cannot be written is replaced by the next."""

    name: ClassVar = "progress"

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._loop = asyncio.get_running_loop()
        self._reports: dict[tuple[int, int], str] = {}

    def report(self, key: tuple[int, int], progress: str) -> None:
        """Take a report of the attempt (id, claim); callable from any thread."""
        first = not self._reports
        self._reports[key] = progress
        if first:
            self._loop.call_soon_threadsafe(self.wake)

    async def flush(self, key: tuple[int, int]) -> None:
        """Write what this attempt reported last, before its end is acknowledged; a failure to do so is let pass."""
        progress = self._reports.pop(key, None)
        if progress is not None:
            with contextlib.suppress(DatabaseError, asyncio.CancelledError):
                await self.scope.engine.record_progress(self.scope.identity.node, [(*key, progress)])

    async def tick(self) -> Tick:
        reports, self._reports = self._reports, {}
        if not reports:
            return Tick(IDLE)
        await self.scope.engine.record_progress(self.scope.identity.node, [(*key, text) for key, text in reports.items()])
        await asyncio.sleep(THROTTLE)
        return Tick(0 if self._reports else IDLE, {"written": len(reports)})
