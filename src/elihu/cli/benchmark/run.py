"""Measures one subject after the other, each for its share of the time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from elihu.app import Elihu
from elihu.cli.benchmark import subjects
from elihu.cli.benchmark.bounds import Costs, Finding, bound_of
from elihu.cli.benchmark.subjects import Measured, Noop
from elihu.job import JobState
from elihu.task import Task

MOST_JOBS: Final = 200_000
"""Jobs that one bulk stores at most."""
FEWEST_JOBS: Final = 1_000
"""With fewer waiting jobs a drain stores more before it begins."""
_SHARE_OF_BULK: Final = 0.1


@dataclass(frozen=True, slots=True)
class Figure:
    """A rate a second, or a median and 99th percentile in milliseconds, and what bounds
    it.
    """

    name: str
    per_second: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    bound: Finding | None = None


async def measure(app: Elihu, seconds: float, begin: Callable[[str], None]) -> list[Figure]:
    """The figures of the app's database, in their order. ``begin`` is called with the name
    of each before it is measured.
    """
    return await _Run(app, seconds, begin).figures()


class _Run:
    def __init__(self, app: Elihu, seconds: float, begin: Callable[[str], None]) -> None:
        self._app = app
        self._seconds = seconds
        self._begin = begin
        self._noop = Noop(app)
        self._found: list[Figure] = []

    async def figures(self) -> list[Figure]:
        app, noop = self._app, self._noop
        engine = await app._clients.client().ready()
        await noop.task.aenqueue(0)  # connects, and prepares the statement

        self._begin("round trip")
        numbers = self._numbers(0.05)
        with subjects.calls_of(app, "installation") as calls:
            await subjects.read(app, engine, numbers, 1)
        trip = self._percentiles("round trip", calls.durations)

        self._begin("insert, 1 caller")
        with subjects.calls_of(app, "insert") as calls:
            alone = await subjects.insert(app, noop.task, self._numbers(0.15), 1)
        flush = max(0.0, subjects.percentiles(calls.durations)[0] - trip)
        self._found.append(Figure("commit", p50_ms=flush * 1_000))
        sqlite = engine.name == "sqlite"
        costs = Costs(trip, flush, None if sqlite else app.config.connections)
        self._rate("insert, 1 caller", alone, costs)

        async def many_inserts() -> Measured:
            return await subjects.insert(app, noop.task, self._numbers(0.15), 100)

        async def reads() -> Measured:
            return await subjects.read(app, engine, self._numbers(0.1), 100)

        await self._measure("insert, 100 callers", many_inserts, costs)
        await self._measure("read, 100 callers", reads, costs, commits=False)
        await self._measure("bulk", self._bulk, costs)
        for slots in (10, 100):
            await self._drain(slots, costs)
        await self._latency()
        return self._found

    async def _measure(
        self,
        name: str,
        work: Callable[[], Coroutine[Any, Any, Measured]],
        costs: Costs,
        *,
        commits: bool = True,
    ) -> None:
        self._begin(name)
        self._rate(name, await work(), costs, commits=commits)

    async def _bulk(self) -> Measured:
        return await subjects.bulk(
            self._app, self._noop.task, self._numbers(_SHARE_OF_BULK, MOST_JOBS)
        )

    async def _drain(self, slots: int, costs: Costs) -> None:
        name = f"drain, {slots} slots"
        self._begin(name)
        waiting = await self._app.jobs.count(state=JobState.AVAILABLE)
        if waiting < FEWEST_JOBS:
            waiting += (await self._bulk()).jobs
        measured = await subjects.drain(self._app, self._noop, slots, waiting, self._seconds * 0.15)
        self._rate(name, measured, costs)

    async def _latency(self) -> None:
        self._begin("latency")
        send = _sender(self._app)
        async with self._app.running({"latency": 10}):
            seconds = await subjects.latency(send, self._numbers(0.15))
        self._percentiles("latency", seconds)

    def _percentiles(self, name: str, seconds: list[float]) -> float:
        """Add a figure, and return the median."""
        p50, p99 = subjects.percentiles(seconds)
        self._found.append(Figure(name, p50_ms=p50 * 1_000, p99_ms=p99 * 1_000))
        return p50

    def _rate(self, name: str, measured: Measured, costs: Costs, *, commits: bool = True) -> None:
        bound = bound_of(measured, costs, commits=commits)
        self._found.append(Figure(name, per_second=measured.rate, bound=bound))

    def _numbers(self, share: float, most: int | None = None) -> Iterator[int]:
        """Numbers for this share of the time, at least one and at most so many."""
        until = time.perf_counter() + share * self._seconds
        for number in count() if most is None else range(most):
            yield number
            if time.perf_counter() >= until:
                return


def _sender(app: Elihu) -> Callable[[], Awaitable[float]]:
    """Stores a job and returns the seconds until it started."""
    started: asyncio.Queue[float] = asyncio.Queue()

    @app.task(name="bench.note", queue="latency")
    async def note(sent: float) -> None:
        started.put_nowait(time.monotonic() - sent)

    task: Task[[float], Any] = note

    async def send() -> float:
        await task.aenqueue(time.monotonic())
        return await started.get()

    return send
