"""An app on each engine, for the handlers of telemetry."""

from collections.abc import AsyncIterator

import pytest

from elihu import Elihu
from tests.support import QUICK, make_tables


@pytest.fixture
def postgres_url(emptied_postgres_url: str) -> str:
    return emptied_postgres_url


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[Elihu]:
    """An app with quick services and its tables made."""
    await make_tables(database_url)
    app = Elihu(database_url, **QUICK)
    yield app
    await app.aclose()
