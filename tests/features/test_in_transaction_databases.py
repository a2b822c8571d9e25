"""Connections to another database, in pipeline mode, and in two-phase commit."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

from elihu import Elihu, InvalidOption, SchemaOutdated, WrongDatabase
from elihu.testing.postgres import PostgresServer
from tests.features.caller import with_driver
from tests.features.transactions import empty_task


@pytest.fixture
def jobs_app(tmp_path: Path) -> Iterator[Elihu]:
    app = Elihu(f"sqlite:///{tmp_path / 'jobs.db'}")
    app.run(app.migrate())
    yield app
    app.run(app.aclose())


def test_another_file_is_named(jobs_app: Elihu, tmp_path: Path) -> None:
    task = jobs_app.task(name="t")(empty_task)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as conn:
        conn.execute("CREATE TABLE mine (a)")
        conn.execute("INSERT INTO mine VALUES (1)")
        with pytest.raises(WrongDatabase, match=r"jobs\.db, where .* got one to .*other\.db"):
            task.using(conn=conn).enqueue()
        conn.commit()
        assert conn.execute("SELECT * FROM mine").fetchall() == [(1,)]


def test_another_file_with_tables_stores_nothing(jobs_app: Elihu, tmp_path: Path) -> None:
    other = Elihu(f"sqlite:///{tmp_path / 'other.db'}")
    other.run(other.migrate())
    task = jobs_app.task(name="t")(empty_task)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as conn:
        with pytest.raises(WrongDatabase, match=r"other\.db"):
            task.using(conn=conn).enqueue()
        assert conn.execute("SELECT count(*) FROM job").fetchone() == (0,)
    other.run(other.aclose())


def test_a_database_in_memory_is_refused(jobs_app: Elihu) -> None:
    task = jobs_app.task(name="t")(empty_task)
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as conn,
        pytest.raises(WrongDatabase, match="in memory"),
    ):
        task.using(conn=conn).enqueue()


def test_another_path_to_the_same_file_is_the_same_database(
    jobs_app: Elihu, tmp_path: Path
) -> None:
    task = jobs_app.task(name="t")(empty_task)
    for name, link in {"soft": Path.symlink_to, "hard": Path.hardlink_to}.items():
        path = tmp_path / name / "jobs.db"
        path.parent.mkdir()
        link(path, tmp_path / "jobs.db")
        if name == "hard":  # SQLite has one lock table a name, so nobody else may be connected
            jobs_app.run(jobs_app.aclose())
        with contextlib.closing(sqlite3.connect(path)) as conn, conn:
            task.using(conn=conn).enqueue()


async def test_another_file_through_an_asynchronous_connection(tmp_path: Path) -> None:
    async with Elihu(f"sqlite:///{tmp_path / 'jobs.db'}") as app:
        task = app.task(name="t")(empty_task)
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'other.db'}")
        async with engine.connect() as conn:
            with pytest.raises(WrongDatabase, match=r"other\.db"):
                await task.using(conn=conn).aenqueue()
        await engine.dispose()


def test_absent_tables_in_the_right_file_ask_for_a_migration(tmp_path: Path) -> None:
    task = Elihu(f"sqlite:///{tmp_path / 'jobs.db'}").task(name="t")(empty_task)
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as conn:
        with pytest.raises(SchemaOutdated, match='no such table: job": run "elihu migrate"'):
            task.using(conn=conn).enqueue()
        conn.execute("CREATE TABLE job (id, unique_key)")
        with pytest.raises(SchemaOutdated, match="no column named"):
            task.using(conn=conn).enqueue()


@pytest.fixture
async def empty_database(postgres_server: PostgresServer) -> AsyncIterator[str]:
    yield postgres_server.create_database("test_shop")
    postgres_server.drop_database("test_shop")


async def test_another_database_without_tables_is_named(
    databases: dict[str, str], empty_database: str
) -> None:
    async with Elihu(databases["postgres"]) as app:
        task = app.task(name="t")(empty_task)
        expected = 'to database "callers", .* got one to database "test_shop"'
        with psycopg.connect(empty_database) as sync:
            with pytest.raises(WrongDatabase, match=expected):
                await app.enqueue_many([task.build()], conn=sync)
            assert sync.execute("SELECT 1").fetchone() == (1,)
        connection = await asyncpg.connect(empty_database)
        async with connection.transaction():
            with pytest.raises(WrongDatabase, match=expected):
                await task.using(conn=connection).aenqueue()
            assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


def test_absent_tables_in_the_right_database_ask_for_a_migration(empty_database: str) -> None:
    task = Elihu(empty_database).task(name="t")(empty_task)
    with psycopg.connect(empty_database) as conn, pytest.raises(SchemaOutdated, match="migrate"):
        task.using(conn=conn).enqueue()


def sync_pipeline(url: str) -> Any:
    return psycopg.connect(url)


def sqlalchemy_pipeline(url: str) -> Any:
    return sqlalchemy.create_engine(
        with_driver(url, "psycopg"), poolclass=sqlalchemy.NullPool
    ).connect()


@pytest.mark.parametrize("connect", [sync_pipeline, sqlalchemy_pipeline])
async def test_pipeline_mode_is_refused(databases: dict[str, str], connect: Any) -> None:
    async with Elihu(databases["postgres"]) as app:
        task = app.task(name=connect.__name__)(empty_task)
        with connect(databases["postgres"]) as conn:
            driver = conn if isinstance(conn, psycopg.Connection) else conn.connection
            with driver.pipeline():
                for notify in (True, False):
                    with pytest.raises(InvalidOption, match="outside of pipeline mode"):
                        await app.enqueue_many([task.build()], conn=conn, notify=notify)
            await app.enqueue_many([task.build()], conn=conn)
            conn.commit()
        assert await app.jobs.count(task=connect.__name__) == 1


async def test_asynchronous_pipeline_mode_is_refused(databases: dict[str, str]) -> None:
    async with Elihu(databases["postgres"]) as app:
        task = app.task(name="t")(empty_task)
        async with (
            await psycopg.AsyncConnection.connect(databases["postgres"]) as conn,
            conn.pipeline(),
        ):
            with pytest.raises(InvalidOption, match="outside of pipeline mode"):
                await task.using(conn=conn).aenqueue()


def test_two_phase_commit_leaves_the_announcement_to_the_stager() -> None:
    with PostgresServer(options={"max_prepared_transactions": "5"}) as server:
        app = Elihu(server.url)
        task = app.task(name="t")(empty_task)
        app.run(app.migrate())
        engine = sqlalchemy.create_engine(
            with_driver(server.url, "psycopg"), poolclass=sqlalchemy.NullPool
        )
        with Session(engine, twophase=True) as session:
            task.using(conn=session).enqueue()
            session.commit()
        with psycopg.connect(server.url) as conn:
            conn.tpc_begin("by hand")
            task.using(conn=conn).enqueue()
            conn.tpc_prepare()
            conn.tpc_commit()
        assert app.run(app.jobs.count(task="t", state="available")) == 2
        app.run(app.aclose())
