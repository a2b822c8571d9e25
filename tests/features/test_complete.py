"""``ctx.complete``: what a task wrote and its job's end are one transaction."""

import contextlib
import sqlite3
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from elihu import (
    ClaimLost,
    Context,
    Elihu,
    JobState,
    NotCommitted,
    RunOutcome,
)
from elihu.telemetry.events import AcknowledgementRefused, EngineCalled, JobRaised
from tests.features.completing import effects, work
from tests.support import EventRecorder

pytestmark = pytest.mark.usefixtures("unhurried")


async def test_the_effect_and_the_end_are_committed_together(
    app: Elihu, events: EventRecorder, made: AsyncEngine
) -> None:
    between: list[JobState] = []

    @app.task(name="t", record=True)
    async def t(*, ctx: Context = Context()) -> dict[str, int]:
        async with AsyncSession(made) as session, session.begin():
            await work(session, ctx)
            ctx.log.info("written")
            await ctx.complete({"rows": 1}, conn=session)
            between.append((await app.jobs.get(ctx.job.id)).state)
        return {"never": 0}

    async with app.running():
        job = await t.aenqueue()
        stopped = await events.ended(job.id)
    assert between == [JobState.EXECUTING]
    stored = await app.jobs.get(job.id)
    assert (stored.state, stored.result, stored.attempt) == (JobState.COMPLETED, {"rows": 1}, 1)
    assert (stopped.outcome, stopped.state) == (RunOutcome.COMPLETED, JobState.COMPLETED)
    (run,) = await app.jobs.runs(job.id)
    assert run.outcome is RunOutcome.COMPLETED
    assert run.log is not None
    assert "written" in run.log
    assert await effects(made) == 1
    assert not events.of(AcknowledgementRefused)
    assert not events.of(JobRaised)


async def test_a_plain_one_leaves_no_run(
    app: Elihu, events: EventRecorder, made: AsyncEngine
) -> None:
    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> int:
        async with AsyncSession(made) as session, session.begin():
            await ctx.complete(5, conn=session)
        return 6

    async with app.running():
        jobs = [await t.aenqueue() for _ in range(20)]
        for job in jobs:
            await events.ended(job.id)
    for job in jobs:
        stored = await app.jobs.get(job.id)
        assert (stored.state, stored.result) == (JobState.COMPLETED, None)
    assert await app.jobs.count(state="completed") == 20


async def test_what_happens_after_the_commit_changes_nothing(
    app: Elihu, events: EventRecorder, made: AsyncEngine
) -> None:
    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> None:
        async with AsyncSession(made) as session, session.begin():
            await ctx.complete(conn=session)
        raise ValueError("too late")

    async with app.running():
        job = await t.aenqueue()
        stopped = await events.ended(job.id)
    assert stopped.outcome is RunOutcome.COMPLETED
    assert (await app.jobs.get(job.id)).state is JobState.COMPLETED
    assert not events.of(JobRaised)


async def test_a_return_without_a_commit_is_a_failed_attempt(
    app: Elihu, events: EventRecorder, made: AsyncEngine
) -> None:
    @app.task(name="t", backoff=0)
    async def t(*, ctx: Context = Context()) -> None:
        async with AsyncSession(made) as session:
            await work(session, ctx)
            await ctx.complete(conn=session)
            if ctx.attempt == 2:
                await session.commit()

    async with app.running():
        job = await t.aenqueue()
        await events.ended(job.id, 2)
    (raised,) = events.of(JobRaised)
    assert isinstance(raised.error, NotCommitted)
    assert (raised.outcome, raised.attempt) == (RunOutcome.FAILED, 1)
    first, second = await app.jobs.runs(job.id)
    assert first.error is not None
    assert "NotCommitted" in first.error
    assert second.outcome is RunOutcome.COMPLETED
    assert await effects(made) == 1


async def test_an_error_before_the_commit_is_that_error(
    app: Elihu, events: EventRecorder, made: AsyncEngine
) -> None:
    @app.task(name="t", max_attempts=1)
    async def t(*, ctx: Context = Context()) -> None:
        async with AsyncSession(made) as session, session.begin():
            await work(session, ctx)
            await ctx.complete(conn=session)
            raise ValueError("my own")

    async with app.running():
        job = await t.aenqueue()
        await events.count(JobRaised, 1)
    (raised,) = events.of(JobRaised)
    assert isinstance(raised.error, ValueError)
    assert (await app.jobs.get(job.id)).state is JobState.DISCARDED
    assert await effects(made) == 0


async def test_an_open_transaction_is_waited_for(
    app: Elihu, events: EventRecorder, made: AsyncEngine
) -> None:
    """The task returns, and somebody else commits."""
    if made.dialect.name == "sqlite":
        app.override(call_timeout=0.3)
    session = AsyncSession(made)

    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> None:
        await work(session, ctx)
        await ctx.complete(conn=session)

    async with app.running():
        job = await t.aenqueue()
        await events.until(
            lambda: any(
                event.verb == "ack_statuses" or event.error for event in events.of(EngineCalled)
            )
        )
        assert (await app.jobs.get(job.id)).state is JobState.EXECUTING
        await session.commit()
        await session.close()
        stopped = await events.ended(job.id)
    assert stopped.outcome is RunOutcome.COMPLETED
    assert await effects(made) == 1


async def test_a_lost_claim_is_an_error_and_the_transaction_stays_usable(
    app: Elihu, events: EventRecorder, made: AsyncEngine
) -> None:
    lost: list[ClaimLost] = []

    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> None:
        if lost:
            return
        await app.jobs.stop(ctx.job.id)
        async with AsyncSession(made) as session, session.begin():
            await work(session, ctx)
            with pytest.raises(ClaimLost, match="to be executed under claim 1") as caught:
                await ctx.complete(conn=session)
            lost.append(caught.value)

    async with app.running():
        job = await t.aenqueue()
        await events.stored(job.id, {JobState.COMPLETED})
    assert [error.job_id for error in lost] == [job.id]
    assert await effects(made) == 1


async def test_completing_twice(app: Elihu, events: EventRecorder, made: AsyncEngine) -> None:
    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> None:
        async with AsyncSession(made) as session, session.begin():
            await ctx.complete(conn=session)
            with pytest.raises(ClaimLost, match="got one that is completed"):
                await ctx.complete(conn=session)

    async with app.running():
        job = await t.aenqueue()
        stopped = await events.ended(job.id)
    assert stopped.outcome is RunOutcome.COMPLETED


async def test_a_thread_completes_with_a_synchronous_connection(
    app: Elihu, events: EventRecorder, made: AsyncEngine, database_url: str
) -> None:
    on_postgres = made.dialect.name == "postgresql"

    @app.task(name="t", record=True)
    def t(*, ctx: Context = Context()) -> int:
        conn: Any = (
            psycopg.connect(database_url)
            if on_postgres
            else sqlite3.connect(database_url.removeprefix("sqlite:///"))
        )
        with contextlib.closing(conn):
            conn.execute(f"INSERT INTO effect VALUES ({ctx.job.id})")
            ctx.complete_sync(7, conn=conn)
            conn.commit()
        return 0

    async with app.running():
        job = await t.aenqueue()
        stopped = await events.ended(job.id)
    assert stopped.outcome is RunOutcome.COMPLETED
    assert (await app.jobs.get(job.id)).result == 7
    assert await effects(made) == 1


async def test_outside_of_a_node_there_is_no_job_to_complete(made: AsyncEngine) -> None:
    async with AsyncSession(made) as session:
        await Context().complete(conn=session)
        Context().complete_sync(conn=session)
        assert not session.in_transaction()
