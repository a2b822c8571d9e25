"""Jobs in the caller's own transaction: they exist if and only if it commits, on every
kind of connection.
"""

import asyncio
import contextlib
import itertools
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2.extensions
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from elihu import (
    DataRefused,
    Elihu,
    IdentifierTaken,
    InvalidOption,
    JobState,
    RunOutcome,
    SchemaOutdated,
    Unique,
)
from elihu.engines.postgres.channel import signal_of
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.testing.postgres import PostgresServer
from tests.features.callers import KINDS, Caller, SyncCaller, use_django, with_driver
from tests.support import EventRecorder

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def databases(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """One database of each engine, with tables, for all tests here; the queue tells one
    test's jobs from another's.
    """
    urls = {
        "sqlite": f"sqlite:///{tmp_path_factory.mktemp('callers') / 'jobs.db'}",
        "postgres": postgres_server.create_database("callers"),
    }
    for url in urls.values():
        app = Elihu(url)
        app.run(app.migrate())
        app.run(app.aclose())
    yield urls
    postgres_server.drop_database("callers")


class NodeHarness:
    """An app, a queue of the test's own, and a caller."""

    def __init__(self, app: Elihu, caller: Caller) -> None:
        self.app = app
        self.caller = caller
        self.queue = f"queue-{next(_numbers)}"

        @app.task(name="add", queue=self.queue)
        async def add(number: int, text: str = "å $1 ? %s :x \\ \U0001f600") -> None: ...

        @app.task(name="one", queue=self.queue, unique=Unique(by=("task", "args", "queue")))
        async def one(number: int) -> None: ...

        self.add = add
        self.one = one

    async def stored(self) -> int:
        return await self.app.jobs.count(queue=self.queue)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
async def harness(
    request: pytest.FixtureRequest, databases: dict[str, str]
) -> AsyncIterator[NodeHarness]:
    caller: Caller = request.param()
    url = databases[caller.engine]
    app = Elihu(url)
    await caller.open(url)
    yield NodeHarness(app, caller)
    await caller.close()
    await app.aclose()


async def test_the_job_exists_if_and_only_if_the_transaction_commits(harness: NodeHarness) -> None:
    caller, add = harness.caller, harness.add
    await caller.enqueue(add, 1)
    assert await harness.stored() == 0
    await caller.rollback()
    assert await harness.stored() == 0

    first = await caller.enqueue(add, 2)
    await caller.execute("SAVEPOINT mine")
    await caller.enqueue(add, 3)
    await caller.execute("ROLLBACK TO SAVEPOINT mine")
    second = await caller.enqueue(
        add,
        4,
        priority=3,
        expires=30,
        timeout=5,
        tags=["x"],
        meta={"y": [None, "\u2028"]},
        delay=60,
        max_attempts=4,
    )
    third = await caller.enqueue(add, 5, hold=True)
    await caller.commit()

    assert await harness.stored() == 3
    for job in (first, second, third):
        assert await harness.app.jobs.get(job.id) == job
    assert [job.state for job in (first, second, third)] == [
        JobState.AVAILABLE,
        JobState.SCHEDULED,
        JobState.SUSPENDED,
    ]
    assert second.scheduled_at - second.inserted_at == timedelta(seconds=60)
    await add.aenqueue(6)  # the caller's connection keeps no lock
    assert first.args["text"] == "å $1 ? %s :x \\ \U0001f600"


async def test_twins(harness: NodeHarness) -> None:
    caller, one = harness.caller, harness.one
    there = await one.using(expires=60, delay=5).aenqueue(1)
    met = await caller.enqueue(one, 1)
    assert met.conflict
    assert met.id == there.id
    assert met == replace(await harness.app.jobs.get(there.id), conflict=True)
    fresh = await caller.enqueue(one, 2)
    again = await caller.enqueue(one, 2)
    assert (fresh.conflict, again.conflict, again.id) == (False, True, fresh.id)
    daily = Unique(by=("task", "args", "queue"), period="1d", states="all")
    windowed = await caller.enqueue(one, 3, unique=daily)
    assert not windowed.conflict
    assert (await caller.enqueue(one, 3, unique=daily)).id == windowed.id

    new = [one.build(1), harness.add.build(7), one.build(4), one.build(4), harness.add.build(8)]
    done = await caller.enqueue_many(harness.app, new, ids=True)
    assert (done.inserted, done.conflicts) == (3, 2)
    assert done.ids is not None
    assert done.ids[0] == there.id
    assert done.ids[2] == done.ids[3]
    assert len(set(done.ids)) == 4
    await caller.commit()
    assert await harness.stored() == 6
    for id_, job in zip(done.ids, new, strict=True):
        assert (await harness.app.jobs.get(id_)).task == job.task


async def test_a_twin_that_waits_is_changed(harness: NodeHarness) -> None:
    caller, one = harness.caller, harness.one
    changing = Unique(
        by=("task", "queue"),
        on_conflict={
            "replace": ["args", "priority", "scheduled_at", "meta", "tags", "max_attempts"]
        },
    )
    there = await one.using(unique=changing, delay=60).aenqueue(1)
    changed = await caller.enqueue(
        one, 2, unique=changing, priority=4, tags=["new"], meta={"m": 1}, max_attempts=3, expires=60
    )
    assert (changed.id, changed.conflict, changed.state, changed.args) == (
        there.id,
        True,
        JobState.AVAILABLE,
        {"number": 2},
    )
    assert (changed.priority, changed.tags, changed.meta, changed.max_attempts) == (
        4,
        ("new",),
        {"m": 1},
        3,
    )
    assert changed.expires_at == changed.scheduled_at + timedelta(seconds=60)
    later = await caller.enqueue(one, 3, unique=changing, delay="1h")
    assert (later.id, later.state, later.args, later.expires_at) == (
        there.id,
        JobState.SCHEDULED,
        {"number": 3},
        None,
    )
    assert await harness.app.jobs.get(there.id) == there
    await caller.commit()
    assert replace(await harness.app.jobs.get(there.id), conflict=True) == later


async def test_a_caller_goes_on_after_every_refusal(harness: NodeHarness) -> None:
    caller, add = harness.caller, harness.add
    await caller.execute("SELECT 1")
    await caller.enqueue(add, 1)
    taken = replace(add.build(2), identifier=harness.queue)
    there = await caller.enqueue_many(harness.app, [taken], ids=True)
    with pytest.raises(IdentifierTaken) as caught:
        await caller.enqueue_many(harness.app, [add.build(3), taken])
    assert [caught.value.holder] == there.ids
    with pytest.raises(InvalidOption, match="twice in one call"):
        await caller.enqueue_many(harness.app, [replace(add.build(3), identifier="again")] * 2)
    with pytest.raises(DataRefused, match=r"conn: .* refuses a value"):
        await caller.enqueue_many(
            harness.app, [add.build(3), replace(add.build(3), args="no JSON")]
        )
    if caller.engine == "postgres":
        await caller.execute("ALTER TABLE elihu.job RENAME TO hidden")
        with pytest.raises(
            SchemaOutdated,
            match=r'conn: expected the tables of Elihu in schema "elihu", got .*: run "elihu migrate"',
        ):
            await caller.enqueue(add, 4)
        await caller.execute("ALTER TABLE elihu.hidden RENAME TO job")
    await caller.enqueue(add, 5)
    await caller.commit()
    assert sorted(
        job.args["number"] for job in (await harness.app.jobs.list(queue=harness.queue)).items
    ) == [1, 2, 5]


async def test_the_wrong_mixture_names_the_right_call(harness: NodeHarness) -> None:
    prepared = harness.add.using(conn=harness.caller.conn)
    if isinstance(harness.caller, SyncCaller):
        with pytest.raises(
            InvalidOption,
            match=r"conn: expected an asynchronous .*: write task\.using\(conn=…\)\.enqueue\(…\)",
        ):
            await prepared.aenqueue(1)
    else:
        with pytest.raises(
            InvalidOption,
            match=r"conn: expected a synchronous .*: write await task\.using\(conn=…\)\.aenqueue\(…\)",
        ):
            prepared.enqueue(1)
    await harness.caller.commit()
    assert await harness.stored() == 0


def sqlite3_alone(url: str) -> Any:
    return sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)


def engine_alone(driver: str) -> Callable[[str], Any]:
    def connect(url: str) -> Any:
        return sqlalchemy.create_engine(
            with_driver(url, driver), isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool
        ).connect()

    return connect


def django_alone(url: str) -> Any:
    from django.db import connection

    use_django(url)
    return connection


SYNC_ALONE = {
    "sqlite3": ("sqlite", sqlite3_alone),
    "sqlalchemy-pysqlite": ("sqlite", engine_alone("pysqlite")),
    "django-sqlite": ("sqlite", django_alone),
    "psycopg": ("postgres", lambda url: psycopg.connect(url, autocommit=True)),
    "sqlalchemy-psycopg": ("postgres", engine_alone("psycopg")),
    "sqlalchemy-psycopg2": ("postgres", engine_alone("psycopg2")),
    "django-postgres": ("postgres", django_alone),
}


@pytest.mark.parametrize("kind", SYNC_ALONE)
def test_a_connection_that_would_commit_the_job_alone_is_refused(
    databases: dict[str, str], kind: str
) -> None:
    engine, connect = SYNC_ALONE[kind]
    app = Elihu(databases[engine])
    queue = f"queue-{next(_numbers)}"

    @app.task(name="t")
    def task() -> None: ...

    conn = connect(databases[engine])
    for _ in range(2):
        with pytest.raises(
            InvalidOption,
            match=r"conn: expected a connection inside a transaction, .* would be committed on its own",
        ):
            task.using(conn=conn, queue=queue).enqueue()
    conn.close()
    assert app.run(app.jobs.count(queue=queue)) == 0
    app.run(app.aclose())


async def test_asyncpg_under_a_session_that_has_not_begun_is_refused(
    databases: dict[str, str],
) -> None:
    """SQLAlchemy begins with its own first statement: the driver's connection below it
    is in no transaction.
    """
    app = Elihu(databases["postgres"])
    queue = f"queue-{next(_numbers)}"

    @app.task(name="t", queue=queue)
    async def task() -> None: ...

    made = create_async_engine(
        with_driver(databases["postgres"], "asyncpg"), poolclass=sqlalchemy.NullPool
    )
    async with AsyncSession(made) as session:
        raw = (await (await session.connection()).get_raw_connection()).driver_connection
        with pytest.raises(InvalidOption, match="inside a transaction"):
            await task.using(conn=raw).aenqueue()
        await task.using(conn=session).aenqueue()
        await session.rollback()
        await task.using(conn=session).aenqueue()
        await session.commit()
    assert await app.jobs.count(queue=queue) == 1
    await made.dispose()
    await app.aclose()


async def test_a_synchronous_session_inside_an_asynchronous_one(databases: dict[str, str]) -> None:
    """``run_sync`` and the events of a flush hand it out; the loop goes on meanwhile."""
    app = Elihu(databases["postgres"])
    queue = f"queue-{next(_numbers)}"

    @app.task(name="t", queue=queue)
    async def task(number: int) -> None: ...

    made = create_async_engine(
        with_driver(databases["postgres"], "asyncpg"), poolclass=sqlalchemy.NullPool
    )
    async with AsyncSession(made) as session:
        job = await session.run_sync(lambda session: task.using(conn=session).enqueue(1))
        await session.commit()
    assert await app.jobs.get(job.id) == job
    await made.dispose()
    await app.aclose()


async def test_what_is_no_connection_is_refused(databases: dict[str, str]) -> None:
    app = Elihu(databases["sqlite"])

    @app.task(name="t")
    async def task() -> None: ...

    made = sqlalchemy.create_engine(databases["sqlite"])
    for thing, name in [
        (made, "sqlalchemy.engine.base.Engine"),
        (object(), "builtins.object"),
        (psycopg2.extensions, "builtins.module"),
    ]:
        for call in (
            task.using(conn=thing).enqueue,
            partial(app.enqueue_many, [task.build()], conn=thing),
        ):
            with pytest.raises(
                InvalidOption, match=f"conn: expected an SQLAlchemy Session, .*, got a {name}"
            ):
                call()
        with pytest.raises(InvalidOption, match=name):
            await task.using(conn=thing).aenqueue()
    with pytest.raises(InvalidOption, match="conn: expected none for build"):
        task.using(conn=made).build()
    with pytest.raises(InvalidOption, match="notify: expected it with conn"):
        task.using(notify=False)
    with sqlite3.connect(databases["sqlite"].removeprefix("sqlite:///")) as conn:
        with pytest.raises(InvalidOption, match=r"expected a job that task\.build"):
            await app.enqueue_many([1], conn=conn)  # type: ignore[list-item]
        with pytest.raises(InvalidOption, match="expected a plain iterable"):
            await app.enqueue_many(nothing(), conn=conn)
    conn.close()
    await app.aclose()


async def nothing() -> AsyncIterator[Any]:
    return
    yield


async def test_closed_connections_are_refused(databases: dict[str, str]) -> None:
    apps = {engine: Elihu(url) for engine, url in databases.items()}
    tasks: dict[str, Any] = {engine: app.task(name="t")(empty_task) for engine, app in apps.items()}
    made = create_async_engine(
        with_driver(databases["postgres"], "asyncpg"), poolclass=sqlalchemy.NullPool
    )
    alchemy = await made.connect()
    async with asyncpg.create_pool(databases["postgres"], min_size=1, max_size=1) as pool:
        async with pool.acquire() as released:
            pass
        for conn in (
            await asyncpg.connect(databases["postgres"]),
            await psycopg.AsyncConnection.connect(databases["postgres"]),
            alchemy,
            released,
        ):
            if conn is not released:
                await conn.close()
            with pytest.raises(InvalidOption, match="conn: expected an open connection"):
                await tasks["postgres"].using(conn=conn).aenqueue()
    for engine, closed in (
        ("sqlite", sqlite3.connect(":memory:")),
        ("postgres", psycopg.connect(databases["postgres"])),
    ):
        closed.close()
        with pytest.raises(InvalidOption, match="conn: expected an open connection"):
            tasks[engine].using(conn=closed).enqueue()
    await made.dispose()


def empty_task() -> None: ...


async def test_a_connection_to_the_other_engine_is_refused(databases: dict[str, str]) -> None:
    app = Elihu(databases["postgres"])
    task = app.task(name="t")(empty_task)
    with contextlib.closing(
        sqlite3.connect(databases["sqlite"].removeprefix("sqlite:///"))
    ) as conn:
        with pytest.raises(
            InvalidOption,
            match="conn: expected a connection to PostgreSQL, where the jobs of this app are, got one to SQLite",
        ):
            task.using(conn=conn).enqueue()
        assert not conn.in_transaction
    here = Elihu(databases["sqlite"]).task(name="t")(empty_task)
    async with AsyncSession(
        create_async_engine(
            with_driver(databases["postgres"], "asyncpg"), poolclass=sqlalchemy.NullPool
        )
    ) as session:
        with pytest.raises(InvalidOption, match="expected a connection to SQLite"):
            await here.using(conn=session).aenqueue()


def test_absent_tables_of_sqlite(tmp_path: Path) -> None:
    app = Elihu(f"sqlite:///{tmp_path / 'jobs.db'}")
    task = app.task(name="t")(empty_task)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as conn:
        conn.execute("CREATE TABLE mine (a)")
        conn.execute("INSERT INTO mine VALUES (1)")
        with pytest.raises(
            SchemaOutdated,
            match='conn: expected the tables of Elihu, got "no such table: job": run "elihu migrate"',
        ):
            task.using(conn=conn).enqueue()
        conn.execute("CREATE TABLE job (id, unique_key)")
        with pytest.raises(SchemaOutdated, match="no column named"):
            task.using(conn=conn).enqueue()
        conn.commit()
        assert conn.execute("SELECT * FROM mine").fetchall() == [(1,)]


# announcements


async def test_the_transaction_announces_a_queue_once_and_only_what_is_due(
    databases: dict[str, str],
) -> None:
    app = Elihu(databases["postgres"])
    names = [f"queue {next(_numbers)} å" for _ in range(3)]
    task: Any = app.task(name="t")(empty_task)
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener, caller = (
        await asyncpg.connect(databases["postgres"]),
        await asyncpg.connect(databases["postgres"]),
    )
    await listener.add_listener("elihu_elihu_signal", lambda *args: heard.put_nowait(args[-1]))

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
        assert heard.empty()
    await caller.execute("NOTIFY elihu_elihu_signal, 'end'")
    assert [await heard.get() for _ in range(3)] == [f"jobs:{names[0]}", f"jobs:{names[2]}", "end"]
    assert signal_of(f"jobs:{names[0]}") == Signal(SignalKind.JOBS, names[0])
    await listener.close()
    await caller.close()
    await app.aclose()


async def test_a_node_starts_the_job_after_the_commit(
    app: Elihu, seen: EventRecorder, database_url: str
) -> None:
    app.override(poll=60, poll_fallback=60)

    @app.task(name="t")
    async def task() -> None: ...

    driver = "aiosqlite" if database_url.startswith("sqlite") else "asyncpg"
    made = create_async_engine(with_driver(database_url, driver), poolclass=sqlalchemy.NullPool)
    async with app.running(), AsyncSession(made) as session:
        job = await task.using(conn=session).aenqueue()
        await session.commit()
        stopped = await seen.ended(job.id)
    assert stopped.outcome is RunOutcome.COMPLETED
    await made.dispose()


# other transactions


async def test_a_twin_in_another_transaction_is_waited_for(databases: dict[str, str]) -> None:
    app = Elihu(databases["postgres"])
    queue = f"queue-{next(_numbers)}"

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
async def test_a_twin_that_a_stricter_transaction_cannot_see_is_the_drivers_error(
    databases: dict[str, str], isolation: str
) -> None:
    app = Elihu(databases["postgres"])
    queue = f"queue-{next(_numbers)}"

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
print(sorted({"asyncpg", "sqlalchemy", "django", "psycopg", "psycopg2", "aiosqlite", "greenlet"} & set(sys.modules)))
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
