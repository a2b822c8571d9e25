"""What tests of a running app share: settings that make its services quick, and its
events.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, TypeVar

from elihu import Elihu, Job, JobState
from elihu.telemetry.events import EngineCalled, Event, JobStopped

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

BUSY_MACHINE: dict[str, Any] = {"call_timeout": 10.0, "dead_after": 20.0, "lease": 10.0}
"""Laid over ``QUICK`` where a test stores or changes much in one call: nothing times
out.
"""


async def make_tables(database_url: str, **settings: Any) -> None:
    """Make the tables, with no haste."""
    async with Elihu(database_url, **QUICK | settings | BUSY_MACHINE) as app:
        await app.migrate()


class EventRecorder:
    """The events of an app, and a way to wait for some of them."""

    def __init__(self, app: Elihu) -> None:
        self.events: list[Event] = []
        self._app = app
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        app.on(Event, self._take)

    def of(self, kind: type[E]) -> list[E]:
        """The events of this type so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def calls(self, verb: str) -> int:
        """How many calls of this verb of the engine have ended."""
        return sum(event.verb == verb for event in self.of(EngineCalled))

    async def until(self, done: Callable[[], bool], *, within: float = 20) -> None:
        """Return when ``done()``, looked at after each event; fail after ``within``
        seconds.
        """
        async with asyncio.timeout(within):
            while not done():
                self._changed.clear()
                await self._changed.wait()

    async def more(self, *, within: float = 20) -> None:
        """Return at the next event."""
        number = len(self.events)
        await self.until(lambda: len(self.events) > number, within=within)

    async def count(self, kind: type[Event], number: int, *, within: float = 20) -> None:
        """Return when there were ``number`` events of this type."""
        await self.until(lambda: len(self.of(kind)) >= number, within=within)

    async def ended(self, job_id: int, number: int = 1) -> JobStopped:
        """The ``number``-th end of an attempt of this job."""

        def ends() -> list[JobStopped]:
            return [event for event in self.of(JobStopped) if event.job_id == job_id]

        await self.until(lambda: len(ends()) >= number)
        return ends()[number - 1]

    async def stored(self, job_id: int, states: Collection[JobState], *, within: float = 20) -> Job:
        """The job when it is in one of these states, looked at after each write of a
        node.
        """
        async with asyncio.timeout(within):
            while True:
                looked = self._writes()
                job = await self._app.jobs.get(job_id)
                if job.state in states:
                    return job
                await self.until(partial(self._wrote_since, looked))

    def _wrote_since(self, looked: int) -> bool:
        return self._writes() > looked

    def _writes(self) -> int:
        return sum(
            event.verb not in {"get", "find", "count", "runs"} for event in self.of(EngineCalled)
        )

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._loop.call_soon_threadsafe(self._changed.set)


class Stopwatch:
    """Seconds since it was made, by a clock: ``time.process_time`` leaves out the time
    in which other processes ran.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()

    @property
    def seconds(self) -> float:
        return self._clock() - self._begun
