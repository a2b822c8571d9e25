"""Waiting for a job whose attempts fail, snooze or stop."""

import asyncio
from typing import Any

import pytest

import elihu
from elihu import (
    Elihu,
    JobFailed,
    JobSnoozed,
    RelayTimeout,
    Snooze,
    Task,
)
from elihu.results.pending import Waiter
from tests.features.relays import Boom
from tests.support import EventRecorder


async def test_a_failed_attempt_ends_the_waiting_unless_it_waits_for_retries(app: Elihu):
    gate = asyncio.Event()

    @app.task(name="t", backoff=0)
    async def t(*, ctx: elihu.Context = elihu.Context()) -> int:
        if ctx.attempt < 3:
            raise Boom(f"attempt {ctx.attempt}")
        await gate.wait()
        return ctx.attempt

    relay = await t.asubmit()
    patient = asyncio.create_task(relay.aresult(20, wait_retries=True))
    async with app.running():
        with pytest.raises(Boom):
            await relay.aresult(20)
        while True:
            try:
                waiting = asyncio.create_task(relay.aresult(20))
                await until_third(app, relay.ref)
                gate.set()
                assert await waiting == 3
                break
            except Boom:
                continue
        assert await patient == 3
        assert await relay.aresult() == 3


async def until_third(app: Elihu, job_id: int) -> None:
    events = EventRecorder(app)
    while (await app.jobs.get(job_id)).attempt < 3:
        await events.more()


async def test_a_wait_that_begins_after_a_failure_does_not_count_it(app: Elihu, elsewhere: Elihu):
    @app.task(name="t", backoff=600)
    async def t() -> None:
        raise Boom("once")

    async with app.running():
        relay = await t.asubmit()
        with pytest.raises(Boom):
            await relay.aresult()
        for later in (relay, app.relay(relay.ref), elsewhere.relay(relay.ref)):
            with pytest.raises(RelayTimeout):
                await later.aresult(0.1)
        await app.jobs.retry(relay.ref)
        with pytest.raises((Boom, JobFailed)):
            await relay.aresult()


async def test_a_failure_reported_during_the_next_attempt_does_not_hide_its_end(
    app: Elihu,
):
    began, gate = asyncio.Semaphore(0), asyncio.Event()

    @app.task(name="t", backoff=lambda job, error: 600 if job.attempt == 2 else 0)
    async def t(*, ctx: elihu.Context = elihu.Context()) -> None:
        if ctx.attempt == 2:
            began.release()
            await gate.wait()
        raise Boom(str(ctx.attempt))

    async with app.running():
        relay = await t.asubmit()
        await began.acquire()
        with pytest.raises(Boom, match="1"):
            await relay.aresult(20)
        second = asyncio.create_task(relay.aresult(20))
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(Boom, match="2"):
            await second


async def test_waits_of_one_relay_do_not_hide_ends_from_each_other(app: Elihu):
    @app.task(name="t", backoff=600)
    async def t() -> None:
        raise Boom("once")

    async with app.running():
        relay = await t.asubmit()
        watched = relay._watched
        early, late = Waiter(watched, only_job=False), Waiter(watched, only_job=False)
        with pytest.raises(Boom):
            await relay.aresult(20)
        assert watched.since == 1
        assert early.wait == late.wait == (relay.ref, 0, False), "they began before that was known"
        assert Waiter(watched, only_job=False).wait == (relay.ref, 1, False)


async def test_a_snooze_ends_the_waiting_unless_it_waits_for_retries(app: Elihu):
    @app.task(name="t")
    async def t(*, ctx: elihu.Context = elihu.Context()) -> str:
        if (await app.jobs.runs(ctx.job.id))[0].outcome is None:
            raise Snooze(0)
        await told.wait()
        return "late"

    told = asyncio.Event()
    async with app.running():
        relays = [await t.asubmit(), await t.asubmit()]
        patient = asyncio.create_task(relays[1].aresult(20, wait_retries=True))
        with pytest.raises(JobSnoozed):
            await relays[0].aresult(20)
        told.set()
        assert await relays[0].aresult(20) == "late"
        assert await patient == "late"


async def test_a_stopped_node_does_not_end_the_waiting(app: Elihu, double: Task[..., Any]):
    began = asyncio.Semaphore(0)

    @app.task(name="t")
    async def t() -> str:
        began.release()
        if ends:
            return "here"
        await asyncio.Event().wait()
        raise AssertionError

    ends: list[bool] = []
    relay = await t.asubmit()
    waiting = asyncio.create_task(relay.aresult(20))
    async with app.running() as node:
        await began.acquire()
        await node.stop(now=True)
        assert not waiting.done()
    ends.append(True)
    async with app.running():
        assert await waiting == "here"
