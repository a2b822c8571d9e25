"""An app whose jobs and records share a database, on each engine and kind of session."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from elihu import Elihu
from tests.fixtures.databases import with_tables
from tests.support import QUICK, EventRecorder
from tests.triggers.store import Store


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> str:
    return with_tables(request, "emptied_postgres_url")


@pytest.fixture(params=["async", "sync"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def store(database_url: str, kind: str) -> AsyncIterator[Store]:
    store = await asyncio.to_thread(Store, database_url, kind)
    yield store
    await store.close()


@pytest.fixture
async def app(database_url: str, tables: None, store: Store) -> AsyncIterator[Elihu]:
    """Serves the queue of triggers on invoices."""
    app = Elihu(
        database_url,
        sessions=store.sessions,
        queues={"default": 5, "triggers": 5},
        **{**QUICK, "call_timeout": 5.0, "dead_after": 11.0},
    )
    yield app
    await app.aclose()


@pytest.fixture
async def events(app: Elihu) -> EventRecorder:
    return EventRecorder(app)
