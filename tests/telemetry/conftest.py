"""An app on each engine, for the handlers of telemetry."""

from collections.abc import AsyncIterator

import pytest

from elihu import Elihu
from tests.fixtures.databases import with_tables
from tests.support import QUICK


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> str:
    return with_tables(request, "emptied_postgres_url")


@pytest.fixture
async def app(database_url: str, tables: None) -> AsyncIterator[Elihu]:
    """An app with quick services and its tables made."""
    app = Elihu(database_url, **QUICK)
    yield app
    await app.aclose()
