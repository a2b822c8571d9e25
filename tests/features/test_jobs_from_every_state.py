"""The verbs of ``app.jobs`` from every state, alone and in bulk."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from elihu import (
    Context,
    Elihu,
    InvalidTransition,
    Job,
    JobNotFound,
    JobState,
    RunOutcome,
)
from tests.features.job_states import (
    AVAILABLE,
    CANCELLED,
    COMPLETED,
    DISCARDED,
    EXECUTING,
    RETRYABLE,
    SCHEDULED,
    SUSPENDED,
)
from tests.support import EventRecorder


class Everywhere:
    """One job in each state, the executing one held there."""

    def __init__(self, jobs: dict[JobState, Job], let_go: asyncio.Event) -> None:
        self.jobs = jobs
        self.let_go = let_go

    def __getitem__(self, state: JobState) -> int:
        return self.jobs[state].id


@pytest.fixture
async def everywhere(app: Elihu, events: EventRecorder) -> AsyncIterator[Everywhere]:
    let_go = asyncio.Event()

    @app.task(name="work", max_attempts=2)
    async def work(what: str, *, ctx: Context = Context()):
        match what:
            case "executing":
                await let_go.wait()
            case "retryable":
                raise ValueError("x")
            case "cancelled":
                await app.jobs.cancel(ctx.job.id)
                await asyncio.sleep(20)

    jobs = {
        SUSPENDED: await work.using(hold=True).aenqueue("suspended"),
        SCHEDULED: await work.using(delay=600).aenqueue("scheduled"),
        AVAILABLE: await work.using(queue="unserved").aenqueue("available"),
        EXECUTING: await work.aenqueue("executing"),
        RETRYABLE: await work.aenqueue("retryable"),
        COMPLETED: await work.aenqueue("completed"),
        DISCARDED: await work.using(max_attempts=1).aenqueue("retryable"),
        CANCELLED: await work.aenqueue("cancelled"),
    }
    async with app.running():
        for state, job in jobs.items():
            await events.stored(job.id, {state})
        yield Everywhere(jobs, let_go)
        let_go.set()


async def states(app: Elihu, everywhere: Everywhere) -> dict[JobState, JobState]:
    """State at first → state now, where they differ."""
    now = {state: (await app.jobs.get(job.id)).state for state, job in everywhere.jobs.items()}
    return {before: after for before, after in now.items() if before is not after}


async def test_cancel_from_every_state(app: Elihu, events: EventRecorder, everywhere: Everywhere):
    assert await app.jobs.cancel(*(job.id for job in everywhere.jobs.values())) == 5
    await events.stored(everywhere[EXECUTING], {CANCELLED})
    assert await states(app, everywhere) == dict.fromkeys(
        (SUSPENDED, SCHEDULED, AVAILABLE, EXECUTING, RETRYABLE), CANCELLED
    )
    for state in (SUSPENDED, SCHEDULED, AVAILABLE, EXECUTING, RETRYABLE):
        job = await app.jobs.get(everywhere[state])
        assert (job.reason, job.finished_at is not None) == ("cancelled", True), state
    assert await app.jobs.cancel(*(job.id for job in everywhere.jobs.values())) == 0
    assert [run.outcome for run in await app.jobs.runs(everywhere[EXECUTING])] == [
        RunOutcome.CANCELLED
    ]
    assert await app.jobs.runs(everywhere[AVAILABLE]) == []
    assert [run.outcome for run in await app.jobs.runs(everywhere[RETRYABLE])] == [
        RunOutcome.FAILED
    ]


async def test_hold_and_release_from_every_state(
    app: Elihu, events: EventRecorder, everywhere: Everywhere
):
    ids = [job.id for job in everywhere.jobs.values()]
    assert await app.jobs.hold(*ids) == 3
    assert await states(app, everywhere) == dict.fromkeys(
        (SCHEDULED, AVAILABLE, RETRYABLE), SUSPENDED
    )
    assert await app.jobs.hold(*ids) == 0
    assert await app.jobs.release(*ids) == 4
    changed = await states(app, everywhere)
    assert changed.pop(SUSPENDED) in {AVAILABLE, EXECUTING, COMPLETED}
    assert changed == {RETRYABLE: SCHEDULED}
    await events.stored(everywhere[SUSPENDED], {COMPLETED})
    assert await app.jobs.release(*ids) == 0


async def test_retry_from_every_state(app: Elihu, events: EventRecorder, everywhere: Everywhere):
    ids = [job.id for job in everywhere.jobs.values()]
    await app.jobs.update(everywhere[SUSPENDED], queue="unserved")
    before = {job_id: await app.jobs.get(job_id) for job_id in ids}
    assert await app.jobs.retry(*ids) == 6
    ran = {
        SCHEDULED: COMPLETED,
        RETRYABLE: DISCARDED,
        DISCARDED: DISCARDED,
        CANCELLED: CANCELLED,
        COMPLETED: COMPLETED,
    }
    attempts = {SCHEDULED: 1, RETRYABLE: 2, DISCARDED: 2, CANCELLED: 2, COMPLETED: 2}
    for state, end in ran.items():
        async with asyncio.timeout(20):
            while (job := await app.jobs.get(everywhere[state])).attempt != attempts[
                state
            ] or job.state is not end:
                await events.more()
        assert job.max_attempts == max(before[job.id].max_attempts, attempts[state]), state
        assert len(await app.jobs.runs(job.id)) == attempts[state]
    suspended = await app.jobs.get(everywhere[SUSPENDED])
    assert (suspended.state, suspended.attempt) == (AVAILABLE, 0)
    assert (await app.jobs.get(everywhere[EXECUTING])).state is EXECUTING
    assert [run.outcome for run in await app.jobs.runs(everywhere[COMPLETED])] == [
        RunOutcome.COMPLETED
    ] * 2


async def test_delete_from_every_state(app: Elihu, everywhere: Everywhere):
    ids = [job.id for job in everywhere.jobs.values()]
    assert await app.jobs.delete(*ids) == 7
    for state, job in everywhere.jobs.items():
        if state is EXECUTING:
            assert (await app.jobs.get(job.id)).state is EXECUTING
            continue
        for verb in (app.jobs.get, app.jobs.runs, app.jobs.position):
            with pytest.raises(JobNotFound, match=f"job {job.id} not found"):
                await verb(job.id)
    assert await app.jobs.delete(*ids) == 0


async def test_update_and_position_from_every_state(app: Elihu, everywhere: Everywhere):
    for state, job in everywhere.jobs.items():
        assert await app.jobs.position(job.id) == (1 if state is AVAILABLE else None), state
        if state in {SUSPENDED, SCHEDULED, AVAILABLE, RETRYABLE}:
            changed = await app.jobs.update(job.id, priority=5)
            assert (changed.priority, changed.state) == (5, state)
            assert await app.jobs.get(job.id) == changed
        else:
            with pytest.raises(
                InvalidTransition,
                match=f"update: expected a.* job.*, got job {job.id}, which is {state}",
            ):
                await app.jobs.update(job.id, priority=5)
            assert (await app.jobs.get(job.id)).priority == 0
