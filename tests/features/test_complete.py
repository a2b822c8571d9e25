"""``ctx.complete``: what a task wrote and its job's end are one transaction."""

import asyncio
import contextlib
import sqlite3
import sys
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from elihu import (
    ClaimLost,
    Context,
    Elihu,
    InvalidOption,
    JobState,
    NotCommitted,
    ResultTooLarge,
    RunOutcome,
    WrongDatabase,
)
from elihu.telemetry.events import AcknowledgementRefused, EngineCalled, JobRaised
from tests.features.callers import with_driver
from tests.support import BUSY_MACHINE, EventRecorder


@pytest.fixture
def app(app: Elihu) -> Elihu:
    app.override(**BUSY_MACHINE)
    return app


@pytest.fixture
async def made(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine of the task's own, with a table of its own."""
    made = create_async_engine(
        with_driver(database_url, "aiosqlite" if database_url.startswith("sqlite") else "asyncpg")
    )
    async with made.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE effect (job integer)")
    yield made
    await made.dispose()


async def effects(made: AsyncEngine) -> int:
    async with made.connect() as connection:
        return int((await connection.exec_driver_sql("SELECT count(*) FROM effect")).scalar_one())


async def work(session: Any, ctx: Context) -> None:
    await (await session.connection()).exec_driver_sql(f"INSERT INTO effect VALUES ({ctx.job.id})")


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


async def test_a_lost_claim_is_an_error_and_the_transaction_goes_on(
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


async def test_another_database(
    app: Elihu, events: EventRecorder, made: AsyncEngine, tmp_path: Any
) -> None:
    refusals: list[str] = []
    elsewhere = tmp_path / "elsewhere.db"
    other = Elihu(f"sqlite:///{elsewhere}")
    await other.migrate()
    await other.aclose()
    empty = tmp_path / "empty.db"

    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> None:
        for path in (elsewhere, empty):
            conn = sqlite3.connect(path)
            with pytest.raises(WrongDatabase) as caught:
                ctx.complete_sync(conn=conn)
            refusals.append(str(caught.value))
            conn.close()
        async with AsyncSession(made) as session:
            for call in (
                lambda: ctx.complete_sync(conn=session),
                lambda: ctx.complete(conn=object()),
            ):
                with pytest.raises(InvalidOption) as wrong:
                    await (call() or asyncio.sleep(0))
                refusals.append(str(wrong.value))
        with pytest.raises(InvalidOption, match=r"write ctx\.complete_sync"):
            await ctx.complete(conn=sqlite3.connect(":memory:"))

    async with app.running():
        job = await t.aenqueue()
        stopped = await events.ended(job.id)
    assert stopped.outcome is RunOutcome.COMPLETED
    if made.dialect.name == "sqlite":
        assert "got one to" in refusals[0]
        assert "elsewhere.db" in refusals[0]
        assert "empty.db" in refusals[1]
    else:
        assert "expected a connection to PostgreSQL" in refusals[0]
    assert "write await ctx.complete" in refusals[2]


async def test_another_installation_behind_the_same_name(
    app: Elihu, events: EventRecorder, made: AsyncEngine
) -> None:
    meta = "meta" if made.dialect.name == "sqlite" else "elihu.meta"

    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> None:
        async with AsyncSession(made) as session, session.begin():
            await work(session, ctx)
            await (await session.connection()).exec_driver_sql(
                f"UPDATE {meta} SET value = 'other' WHERE key = 'installation_id'"
            )
            with pytest.raises(
                WrongDatabase, match=r"another installation of Elihu \(other, not .{36}\)"
            ):
                await ctx.complete(conn=session)

    async with app.running():
        job = await t.aenqueue()
        stopped = await events.ended(job.id)
    assert stopped.outcome is RunOutcome.COMPLETED
    assert await effects(made) == 1


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


PROGRAM = """
import asyncio, os, sys
from elihu import Context, Elihu
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

url, mine, moment = sys.argv[1:]
app = Elihu(url)
made = create_async_engine(mine)

@app.task(name="t")
async def t(*, ctx: Context = Context()):
    async with AsyncSession(made) as session:
        await (await session.connection()).exec_driver_sql(f"INSERT INTO effect VALUES ({ctx.job.id})")
        await ctx.complete(conn=session)
        if moment == "after":
            await session.commit()
        os.kill(os.getpid(), 9)

async def main():
    async with app.running():
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_node_killed_before_and_after_the_commit(
    app: Elihu, events: EventRecorder, made: AsyncEngine, database_url: str, moment: str
) -> None:
    app.override(call_timeout=3.0, dead_after=4.0, lease=4.0)
    attempts: list[int] = []

    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> None:
        attempts.append(ctx.attempt)
        async with AsyncSession(made) as session, session.begin():
            await work(session, ctx)
            await ctx.complete(conn=session)

    job = await t.aenqueue()
    mine = made.url.render_as_string(hide_password=False)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, database_url, mine, moment
    )
    assert await process.wait() == -9
    async with app.running():
        stored = await events.stored(job.id, {JobState.COMPLETED})
    assert (stored.attempt, attempts) == ((2, [2]) if moment == "before" else (1, []))
    assert await effects(made) == 1


async def test_who_waits_is_told_with_the_commit(
    app: Elihu, events: EventRecorder, made: AsyncEngine
) -> None:
    app.override(poll=60, poll_fallback=60)

    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> int:
        async with AsyncSession(made) as session, session.begin():
            await ctx.complete(8, conn=session)
        return 0

    async with app.running():
        relay = await t.asubmit()
        assert await relay.aresult(timeout=20) == 8


@pytest.mark.parametrize("too_large", [False, True])
async def test_who_began_to_wait_while_it_ran_gets_its_value(
    app: Elihu, events: EventRecorder, made: AsyncEngine, too_large: bool
) -> None:
    app.override(**BUSY_MACHINE, max_result=100)
    began, gate = asyncio.Semaphore(0), asyncio.Event()

    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> Any:
        began.release()
        await gate.wait()
        async with AsyncSession(made) as session, session.begin():
            await ctx.complete("x" * 200 if too_large else [8], conn=session)

    async with app.running():
        job, other = await t.aenqueue(), await t.aenqueue()
        for _ in range(2):
            await began.acquire()
        waiting = asyncio.create_task(app.relay(job.id).aresult(20))
        await events.until(lambda: events.calls("attach") > 0)
        gate.set()
        if too_large:
            with pytest.raises(ResultTooLarge, match="at most 100 bytes"):
                await waiting
        else:
            assert await waiting == [8]
        await events.stored(other.id, {JobState.COMPLETED})
    stored = await app.jobs.get(other.id)
    assert (stored.result, stored.reason) == (None, None)
    (run,) = await app.jobs.runs(other.id)
    assert run.reason is None


async def test_outside_of_a_node_there_is_no_job_to_complete(made: AsyncEngine) -> None:
    async with AsyncSession(made) as session:
        await Context().complete(conn=session)
        Context().complete_sync(conn=session)
        assert not session.in_transaction()
