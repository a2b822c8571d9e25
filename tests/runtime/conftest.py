"""An app on each engine, and the parts of a node on their own."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from elihu import Elihu
from elihu.testing.postgres import PostgresServer
from tests.engines.raw import Raw, raw_for
from tests.runtime.desk import Desk, open_desk
from tests.support import QUICK, Seen

Desks = Callable[..., Awaitable[Desk]]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """One PostgreSQL database for all tests here: a new schema takes a tenth of the time of a new database."""
    yield postgres_server.create_database("runtime")
    postgres_server.drop_database("runtime")


@pytest.fixture
def postgres_url(shared_postgres_url: str) -> str:
    return shared_postgres_url


@pytest.fixture
def schema(database_url: str) -> str:
    """The schema of the test's tables; on SQLite each test has a file."""
    return "elihu" if database_url.startswith("sqlite") else f"runtime_{next(_numbers)}"


@pytest.fixture
async def app(database_url: str, schema: str) -> AsyncIterator[Elihu]:
    """An app with quick services and its tables made."""
    app = Elihu(database_url, schema=schema, **QUICK)
    await app.migrate()
    yield app
    await app.aclose()


@pytest.fixture
async def seen(app: Elihu) -> Seen:
    return Seen(app)


@pytest.fixture
async def desks(database_url: str, schema: str) -> AsyncIterator[Desks]:
    """Makes nodes without services, each with an engine of its own, on one database."""
    opened: list[Desk] = []

    async def make(**settings: Any) -> Desk:
        opened.append(await open_desk(database_url, schema=schema, **settings))
        return opened[-1]

    yield make
    for desk in opened:
        await desk.close()


@pytest.fixture
async def desk(desks: Desks) -> Desk:
    return await desks()


@pytest.fixture
async def raw(database_url: str, schema: str) -> AsyncIterator[Raw]:
    """The database behind everybody's back."""
    raw = await raw_for(database_url, schema).open()
    yield raw
    await raw.close()
