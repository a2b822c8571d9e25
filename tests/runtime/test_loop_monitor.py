"""A blocked event loop is reported with the task that runs; housekeeping continues."""

import asyncio
import logging
import threading
import time

import pytest

from elihu import Context, Elihu
from elihu.runtime.loop_monitor import BLOCKED, LoopMonitor
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import LeaderElected, LoopBlocked, Ticked
from tests.support import EventRecorder

pytestmark = pytest.mark.sqlite_first

BLOCK = 1.8


async def test_a_task_that_blocks_the_loop_is_named(
    app: Elihu, events: EventRecorder, caplog: pytest.LogCaptureFixture
):
    @app.task(name="rude")
    async def rude() -> None:
        time.sleep(BLOCK)  # noqa: ASYNC251

    async with app.running() as node:
        with caplog.at_level(logging.WARNING, "elihu"):
            job = await rude.aenqueue()
            await events.ended(job.id)
            await events.count(LoopBlocked, 1)
            event = events.of(LoopBlocked)[0]
            await events.until(lambda: "was blocked for" in caplog.text)
        assert (event.node, event.job_id, event.task, event.queue) == (
            node.id,
            job.id,
            "rude",
            "default",
        )
    assert "test_loop_monitor.py" in event.place
    assert f"job {job.id} (rude)" in caplog.text
    assert len(events.of(LoopBlocked)) == 1


async def test_what_runs_no_job_is_not_called_a_job(caplog: pytest.LogCaptureFixture) -> None:
    """As a request of the program that runs a node beside its server."""
    loop = asyncio.get_running_loop()
    monitor = LoopMonitor(
        loop, threading.get_ident(), Bus(), node=lambda: "n", describe=lambda _: None
    )
    monitor._asked = time.monotonic() - 2 * BLOCKED
    monitor._check()
    assert "which runs no job" in caplog.text
    assert "declare the task" not in caplog.text


async def test_a_middleware_that_blocks_the_loop_is_named_by_its_job(
    app: Elihu, events: EventRecorder
):
    @app.middleware
    async def rude(ctx: Context, call_next: object) -> object:
        time.sleep(BLOCK)  # noqa: ASYNC251
        return await call_next(ctx)  # type: ignore[operator]

    @app.task(name="innocent")
    async def innocent() -> None: ...

    async with app.running():
        job = await innocent.aenqueue()
        await events.count(LoopBlocked, 1)
    assert events.of(LoopBlocked)[0].job_id == job.id


async def test_a_task_that_awaits_or_runs_in_a_thread_is_not_reported(
    app: Elihu, events: EventRecorder
):
    @app.task(name="polite")
    async def polite() -> None:
        await asyncio.sleep(BLOCK)

    @app.task(name="thread")
    def thread() -> None:
        time.sleep(BLOCK)

    async with app.running():
        jobs = [await polite.aenqueue(), await thread.aenqueue()]
        for job in jobs:
            await events.ended(job.id)
    assert not events.of(LoopBlocked)


async def test_staging_and_leadership_continue_while_the_loop_is_blocked(
    app: Elihu, events: EventRecorder
):
    ticks: dict[str, int] = {}

    def services() -> set[str]:
        return {event.service for event in events.of(Ticked)}

    @app.task(name="rude")
    async def rude() -> None:
        before = [event.service for event in events.of(Ticked)]
        time.sleep(BLOCK)  # noqa: ASYNC251
        for event in events.of(Ticked)[len(before) :]:
            ticks[event.service] = ticks.get(event.service, 0) + 1

    async with app.running():
        await events.count(LeaderElected, 1)
        await events.until(lambda: services() >= {"stager", "leader", "cron"})
        job = await rude.aenqueue()
        await events.ended(job.id)
    assert ticks["stager"] >= 10
    assert ticks["leader"] >= 2
    assert ticks["cron"] >= 1
    assert "canceller" not in ticks
