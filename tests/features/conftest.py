"""An app on each engine, and its events."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest

from elihu import (
    Elihu,
    Task,
)
from elihu.testing.postgres import PostgresServer
from tests.features.relays import HEARS
from tests.support import QUICK, EventRecorder


@pytest.fixture(scope="session")
def shared_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """One PostgreSQL database for all tests here: to empty it takes a tenth of the time
    of a new one.
    """
    yield postgres_server.create_database("features")
    postgres_server.drop_database("features")


@pytest.fixture
def postgres_url(shared_postgres_url: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    yield shared_postgres_url
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, empty(shared_postgres_url)).result()


async def empty(url: str) -> None:
    """Drop all that was made; whoever is still connected is thrown out."""
    connection = await asyncpg.connect(url)
    await connection.execute("""
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
        DROP SCHEMA IF EXISTS elihu CASCADE;
        DROP SCHEMA public CASCADE;
        CREATE SCHEMA public;
    """)
    await connection.close()


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[Elihu]:
    """An app with quick services and its tables made."""
    app = Elihu(database_url, **QUICK)
    await app.migrate()
    yield app
    await app.aclose()


@pytest.fixture
async def seen(app: Elihu) -> EventRecorder:
    return EventRecorder(app)


@pytest.fixture
async def elsewhere(app: Elihu, database_url: str) -> AsyncIterator[Elihu]:
    """An app as another process has it: its own connections, no tasks, and no way to
    the first but the database.
    """
    other = Elihu(database_url, **HEARS)
    yield other
    await other.aclose()


@pytest.fixture
def double(app: Elihu) -> Task[..., Any]:
    @app.task(name="double")
    async def double(n: int) -> int:
        return 2 * n

    return double


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


@pytest.fixture
def add(app: Elihu) -> Task[[int], Any]:
    @app.task(name="add")
    async def add(number: int): ...

    return add


@pytest.fixture
def t(app: Elihu) -> Task[..., Any]:
    @app.task(name="t")
    async def t(number: int = 0, text: str = ""): ...

    return t
