"""An app on each engine, and its events."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from elihu import (
    Elihu,
    Task,
)
from elihu.testing.postgres import PostgresServer
from tests.features.caller import with_driver
from tests.features.relays import HEARS
from tests.fixtures.databases import with_tables
from tests.support import BUSY_MACHINE, QUICK, EventRecorder


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> str:
    return with_tables(request, "emptied_postgres_url")


@pytest.fixture
async def app(database_url: str, tables: None) -> AsyncIterator[Elihu]:
    """An app with quick services and its tables made."""
    app = Elihu(database_url, **QUICK)
    yield app
    await app.aclose()


@pytest.fixture
async def events(app: Elihu) -> EventRecorder:
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


@pytest.fixture
def unhurried(app: Elihu) -> None:
    """No call of the app's times out on a busy machine."""
    app.override(**BUSY_MACHINE)


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
