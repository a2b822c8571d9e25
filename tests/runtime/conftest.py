"""An app on each engine, and a way to wait for what its nodes do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from elihu import Elihu
from elihu.telemetry.events import Event, JobStopped

E = TypeVar("E", bound=Event)

QUICK: dict[str, Any] = {
    "poll": 0.5,
    "poll_fallback": 0.2,
    "heartbeat": 0.2,
    "dead_after": 1.0,
    "call_timeout": 0.9,
    "lease": 1.0,
    "grace": 5.0,
    "stager": {"interval": 0.05},
}


class Seen:
    """The events of an app, and a way to wait for some of them."""

    def __init__(self, app: Elihu) -> None:
        self.events: list[Event] = []
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        app.on(Event, self._take)

    def of(self, kind: type[E]) -> list[E]:
        """The events of this type so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, done: Callable[[], bool], *, within: float = 20) -> None:
        """Return when ``done()``, looked at after each event; fail after ``within`` seconds."""
        async with asyncio.timeout(within):
            while not done():
                self._changed.clear()
                await self._changed.wait()

    async def count(self, kind: type[Event], number: int, *, within: float = 20) -> None:
        """Return when there were ``number`` events of this type."""
        await self.until(lambda: len(self.of(kind)) >= number, within=within)

    async def ended(self, job_id: int, number: int = 1) -> JobStopped:
        """The ``number``-th end of an attempt of this job."""

        def ends() -> list[JobStopped]:
            return [event for event in self.of(JobStopped) if event.job_id == job_id]

        await self.until(lambda: len(ends()) >= number)
        return ends()[number - 1]

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._loop.call_soon_threadsafe(self._changed.set)


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[Elihu]:
    """An app with quick services and its tables made."""
    app = Elihu(database_url, **QUICK)
    await app.migrate()
    yield app
    await app.aclose()


@pytest.fixture
async def seen(app: Elihu) -> Seen:
    return Seen(app)
