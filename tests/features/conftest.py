"""An app on each engine, and its events."""

from collections.abc import AsyncIterator

import pytest

from elihu import Elihu
from tests.support import QUICK, Seen


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[Elihu]:
    """An app with quick services and its tables made."""
    app = Elihu(database_url, **QUICK)
    await app.migrate()
    yield app
    await app.aclose()


@pytest.fixture
async def seen(app: Elihu) -> Seen:
    return Seen(app)
