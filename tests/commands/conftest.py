"""An app with the tables of the scheduler, on each engine."""

from collections.abc import AsyncIterator

import pytest

from elihu import Elihu
from elihu.commands import CommandScheduler
from elihu.commands.host import Host
from elihu.commands.secrets import new_key
from elihu.engines.protocol import ChainName
from elihu.orm.sessions import Sessions
from elihu.system_queues import DISPATCH_QUEUE as DISPATCH
from tests.commands.workshop import Workshop
from tests.support import BUSY_MACHINE, QUICK


@pytest.fixture(scope="session")
def chains() -> tuple[ChainName, ...]:
    return ("commands",)


@pytest.fixture
async def app(database_url: str, tables: None, schema: str) -> AsyncIterator[Elihu]:
    settings = {**QUICK, **BUSY_MACHINE}
    app = Elihu(database_url, schema=schema, secret_key=new_key(), **settings)
    yield app
    await app.aclose()


@pytest.fixture
async def host(app: Elihu) -> AsyncIterator[Host]:
    host = Host(app, Sessions(app))
    yield host
    await host.sessions.aclose()


@pytest.fixture
async def workshop(app: Elihu) -> AsyncIterator[Workshop]:
    async with CommandScheduler(app) as scheduler:
        yield Workshop(scheduler)


@pytest.fixture
async def serving(workshop: Workshop) -> AsyncIterator[Workshop]:
    """A workshop whose node runs commands, and dispatches nothing by itself."""
    queues = {name: limit for name, limit in workshop.scheduler.queues.items() if name != DISPATCH}
    async with workshop.app.running(queues=queues):
        yield workshop
