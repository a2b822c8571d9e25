"""A part of a node that ends otherwise than by ``stop`` starts again."""

import asyncio
import logging

import pytest

from elihu import Elihu, JobState
from elihu.runtime.membership.heartbeat import Heartbeat
from elihu.telemetry.events import (
    Event,
    JobStarted,
    JobStopped,
    LeaderElected,
    NodeRejoined,
    Ticked,
)
from tests.runtime.harness import NodeHarness
from tests.runtime.test_heartbeat import heartbeat_thread
from tests.support import EventRecorder

pytestmark = pytest.mark.sqlite_first


class Fatal(BaseException):
    """Ends the task that it is raised in."""


async def test_a_task_that_cancels_all_tasks_does_not_end_the_node(
    app: Elihu, events: EventRecorder, caplog: pytest.LogCaptureFixture
):
    me = asyncio.current_task()

    @app.task(name="tidy")
    async def tidy() -> None:
        for task in asyncio.all_tasks() - {me, asyncio.current_task()}:
            task.cancel()

    @app.task(name="t")
    async def t() -> None: ...

    async with app.running():
        with caplog.at_level(logging.ERROR, "elihu"):
            first = await tidy.aenqueue()
            await events.ended(first.id)
            later = [await t.using(delay=delay).aenqueue() for delay in (None, 0.1)]
            for job in later:
                assert (await events.ended(job.id)).state == JobState.COMPLETED
    assert "queue default ended unexpectedly and is started again" in caplog.text
    assert "canceller ended unexpectedly" in caplog.text


async def test_an_attempt_that_is_cancelled_before_it_runs_is_given_back(
    app: Elihu, events: EventRecorder
):
    ran: list[bool] = []

    @app.task(name="t")
    async def t() -> None:
        ran.append(True)

    def cancel_it(event: JobStarted) -> None:
        off()
        raise Fatal

    off = app.on(JobStarted, cancel_it)
    job = await t.aenqueue()
    async with app.running():
        await events.count(JobStopped, 2)
    assert ran == [True]
    runs = await app.jobs.runs(job.id)
    assert [run.outcome for run in runs] == ["returned", "completed"]
    assert (await app.jobs.get(job.id)).attempt == 1


async def test_a_service_whose_handler_raises_what_ends_a_task_ticks_again(
    app: Elihu, events: EventRecorder
):
    def end_it(event: Event) -> None:
        off()
        raise Fatal

    off = app.on(Ticked, end_it)
    async with app.running():
        await events.until(
            lambda: (
                {event.service for event in events.of(Ticked)} >= {"stager", "leader", "canceller"}
            )
        )


async def test_a_housekeeping_thread_that_dies_starts_again_under_a_new_identity(
    app: Elihu, events: EventRecorder, monkeypatch: pytest.MonkeyPatch
):
    beat, deaths = Heartbeat._beat, 0

    async def die_once(self: Heartbeat, engine: object) -> object:
        nonlocal deaths
        if not deaths:
            deaths += 1
            raise Fatal
        return await beat(self, engine)  # type: ignore[arg-type]

    @app.task(name="t")
    async def t() -> None: ...

    async with app.running() as node:
        first = node.id
        await events.count(LeaderElected, 1)
        monkeypatch.setattr(Heartbeat, "_beat", die_once)
        await events.count(NodeRejoined, 1)
        assert node.id != first
        await events.count(LeaderElected, 2)
        job = await t.using(delay=0.1).aenqueue()
        assert (await events.ended(job.id)).node == node.id
    assert node.id not in {row.id for row in await app.nodes.list()}


async def test_a_thread_that_cannot_start_again_tries_until_it_can(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    part, reports = heartbeat_thread(harness)
    await part.start()
    register, beat, failures = Heartbeat.register, Heartbeat._beat, 0

    async def fail_twice(self: Heartbeat, engine: object) -> str:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise Fatal
        return await register(self, engine)  # type: ignore[arg-type]

    async def die(self: Heartbeat, engine: object) -> object:
        monkeypatch.setattr(Heartbeat, "_beat", beat)
        raise Fatal

    monkeypatch.setattr(Heartbeat, "register", fail_twice)
    monkeypatch.setattr(Heartbeat, "_beat", die)
    await reports.until(lambda: bool(reports.identities))
    assert failures == 3
    await part.stop()
