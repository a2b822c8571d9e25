"""Threads that a middleware gives up waiting for keep their slot, then are counted."""

import asyncio
import threading
from typing import Any

import pytest

from elihu import Context, Elihu
from elihu.telemetry.events import AbandonedEnded, AttemptAbandoned, JobStopped
from tests.support import QUICK, EventRecorder

pytestmark = pytest.mark.sqlite_first


class Running:
    """How many calls of a task run at once."""

    def __init__(self) -> None:
        self.now = self.most = self.calls = 0
        self.over = threading.Event()
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self.now += 1
            self.calls += 1
            self.most = max(self.most, self.now)
        self.over.wait(20)
        with self._lock:
            self.now -= 1


async def time_limit(ctx: Context, call_next: Any) -> Any:
    async with asyncio.timeout(0.1):
        return await call_next(ctx)


async def calls_again(ctx: Context, call_next: Any) -> Any:
    """Gives up the first call and makes a second one."""
    try:
        async with asyncio.timeout(0.1):
            return await call_next(ctx)
    except TimeoutError:
        async with asyncio.timeout(0.1):
            return await call_next(ctx)


async def cancels(ctx: Context, call_next: Any) -> Any:
    call = asyncio.ensure_future(call_next(ctx))
    await asyncio.sleep(0.1)
    call.cancel()
    return await call


@pytest.mark.parametrize("middleware", [time_limit, calls_again, cancels])
async def test_it_keeps_its_slot(database_url: str, schema: str, middleware: Any):
    app = Elihu(database_url, schema=schema, **QUICK, kill_grace=20.0)
    await app.migrate()
    events, running = EventRecorder(app), Running()
    app.middleware(middleware)

    @app.task(name="slow", max_attempts=50, backoff=0.01)
    def slow() -> None:
        running()

    async with app, app.running(queues={"default": 2}):
        for _ in range(4):
            await slow.aenqueue()
        await events.until(lambda: running.now == 2)
        begun = events.calls("stage")
        await events.until(lambda: events.calls("stage") >= begun + 20)
        assert running.most == 2
        assert not events.of(JobStopped)
        running.over.set()
        await events.count(JobStopped, 4)
    assert running.most == 2


async def test_it_is_counted_as_abandoned_after_the_grace(database_url: str, schema: str):
    app = Elihu(database_url, schema=schema, **QUICK, kill_grace=0.2)
    await app.migrate()
    events, running = EventRecorder(app), Running()
    app.middleware(time_limit)

    @app.task(name="slow", max_attempts=1)
    def slow() -> None:
        running()

    async with app, app.running():
        job = await slow.aenqueue()
        await events.count(AttemptAbandoned, 1)
        ended = await events.ended(job.id)
        assert (ended.outcome, type(ended.error)) == ("failed", TimeoutError)
        assert running.now == 1
        running.over.set()
        await events.count(AbandonedEnded, 1)
    assert len(events.of(AttemptAbandoned)) == len(events.of(AbandonedEnded)) + 1


async def test_it_sees_that_it_is_to_end(database_url: str, schema: str):
    app = Elihu(database_url, schema=schema, **QUICK, kill_grace=20.0)
    await app.migrate()
    events = EventRecorder(app)
    app.middleware(time_limit)

    @app.task(name="looks", max_attempts=1)
    def looks(*, ctx: Context = Context()) -> None:
        while not ctx.cancelled:
            pass

    async with app, app.running():
        job = await looks.aenqueue()
        assert (await events.ended(job.id)).outcome == "failed"
    assert not events.of(AttemptAbandoned)
