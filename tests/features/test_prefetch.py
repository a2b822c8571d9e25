"""A queue with ``prefetch``, as a program sees it."""

import asyncio
import time
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from elihu import Context, Elihu, JobState, QueueOnNode
from elihu.telemetry.events import JobStarted
from tests.features.completing import effects, work
from tests.support import EventRecorder

QUEUES = {"default": {"limit": 1, "prefetch": 5}}


async def test_jobs_wait_in_the_node_and_are_shown_without_a_start(
    app: Elihu, events: EventRecorder
):
    gate = asyncio.Event()

    @app.task(name="t")
    async def t() -> None:
        await gate.wait()

    jobs = [await t.aenqueue() for _ in range(3)]
    async with app.running(queues=QUEUES) as node:
        await events.count(JobStarted, 1)
        shown = [await app.jobs.get(job.id) for job in jobs]
        listed = {job.id: job for job in (await app.jobs.list()).items}
        summaries = {job.id: job for job in (await app.jobs.summaries(state="executing")).items}
        (queue,) = await app.queues.list()
        gate.set()
        await events.count(JobStarted, 3)
    assert {job.state for job in shown} == {JobState.EXECUTING}
    assert [job.started_at is None for job in shown] == [False, True, True]
    for found in (listed, summaries):
        assert [found[job.id].started_at is None for job in jobs] == [False, True, True]
    assert queue.nodes == (
        QueueOnNode(node=node.id, limit=1, paused=False, executing=3, prefetch=5),
    )
    assert await app.jobs.count(state="completed") == 3


async def test_a_job_that_waited_and_completes_in_its_own_transaction_has_its_start(
    app: Elihu, events: EventRecorder, made: AsyncEngine
):
    waited = 0.2

    @app.task(name="t")
    async def t(number: int, *, ctx: Context = Context()) -> None:
        if number == 0:
            await asyncio.to_thread(time.sleep, waited)
            return
        async with AsyncSession(made) as session, session.begin():
            await work(session, ctx)
            await ctx.complete(conn=session)

    first, second = await t.aenqueue(0), await t.aenqueue(1)
    async with app.running(queues=QUEUES):
        await events.ended(first.id)
        await events.ended(second.id)
    one, other = await app.jobs.get(first.id), await app.jobs.get(second.id)
    assert await effects(made) == 1
    assert one.started_at
    assert other.started_at
    assert other.started_at - one.started_at >= timedelta(seconds=waited)
    assert other.finished_at
    assert other.started_at <= other.finished_at
