"""Kill, stop, timeouts and expiry, as an app's user meets them."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from elihu import (
    Context,
    Elihu,
    InvalidOption,
    InvalidTransition,
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobState,
    RunOutcome,
    Task,
)
from elihu.telemetry.events import AcknowledgementRefused, JobExpired, JobStarted
from tests.support import QUICK, EventRecorder

pytestmark = pytest.mark.sqlite_first


@pytest.fixture
async def app(database_url: str, tables: None) -> AsyncIterator[Elihu]:
    """Its jobs expire soon."""
    app = Elihu(database_url, **QUICK, lifeline={"interval": 0.1})
    yield app
    await app.aclose()


@pytest.fixture
async def elsewhere(app: Elihu, database_url: str) -> AsyncIterator[Elihu]:
    """Another process's app on the same database, as far as signals go."""
    other = Elihu(database_url, **QUICK)
    yield other
    await other.aclose()


@pytest.fixture
def endless(app: Elihu) -> Task[..., Any]:
    @app.task(name="endless", backoff=3_600)
    async def endless():
        await asyncio.Event().wait()

    return endless


async def test_from_another_process_a_job_is_killed_tried_again_and_killed_for_good(
    app: Elihu, events: EventRecorder, elsewhere: Elihu, endless: Task[..., Any]
):
    job = await endless.using(max_attempts=2, backoff=0).aenqueue()
    async with app.running():
        for attempt in (1, 2):
            await events.count(JobStarted, attempt)
            assert await elsewhere.jobs.kill(task="endless") == 1
            assert (await events.ended(job.id, attempt)).outcome == RunOutcome.KILLED
        stored = await events.stored(job.id, {JobState.DISCARDED})
    assert (stored.reason, stored.attempt) == ("killed", 2)
    assert [run.outcome for run in await app.jobs.runs(job.id)] == [RunOutcome.KILLED] * 2
    assert await elsewhere.jobs.kill(job.id) == 0


async def test_what_does_not_run_is_neither_killed_nor_stopped(app: Elihu, endless: Task[..., Any]):
    jobs = [await endless.using(**how).aenqueue() for how in ({}, {"delay": 60}, {"hold": True})]
    assert await app.jobs.kill(*(job.id for job in jobs)) == 0
    for job in jobs:
        with pytest.raises(
            InvalidTransition,
            match=f"stop: expected a job that is executing, got job {job.id}, which is {job.state}",
        ):
            await app.jobs.stop(job.id)
        assert await app.jobs.get(job.id) == job
    with pytest.raises(JobNotFound):
        await app.jobs.stop(10**6)
    for wrong in ("1", 0, -1, True, None, 1.5):
        with pytest.raises(InvalidOption, match="id: expected a whole number"):
            await app.jobs.stop(wrong)  # type: ignore[arg-type]


async def test_a_job_that_is_given_back_runs_beside_its_old_attempt(
    app: Elihu, events: EventRecorder, elsewhere: Elihu
):
    gate = asyncio.Event()
    begun: list[Context] = []

    @app.task(name="t", record=True)
    async def t(ctx: Context = Context()) -> int:
        begun.append(ctx)
        number = len(begun)
        if number == 1:
            await ctx.wait_cancelled()
            await gate.wait()
        return number

    job = await t.aenqueue()
    async with app.running():
        await events.until(lambda: len(begun) == 1)
        await elsewhere.jobs.stop(job.id)
        stored = await events.stored(job.id, {JobState.COMPLETED})
        assert (stored.result, stored.attempt) == (2, 1)
        gate.set()
        await events.count(AcknowledgementRefused, 1)
    assert (await app.jobs.get(job.id)).result == 2
    assert [run.outcome for run in await app.jobs.runs(job.id)] == [
        RunOutcome.STOPPED,
        RunOutcome.COMPLETED,
    ]


async def test_whoever_waits_learns_of_a_kill_a_timeout_and_an_expiry(
    app: Elihu, events: EventRecorder, endless: Task[..., Any]
):
    async with app.running({"default": 5}):
        killed = await endless.asubmit()
        await events.count(JobStarted, 1)
        await app.jobs.kill(killed.ref)
        with pytest.raises(JobFailed, match="killed"):
            await killed.aresult(timeout=20)
        with pytest.raises(JobFailed, match=r"timeout: ran longer than 0\.05 s"):
            await (await endless.using(timeout=0.05).asubmit()).aresult(timeout=20)
        late = await endless.using(queue="unserved", expires=0.001).asubmit()
        with pytest.raises(JobCancelled, match="expired"):
            await late.aresult(timeout=20)
    assert [event.job_id for event in events.of(JobExpired)] == [late.ref]


async def test_a_cancel_among_kills_timeouts_and_ends_is_the_jobs_end(
    app: Elihu, events: EventRecorder, elsewhere: Elihu
):
    chance = random.Random(7)

    @app.task(name="t", backoff=0, timeout=0.2)
    async def t(seconds: float) -> None:
        await asyncio.sleep(seconds)

    jobs = [await t.aenqueue(seconds=round(chance.random(), 2)) for _ in range(20)]
    async with app.running({"default": 20}):
        await events.count(JobStarted, 20)
        cancelled = []
        for job in chance.sample(jobs, 20):
            await elsewhere.jobs.kill(*(each.id for each in chance.sample(jobs, 3)))
            if await elsewhere.jobs.cancel(job.id):
                cancelled.append(job)
        assert cancelled
        for job in cancelled:
            assert (
                await events.stored(job.id, {JobState.CANCELLED, JobState.COMPLETED})
            ).finished_at
    for job in jobs:
        stored, runs = await app.jobs.get(job.id), await app.jobs.runs(job.id)
        assert stored.state in {JobState.CANCELLED, JobState.COMPLETED}
        assert stored.attempt == len(runs)
        assert {run.outcome for run in runs} <= {
            RunOutcome.KILLED,
            RunOutcome.TIMED_OUT,
            RunOutcome.CANCELLED,
            RunOutcome.COMPLETED,
        }
