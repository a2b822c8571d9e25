"""An app with the tables of the scheduler, on each engine."""

from collections.abc import AsyncIterator

import pytest

from elihu import Elihu
from elihu.commands.host import Host
from elihu.commands.secrets import new_key
from elihu.commands.sessions import Sessions
from tests.support import BUSY_MACHINE, QUICK


@pytest.fixture
async def app(database_url: str, schema: str) -> AsyncIterator[Elihu]:
    settings = {**QUICK, **BUSY_MACHINE}
    app = Elihu(database_url, schema=schema, secret_key=new_key(), **settings)
    await app.migrate("commands")
    yield app
    await app.aclose()


@pytest.fixture
async def host(app: Elihu) -> AsyncIterator[Host]:
    host = Host(app, Sessions(app))
    yield host
    await host.sessions.aclose()
