"""Stops the parts of a node in reverse order of their start, whatever happens to the
tasks that do so.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from elihu.runtime.service import logger

HURRY: Final = 5.0
"""Seconds that a hurried stop has for writing what it can."""

Stop = Callable[[], Awaitable[None]]


class ShieldedStop:
    """``add`` each part's stop when the part starts; ``run`` calls them, the last one
    first. Every stop must allow a second call.

    Cancelling ``run`` hurries the stop and does not end it: ``run`` returns when every
    part has stopped, and raises ``CancelledError`` then. ``on_hurry`` is called once. A
    hurried stop leaves a part that takes longer than ``HURRY`` seconds.
    """

    def __init__(self, on_hurry: Callable[[], None]) -> None:
        self._stops: list[Stop] = []
        self._on_hurry = on_hurry
        self._task: asyncio.Task[None] | None = None
        self._give_up_at: float | None = None
        self._hurried = asyncio.Event()
        self._errors: list[Exception] = []

    def add(self, stop: Stop) -> None:
        """Call it before those that were added before."""
        self._stops.append(stop)

    def hurry(self) -> None:
        """Wait for nothing but the database, and for that at most ``HURRY`` seconds."""
        if self._give_up_at is None:
            self._give_up_at = asyncio.get_running_loop().time() + HURRY
            self._hurried.set()
            self._on_hurry()

    async def run(self) -> None:
        """Stop everything. A second call waits for the first one, and does nothing after
        that.
        """
        cancelled = False
        while self._stops:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._stop_all(), name="elihu-stop")
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError:
                cancelled = True
                self.hurry()
        if cancelled:
            raise asyncio.CancelledError
        if self._errors:
            raise self._errors.pop()

    async def _stop_all(self) -> None:
        while self._stops:
            try:
                await self._stop_one(self._stops[-1])
            except asyncio.CancelledError:
                self.hurry()
                continue
            except Exception as raised:
                self._errors.append(raised)
            self._stops.pop()

    async def _stop_one(self, stop: Stop) -> None:
        """Stop one part in a task of its own. It is called again where that task is
        cancelled from outside.
        """

        async def call() -> None:
            await stop()

        hurried = asyncio.create_task(self._hurried.wait())
        part = asyncio.create_task(call(), name="elihu-stop-part")
        try:
            await asyncio.wait([part, hurried], return_when=asyncio.FIRST_COMPLETED)
            if not part.done() and self._give_up_at is not None:
                left = self._give_up_at - asyncio.get_running_loop().time()
                await asyncio.wait([part], timeout=max(left, 0))
        finally:
            hurried.cancel()
        if not part.done():
            part.cancel()
            logger.warning(
                "shutdown timed out waiting for the database; other nodes will rescue unfinished "
                "attempts"
            )
            return
        if part.cancelled():
            raise asyncio.CancelledError
        part.result()
