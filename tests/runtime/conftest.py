"""An app on each engine, and the parts of a node on their own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from elihu import Elihu
from elihu.runtime.attempts.processes.import_path import AppLocation
from elihu.runtime.attempts.processes.pool import ProcessPool
from elihu.runtime.attempts.progress import Progress
from tests.engines.raw import Raw, raw_for
from tests.runtime.harness import NodeHarness, open_harness
from tests.runtime.processes_support import Station, Stations, pids
from tests.runtime.workbench import Gate
from tests.support import QUICK, EventRecorder

HarnessFactory = Callable[..., Awaitable[NodeHarness]]


@pytest.fixture
async def app(database_url: str, tables: None, schema: str) -> AsyncIterator[Elihu]:
    """An app with quick services and its tables made."""
    app = Elihu(database_url, schema=schema, **QUICK)
    yield app
    await app.aclose()


@pytest.fixture
async def events(app: Elihu) -> EventRecorder:
    return EventRecorder(app)


@pytest.fixture
async def harnesses(database_url: str, tables: None, schema: str) -> AsyncIterator[HarnessFactory]:
    """Makes nodes without services, each with an engine of its own, on one database."""
    opened: list[NodeHarness] = []

    async def make(**settings: Any) -> NodeHarness:
        opened.append(await open_harness(database_url, schema=schema, **settings))
        return opened[-1]

    yield make
    for harness in opened:
        await harness.close()


@pytest.fixture
async def harness(harnesses: HarnessFactory) -> NodeHarness:
    return await harnesses()


@pytest.fixture
async def raw(database_url: str, schema: str) -> AsyncIterator[Raw]:
    """The database behind everybody's back."""
    raw = await raw_for(database_url, schema).open()
    yield raw
    await raw.close()


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()
    gate.async_open.set()


@pytest.fixture
async def stations(sqlite_url: str) -> AsyncIterator[Stations]:
    opened: list[Station] = []
    harness = await open_harness(sqlite_url)

    async def make(app: object = None, *, needed: bool = False, **settings: Any) -> Station:
        config = replace(harness.config, **settings)
        opened.append(
            Station(
                Progress(harness.scope),
                ProcessPool(config, AppLocation(config, app, needed=needed)),
            )
        )
        return opened[-1]

    yield make
    for station in opened:
        await station.children.close()
    await harness.close()
    assert pids() == []
