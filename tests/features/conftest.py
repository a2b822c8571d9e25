"""An app on each engine, and its events."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest

from elihu import Elihu
from elihu.testing.postgres import PostgresServer
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
