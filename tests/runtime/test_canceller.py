"""Cancelling running jobs, on the node that runs them."""

import asyncio
import threading

from elihu import Context, Elihu, JobState, RunOutcome
from elihu.job import JobFilter
from elihu.runtime.attempts.execution import Cause
from elihu.runtime.queue.canceller import Canceller
from elihu.telemetry.events import EngineCalled, JobStarted, JobStopped
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.support import EventRecorder


def told(cancelled: int = 0, killed: int = 0, stopped: int = 0) -> dict[str, int]:
    return {"cancelled_count": cancelled, "killed_count": killed, "stopped_count": stopped}


async def test_a_running_async_task_is_cancelled_and_its_job_too(app: Elihu, events: EventRecorder):
    cleaned: list[bool] = []

    @app.task(name="endless")
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    async with app.running():
        job = await endless.aenqueue()
        await events.count(JobStarted, 1)
        assert await app.jobs.cancel(job.id) == 1
        ended = await events.ended(job.id)
        assert (ended.outcome, ended.state) == (RunOutcome.CANCELLED, JobState.CANCELLED)
    assert cleaned == [True]
    stored = await app.jobs.get(job.id)
    assert (stored.state, stored.reason, stored.attempt) == (JobState.CANCELLED, "cancelled", 1)
    assert [run.outcome for run in await app.jobs.runs(job.id)] == [RunOutcome.CANCELLED]


async def test_a_thread_sees_its_cancellation(app: Elihu, events: EventRecorder):
    began = threading.Event()

    @app.task(name="thread")
    def thread(ctx: Context = Context()) -> None:
        began.set()
        while not ctx.cancelled:
            pass
        raise RuntimeError("gives up")

    async with app.running():
        job = await thread.aenqueue()
        await asyncio.to_thread(began.wait)
        await app.jobs.cancel(job.id)
        assert (await events.ended(job.id)).state == JobState.CANCELLED
    assert (await app.jobs.get(job.id)).state is JobState.CANCELLED


async def test_it_looks_with_each_heartbeat_where_no_announcement_comes(harness: NodeHarness):
    began = asyncio.Event()

    async def t() -> None:
        began.set()
        await asyncio.Event().wait()

    harness.task(t, name="t")
    producer = harness.producer()
    canceller = Canceller(harness.scope, lambda: [producer])
    await producer.start()
    await canceller.start()
    job_id = await harness.put()
    producer.fetch_soon()
    await began.wait()
    await harness.engine.cancel(JobFilter(ids=(job_id,)))
    await harness.until(lambda: bool(harness.of(JobStopped)))
    await canceller.stop()
    await harness.until(lambda: not producer.held)
    assert await harness.state(job_id) is JobState.CANCELLED


async def test_it_asks_nothing_while_nothing_runs(harness: NodeHarness):
    canceller = Canceller(harness.scope, lambda: [harness.producer()])
    assert await canceller.tick() == (harness.config.heartbeat, told(0))
    assert not [event for event in harness.of(EngineCalled) if event.verb == "intents"]


async def test_a_task_that_cleans_up_is_cancelled_once(harness: NodeHarness):
    began, cleaning, gate = asyncio.Event(), asyncio.Event(), asyncio.Event()
    cleaned: list[bool] = []

    async def t() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await gate.wait()
            cleaned.append(True)

    harness.task(t, name="t")
    producer = harness.producer()
    canceller = Canceller(harness.scope, lambda: [producer])
    job_id = await harness.put()
    await producer.start()
    await began.wait()
    await harness.engine.cancel(JobFilter(ids=(job_id,)))
    for _ in range(3):
        assert (await canceller.tick()).data == told(1)
        await cleaning.wait()
    gate.set()
    await harness.until(lambda: not producer.held)
    assert cleaned == [True]
    assert await harness.state(job_id) is JobState.CANCELLED


async def test_an_intent_set_before_the_attempt_begins_is_followed(harness: NodeHarness):
    ran: list[bool] = []

    async def t() -> None:
        ran.append(True)

    harness.task(t, name="t")
    producer = harness.producer()
    job_id = await harness.put()
    begin = producer.starter._begin

    def begin_and_cancel(claims, node):
        begin(claims, node)
        for claim in claims:
            producer.end((claim.id, claim.claim), Cause.CANCEL)

    producer.starter._begin = begin_and_cancel  # type: ignore[method-assign]
    await producer.start()
    await harness.until(lambda: bool(harness.of(JobStopped)) and not producer.held)
    assert ran == []
    assert await harness.state(job_id) is JobState.CANCELLED


async def test_a_task_cancelled_from_outside_before_its_first_step_is_given_back(
    harness: NodeHarness,
):
    ran: list[int] = []

    async def t(number: int) -> None:
        ran.append(number)

    harness.task(t, name="t")
    producer = harness.producer()
    ids = [await harness.put(args=f'{{"number": {number}}}') for number in range(2)]
    begin = producer.starter._begin

    def begin_and_cancel(claims, node):
        begin(claims, node)
        producer.starter._begin = begin  # type: ignore[method-assign]
        handle = producer.running[claims[0].id, claims[0].claim].handle
        assert handle is not None
        handle.cancel()

    producer.starter._begin = begin_and_cancel  # type: ignore[method-assign]
    await producer.start()
    producer.fetch_soon()
    await harness.until(lambda: len(harness.of(JobStopped)) == 3 and not producer.held)
    assert ran == [1, 0]
    assert await harness.results(ids[0]) == ["returned", "completed"]
    assert [(await harness.job(each)).attempt for each in ids] == [1, 1]


async def test_only_the_claim_that_was_meant_is_cancelled(harness: NodeHarness):
    began = asyncio.Event()

    async def t() -> None:
        began.set()
        await asyncio.Event().wait()

    harness.task(t, name="t")
    producer = harness.producer()
    job_id = await harness.put()
    await producer.start()
    await began.wait()
    producer.end((job_id, 2), Cause.CANCEL)
    producer.end((job_id + 1, 1), Cause.CANCEL)
    (execution,) = producer.running.values()
    assert execution.cause is None
    producer.end((job_id, 1), Cause.CANCEL)
    assert execution.cause is Cause.CANCEL


async def test_the_node_that_runs_it_cancels_and_no_other(
    harness: NodeHarness, harnesses: HarnessFactory
):
    began = asyncio.Event()

    async def t() -> None:
        began.set()
        await asyncio.Event().wait()

    other = await harnesses()
    harness.task(t, name="t")
    producer = harness.producer()
    job_id = await harness.put()
    await producer.start()
    await began.wait()
    await other.engine.cancel(JobFilter(ids=(job_id,)))
    assert await other.engine.intents(other.node) == []
    assert (await Canceller(harness.scope, lambda: [producer]).tick()).data == told(1)


async def test_a_cancelled_job_that_fails_is_not_tried_again(app: Elihu, events: EventRecorder):
    @app.task(name="fails")
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("while it was cancelled") from None

    async with app.running():
        job = await fails.aenqueue()
        await events.count(JobStarted, 1)
        await app.jobs.cancel(job.id)
        await events.ended(job.id)
    assert (await app.jobs.get(job.id)).state is JobState.CANCELLED
