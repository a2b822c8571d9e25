"""Attempts that ended, in steps of time. Steps that are long past are read once a minute, for
all pages of this process.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from elihu import Elihu

UNCHANGING: Final = 300.0
"""Seconds after the end of a step from which on its figures may be a minute old: nodes have
written their counts by then.
"""
KEPT: Final = 60.0
MOST: Final = 50
"""Questions whose answers are kept."""

_Read = asyncio.Task[Sequence[Any]]


class Ended:
    """The throughput of one app, without histograms."""

    def __init__(self, app: Elihu) -> None:
        self._app = app
        self._kept: dict[tuple[object, ...], tuple[float, _Read]] = {}

    async def points(
        self, since: int, until: int, step: int, *, by: str = "all", task: str | None = None
    ) -> Sequence[Any]:
        """``app.stats.throughput`` from an epoch second to another one."""
        border = int(time.time() - UNCHANGING) // step * step
        asked = {"step": step, "by": by, "task": task}
        if border <= since:
            return await self._read(since, until, asked)
        past = await self._past(since, min(border, until), asked)
        if border >= until:
            return past
        return [*past, *await self._read(border, until, asked)]

    async def aclose(self) -> None:
        """Wait for reads that have begun."""
        reads = [read for _, read in self._kept.values()]
        self._kept.clear()
        if reads:
            await asyncio.wait(reads)

    async def _past(self, since: int, until: int, asked: dict[str, Any]) -> Sequence[Any]:
        """One read, which everybody who asks the same waits for and shares."""
        key = since, until, *asked.values()
        moment = time.monotonic()
        kept_until, read = self._kept.get(key, (0.0, None))
        if read is None or moment > kept_until or (read.done() and not _is_good(read)):
            fresh = {name: each for name, each in self._kept.items() if each[0] >= moment}
            self._kept = dict(list(fresh.items())[-MOST:])
            read = asyncio.create_task(self._read(since, until, asked), name="elihu-ended")
            self._kept[key] = moment + KEPT, read
        return await asyncio.shield(read)

    async def _read(self, since: int, until: int, asked: dict[str, Any]) -> Sequence[Any]:
        return await self._app.stats.throughput(
            since=datetime.fromtimestamp(since, UTC),
            until=datetime.fromtimestamp(until, UTC),
            histograms=False,
            **asked,
        )


def _is_good(read: _Read) -> bool:
    return not read.cancelled() and read.exception() is None
