"""``ctx.complete`` with other databases, in killed nodes and with waiters."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from elihu import (
    Context,
    Elihu,
    InvalidOption,
    JobState,
    ResultTooLarge,
    RunOutcome,
    WrongDatabase,
)
from tests.features.completing import effects, work
from tests.support import BUSY_MACHINE, EventRecorder

pytestmark = pytest.mark.usefixtures("unhurried")


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
        with (
            closing(sqlite3.connect(":memory:")) as memory,
            pytest.raises(InvalidOption, match=r"write ctx\.complete_sync"),
        ):
            await ctx.complete(conn=memory)

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
        connection = await session.connection()
        await connection.exec_driver_sql(f"INSERT INTO effect VALUES ({ctx.job.id})")
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


async def test_a_waiter_gets_the_value_with_the_commit(
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
