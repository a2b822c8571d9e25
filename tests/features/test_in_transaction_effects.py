"""What a caller's transaction announces, waits for and imports."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from elihu import (
    Elihu,
    JobState,
    RunOutcome,
    Unique,
)
from elihu.engines.protocol.signals import Signal, SignalKind, signal_of
from tests.features.caller import with_driver
from tests.features.transactions import empty_task, numbers
from tests.support import EventRecorder


async def test_the_transaction_announces_a_queue_once_and_only_what_is_due(
    databases: dict[str, str],
) -> None:
    app = Elihu(databases["postgres"])
    names = [f"queue {next(numbers)} å" for _ in range(3)]
    task: Any = app.task(name="t")(empty_task)
    received: asyncio.Queue[str] = asyncio.Queue()
    listener, caller = (
        await asyncpg.connect(databases["postgres"]),
        await asyncpg.connect(databases["postgres"]),
    )
    await listener.add_listener("elihu_elihu_signal", lambda *args: received.put_nowait(args[-1]))

    async with caller.transaction():
        for _ in range(2):
            await task.using(conn=caller, queue=names[0]).aenqueue()
        await task.using(conn=caller, queue=names[1], delay=60).aenqueue()
        await task.using(conn=caller, queue=names[1], hold=True).aenqueue()
        await task.using(conn=caller, queue=names[1], notify=False).aenqueue()
        await app.enqueue_many([task.using(queue=names[1]).build()], conn=caller, notify=False)
        await app.enqueue_many(
            [replace(task.using(queue=names[1]).build(), notify=False)], conn=caller
        )
        await app.enqueue_many([task.using(queue=names[2]).build()] * 3, conn=caller)
        await listener.execute("SELECT 1")
        assert received.empty()
    await caller.execute("NOTIFY elihu_elihu_signal, 'end'")
    assert [await received.get() for _ in range(3)] == [
        f"jobs:{names[0]}",
        f"jobs:{names[2]}",
        "end",
    ]
    assert signal_of(f"jobs:{names[0]}") == Signal(SignalKind.JOBS, names[0])
    await listener.close()
    await caller.close()
    await app.aclose()


async def test_a_node_starts_the_job_after_the_commit(
    app: Elihu, events: EventRecorder, database_url: str
) -> None:
    app.override(poll=60, poll_fallback=60)

    @app.task(name="t")
    async def task() -> None: ...

    driver = "aiosqlite" if database_url.startswith("sqlite") else "asyncpg"
    made = create_async_engine(with_driver(database_url, driver), poolclass=sqlalchemy.NullPool)
    async with app.running(), AsyncSession(made) as session:
        job = await task.using(conn=session).aenqueue()
        await session.commit()
        stopped = await events.ended(job.id)
    assert stopped.outcome is RunOutcome.COMPLETED
    await made.dispose()


# other transactions


async def test_a_holder_in_another_transaction_is_waited_for(databases: dict[str, str]) -> None:
    app = Elihu(databases["postgres"])
    queue = f"queue-{next(numbers)}"

    @app.task(name="one", queue=queue, unique=Unique(by=("task", "args", "queue")))
    async def one(number: int) -> None: ...

    mine, other = (
        await asyncpg.connect(databases["postgres"]),
        await asyncpg.connect(databases["postgres"]),
    )
    for committed in (False, True):
        theirs = other.transaction()
        await theirs.start()
        there = await one.using(conn=other).aenqueue(1)
        async with mine.transaction():
            waiting = asyncio.create_task(one.using(conn=mine).aenqueue(1))
            while not await other.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1",
                mine.get_server_pid(),
            ):
                assert not waiting.done()
                await asyncio.sleep(0)
            await (theirs.commit() if committed else theirs.rollback())
            job = await waiting
            assert (job.conflict, job.id == there.id) == (committed, committed)
            if not committed:
                await mine.execute("DELETE FROM elihu.job WHERE id = $1", job.id)
    await mine.close()
    await other.close()
    await app.aclose()


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_holder_that_a_stricter_transaction_cannot_see_is_the_drivers_error(
    databases: dict[str, str], isolation: str
) -> None:
    app = Elihu(databases["postgres"])
    queue = f"queue-{next(numbers)}"

    @app.task(name="one", queue=queue, unique=Unique(by=("task", "args", "queue")))
    async def one(number: int) -> None: ...

    conn = await asyncpg.connect(databases["postgres"])
    before = await one.aenqueue(1)
    async with conn.transaction(isolation=isolation):
        assert (await one.using(conn=conn).aenqueue(1)).id == before.id
        await one.aenqueue(2)
        with pytest.raises(asyncpg.SerializationError):
            await one.using(conn=conn).aenqueue(2)
        assert await conn.fetchval("SELECT 1") == 1
        fresh = await one.using(conn=conn).aenqueue(3)
    assert (await app.jobs.get(fresh.id)).state is JobState.AVAILABLE
    await conn.close()
    await app.aclose()


PROGRAM = """
import os, sqlite3, sys
from elihu import Elihu
import asyncpg, asyncio

url, moment = sys.argv[1:]
app = Elihu(url)

@app.task(name="t", queue=f"killed {moment}")
async def task(): ...

def killed_at(here):
    if here == moment:
        os.kill(os.getpid(), 9)

async def on_postgres():
    conn = await asyncpg.connect(url)
    async with conn.transaction():
        await task.using(conn=conn).aenqueue()
        killed_at("before")
    killed_at("after")

def on_sqlite():
    conn = sqlite3.connect(url.removeprefix("sqlite:///"))
    task.using(conn=conn).enqueue()
    killed_at("before")
    conn.commit()
    killed_at("after")

on_sqlite() if url.startswith("sqlite") else asyncio.run(on_postgres())
"""


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_process_killed_before_and_after_its_commit(
    databases: dict[str, str], engine: str
) -> None:
    app = Elihu(databases[engine])
    for moment, number in (("before", 0), ("after", 1)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, databases[engine], moment
        )
        assert await process.wait() == -9
        assert await app.jobs.count(queue=f"killed {moment}") == number
    await app.aclose()


def test_no_driver_is_imported_that_is_not_used(databases: dict[str, str]) -> None:
    program = """
import sqlite3, sys
from elihu import Elihu
app = Elihu(sys.argv[1])
@app.task(name="t", queue="imports")
def task(): ...
conn = sqlite3.connect(sys.argv[1].removeprefix("sqlite:///"))
task.using(conn=conn).enqueue()
app.run(app.enqueue_many([task.build()], conn=conn))
conn.commit()
drivers = {"asyncpg", "sqlalchemy", "django", "psycopg", "psycopg2", "aiosqlite", "greenlet"}
print(sorted(drivers & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, databases["sqlite"]],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]"


def test_a_synchronous_driver_of_postgres_does_without_ours(databases: dict[str, str]) -> None:
    program = """
import psycopg, sys
from elihu import Elihu
app = Elihu(sys.argv[1])
@app.task(name="t", queue="imports")
def task(): ...
with psycopg.connect(sys.argv[1]) as conn:
    task.using(conn=conn).enqueue()
print(sorted({"asyncpg", "sqlalchemy", "django", "psycopg2"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, databases["postgres"]],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]"
