"""What one plain job costs a node, in numbers that a busy machine does not change.

A bound is a little above what was counted when it was written. Where a change needs more,
raise it in the same commit, which then says what the job gets for it.
"""

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import elihu
from elihu import Elihu
from elihu.telemetry import prometheus
from elihu.telemetry.events import EngineCalled
from oracle.proxy import Proxy

SOURCE = str(Path(elihu.__file__).parent)
SLOTS = 50
JOBS = 1_000
MEASURED = JOBS - 4 * SLOTS
"""Jobs in the middle of a drain, where each exchange is full."""


class Calls:
    """The calls of this thread inside ``counted``: those of our own functions, and those of
    C that these make. Event loops and drivers differ.
    """

    def __init__(self) -> None:
        self.python = 0
        self.c = 0
        self.names: Counter[str] = Counter()

    @contextmanager
    def counted(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self) -> None:
        self._before = sys.getprofile()
        sys.setprofile(self._note)

    def end(self) -> None:
        sys.setprofile(self._before)

    def a_job(self, jobs: int) -> tuple[float, float]:
        """Calls of Python and of C for each of so many jobs."""
        return self.python / jobs, self.c / jobs

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        if SOURCE not in frame.f_code.co_filename:
            return
        if event == "call":
            self.python += 1
            self.names[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            self.c += 1


@pytest.fixture
async def app(database_url: str, schema: str) -> Any:
    """An app whose services keep still, since their calls would be counted."""
    app = Elihu(
        database_url, schema=schema, queues={"default": SLOTS}, heartbeat=60, dead_after=300
    )
    await app.migrate()
    yield app
    await app.aclose()


async def drained(app: Elihu, calls: "Calls | Garbage") -> int:
    """Complete ``JOBS`` jobs, and return how many exchanges that took."""
    ran = 0
    done = asyncio.Event()
    exchanges: list[str] = []

    @app.task(name="t")
    async def t(number: int) -> None:
        nonlocal ran
        ran += 1
        if ran == 2 * SLOTS:
            calls.begin()
        elif ran == 2 * SLOTS + MEASURED:
            calls.end()
        elif ran == JOBS:
            done.set()

    await app.enqueue_many(t.build(number) for number in range(JOBS))
    off = app.on(
        EngineCalled, lambda event: exchanges.append("") if event.verb == "exchange" else None
    )
    async with app.running():
        async with asyncio.timeout(60):
            await done.wait()
    off()
    assert await app.jobs.count(state="completed") == JOBS
    return len(exchanges)


async def test_the_calls_and_exchanges_of_a_drain(app: Elihu):
    calls = Calls()
    exchanges = await drained(app, calls)
    python, c = calls.a_job(MEASURED)
    assert python <= 31, calls.names.most_common(50)
    assert calls.names["Bus.emit"] < JOBS / 10, "no event is built where nobody listens"
    assert c <= 31
    assert exchanges <= JOBS / SLOTS + 6


async def test_the_calls_of_a_drain_that_prometheus_watches(app: Elihu):
    prometheus.instrument(app, registry=CollectorRegistry(), interval=60)
    calls = Calls()
    await drained(app, calls)
    python, c = calls.a_job(MEASURED)
    assert python <= 60, calls.names.most_common(50)
    assert c <= 42


class Garbage:
    """The objects between ``begin`` and ``end`` that only the collector could free."""

    count = 0

    def begin(self) -> None:
        gc.collect()
        gc.disable()

    def end(self) -> None:
        self.count = gc.collect()
        gc.enable()


async def test_a_drain_leaves_no_garbage_that_only_the_collector_finds(app: Elihu):
    garbage = Garbage()
    await drained(app, garbage)
    assert garbage.count <= MEASURED / 4, "exchanges may leave some, jobs none"


@pytest.mark.parametrize(("callers", "python", "c"), [(1, 100, 54), (50, 36, 35)])
async def test_the_calls_of_an_enqueue(app: Elihu, callers: int, python: float, c: float):
    # the slower the machine, the more announcements, which are debounced by time
    @app.task(name="t")
    async def t(number: int) -> None: ...

    async def call() -> None:
        for number in range(200 // callers):
            await t.aenqueue(number)

    await t.aenqueue(0)
    calls = Calls()
    with calls.counted():
        await asyncio.gather(*(call() for _ in range(callers)))
    counted = calls.a_job(200)
    assert counted[0] <= python, calls.names.most_common(50)
    assert counted[1] <= c


async def test_the_calls_of_a_bulk(app: Elihu):
    @app.task(name="t")
    async def t(number: int) -> None: ...

    await t.aenqueue(0)
    calls = Calls()
    with calls.counted():
        await app.enqueue_many(t.build(number) for number in range(JOBS))
    python, c = calls.a_job(JOBS)
    assert python <= 16, calls.names.most_common(50)
    assert c <= 24


async def test_the_bytes_of_a_job_on_the_wire(postgres_url: str):
    proxy = Proxy(postgres_url)
    async with proxy:
        app = Elihu(proxy.url, queues={"default": SLOTS}, heartbeat=60, dead_after=300)
        await app.migrate()
        before = proxy.passed
        await drained(app, Calls())
        await app.aclose()
        assert (proxy.passed - before) / JOBS <= 330
