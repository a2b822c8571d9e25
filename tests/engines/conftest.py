"""Each test runs on both engines: on an SQLite file of its own, and in a PostgreSQL
schema of its own.
"""

import itertools
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elihu.config import Config
from elihu.engines.protocol import Engine
from elihu.engines.select import engine_for
from elihu.telemetry.bus import Bus
from elihu.testing.postgres import PostgresServer
from tests.engines.raw import Raw, raw_for

Opener = Callable[..., Awaitable[Engine]]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """One PostgreSQL database for all tests here: a new schema takes a tenth of the
    time of a new database.
    """
    yield postgres_server.create_database("engines")
    postgres_server.drop_database("engines")


@pytest.fixture
def postgres_url(shared_postgres_url: str) -> str:
    return shared_postgres_url


@pytest.fixture
def schema() -> str:
    """The schema of the test's tables (SQLite has none)."""
    return f"engines_{next(_numbers)}"


@pytest.fixture
async def opened(database_url: str, schema: str) -> AsyncIterator[Opener]:
    """Opens further engines on the test's database, as other processes would; they are
    closed with the test.
    """
    engines: list[Engine] = []

    async def open_engine(bus: Bus | None = None, **settings: Any) -> Engine:
        engine = engine_for(
            Config(database_url=database_url, schema=schema, **settings), bus or Bus()
        )
        engines.append(engine)
        await engine.open()
        return engine

    yield open_engine
    for engine in engines:
        await engine.close()


@pytest.fixture
async def engine(opened: Opener) -> Engine:
    """An open engine on migrated tables."""
    engine = await opened()
    await engine.migrate()
    return engine


@pytest.fixture
async def other(engine: Engine, opened: Opener) -> Engine:
    """A second engine on the same database."""
    return await opened()


@pytest.fixture
async def raw(engine: Engine, database_url: str, schema: str) -> AsyncIterator[Raw]:
    """The database behind the engine's back."""
    raw = await raw_for(database_url, schema).open()
    yield raw
    await raw.close()


@pytest.fixture
def path(sqlite_url: str) -> Path:
    """The file of ``sqlite_url``."""
    return Path(sqlite_url.removeprefix("sqlite:///"))


@pytest.fixture
def outside(engine: Engine, path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that does not wait for locks."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    yield connection
    connection.close()
