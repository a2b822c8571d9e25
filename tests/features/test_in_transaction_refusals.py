"""Connections that are refused for a job in the caller's transaction."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import asyncpg
import psycopg
import psycopg2.extensions
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from elihu import (
    Elihu,
    InvalidOption,
)
from tests.features.caller import with_driver
from tests.features.sync_callers import use_django
from tests.features.transactions import empty_task, numbers


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
    queue = f"queue-{next(numbers)}"

    @app.task(name="t")
    def task() -> None: ...

    conn = connect(databases[engine])
    for _ in range(2):
        with pytest.raises(
            InvalidOption,
            match=(
                r"conn: expected a connection inside a transaction, .* would be "
                r"committed on its own"
            ),
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
    queue = f"queue-{next(numbers)}"

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
    queue = f"queue-{next(numbers)}"

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
    with pytest.raises(InvalidOption, match="notify: expected conn with it"):
        task.using(notify=False)
    with sqlite3.connect(databases["sqlite"].removeprefix("sqlite:///")) as conn:
        with pytest.raises(InvalidOption, match=r"expected a job made by task\.build"):
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


async def test_a_connection_to_the_other_engine_is_refused(databases: dict[str, str]) -> None:
    app = Elihu(databases["postgres"])
    task = app.task(name="t")(empty_task)
    with contextlib.closing(
        sqlite3.connect(databases["sqlite"].removeprefix("sqlite:///"))
    ) as conn:
        with pytest.raises(
            InvalidOption,
            match=(
                "conn: expected a connection to PostgreSQL, where the jobs of this "
                "app are, got one to SQLite"
            ),
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
