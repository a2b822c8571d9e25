"""Engines on the test's database."""

import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elihu.config import Config
from elihu.engines.protocol import Engine
from elihu.engines.select import engine_for
from elihu.telemetry.bus import Bus
from tests.engines.future import FUTURE, migrate_to_the_future
from tests.engines.raw import Raw, raw_for

Opener = Callable[..., Awaitable[Engine]]


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
async def engine(opened: Opener, tables: None, database_url: str, schema: str) -> Engine:
    """An open engine on migrated tables."""
    engine = await opened()
    if FUTURE in os.environ:
        raw = await raw_for(database_url, schema).open()
        await migrate_to_the_future(raw)
        await raw.close()
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
