"""What is measured, each on an app with empty tables. A number is drawn for each job, so
that its end is that of the numbers: a range, or a time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from elihu.app import Elihu
from elihu.engines.protocol import Engine
from elihu.task import Task
from elihu.telemetry.events import EngineCalled

_SCHEDULED: Final = Path("/proc/thread-self/schedstat")
PAUSE: Final = 0.03
"""Seconds between two jobs of ``latency``, so that all work for the first has ended."""


@dataclass(frozen=True, slots=True)
class Measured:
    """So many jobs, or reads, in so many seconds, with so many calls to the database. The
    event loop's thread computed for ``processor`` seconds, and was ready but had to wait
    for a processor for ``ready`` seconds.
    """

    jobs: int
    seconds: float
    processor: float
    ready: float
    calls: int

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds


class Stopwatch:
    """The times of this thread since the watch was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._processor = time.thread_time()
        self._ready = ready_seconds()

    def measured(self, jobs: int, calls: int) -> Measured:
        """What was done since then."""
        return Measured(
            jobs,
            time.perf_counter() - self._began,
            time.thread_time() - self._processor,
            ready_seconds() - self._ready,
            calls,
        )


def ready_seconds() -> float:
    """How long this thread has waited for a processor; always 0 where the system does not
    say so.
    """
    try:
        return int(_SCHEDULED.read_bytes().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Noop:
    """A task that does nothing, and how many jobs of it have started."""

    def __init__(self, app: Elihu) -> None:
        self.started = 0
        self._awaited = 0
        self._reached = asyncio.Event()

        @app.task(name="bench.noop")
        async def noop(number: int) -> None:
            self.started += 1
            if self.started == self._awaited:
                self._reached.set()

        self.task: Task[[int], Coroutine[Any, Any, None]] = noop

    async def starts(self, jobs: int) -> None:
        """Wait until so many more have started. Call it before they start."""
        self._awaited = self.started + jobs
        self._reached.clear()
        await self._reached.wait()


class Calls:
    """The calls of one verb: when the first began, how long each took, when the last
    ended.
    """

    def __init__(self) -> None:
        self.durations: list[float] = []
        self._began = self._ended = 0.0
        self._watch = Stopwatch()

    def note(self, duration: float) -> None:
        """A call ended now."""
        self._ended = time.perf_counter()
        if not self.durations:
            self._began, self._watch = self._ended - duration, Stopwatch()
        self.durations.append(duration)

    def measured(self, jobs: int) -> Measured:
        """What was done from the first call to the last. The thread's times are those
        since the end of the first call.
        """
        times = self._watch.measured(jobs, len(self.durations))
        return replace(times, seconds=self._ended - self._began)


@contextmanager
def calls_of(app: Elihu, verb: str) -> Iterator[Calls]:
    """Note the calls of a verb that end meanwhile."""
    calls = Calls()

    def note(event: EngineCalled) -> None:
        if event.verb == verb:
            calls.note(event.duration)

    off = app.on(EngineCalled, note)
    try:
        yield calls
    finally:
        off()


async def read(app: Elihu, engine: Engine, numbers: Iterator[int], callers: int) -> Measured:
    """Callers that read one row again and again."""

    async def call() -> int:
        done = 0
        for _ in numbers:
            await engine.installation()
            done += 1
        return done

    with calls_of(app, "installation") as calls:
        done = await asyncio.gather(*(call() for _ in range(callers)))
        return calls.measured(sum(done))


async def insert(
    app: Elihu, task: Task[[int], Any], numbers: Iterator[int], callers: int
) -> Measured:
    """Callers that each store one job after the other."""

    async def call() -> int:
        done = 0
        for number in numbers:
            await task.aenqueue(number)
            done += 1
        return done

    with calls_of(app, "insert") as calls:
        watch = Stopwatch()
        done = await asyncio.gather(*(call() for _ in range(callers)))
        return watch.measured(sum(done), len(calls.durations))


async def bulk(app: Elihu, task: Task[[int], Any], numbers: Iterator[int]) -> Measured:
    """One call of ``enqueue_many``."""
    with calls_of(app, "insert_bulk") as calls:
        watch = Stopwatch()
        done = await app.enqueue_many(task.build(number) for number in numbers)
        return watch.measured(done.inserted, len(calls.durations))


async def drain(
    app: Elihu, noop: Noop, slots: int, jobs: int, seconds: float | None = None
) -> Measured:
    """A node that starts stored jobs: from the first fetch until all have started and are
    acknowledged, or until so many seconds have passed.
    """
    before = noop.started
    with calls_of(app, "exchange") as calls:
        starting = asyncio.create_task(noop.starts(jobs))
        async with app.running({"default": slots}):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await starting
            done = noop.started - before
            if done < jobs:
                return calls.measured(done)
        return calls.measured(done)


async def latency(send: Callable[[], Awaitable[float]], numbers: Iterator[int]) -> list[float]:
    """The seconds that ``send`` returns, one call at a time, after one that does not
    count.
    """
    await send()
    seconds = []
    for _ in numbers:
        await asyncio.sleep(PAUSE)
        seconds.append(await send())
    return seconds


def percentiles(values: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    if len(values) < 2:
        return values[0], values[0]
    found = quantiles(values, n=100, method="inclusive")
    return found[49], found[98]
