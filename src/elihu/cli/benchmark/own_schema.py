"""The schema of one benchmark, or its SQLite file: made, and removed at its end."""

import os
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from elihu.app import Elihu
from elihu.config import Config
from elihu.config.database import sibling_url
from elihu.engines.protocol import Engine
from elihu.engines.select import engine_for
from elihu.errors import SchemaOutdated
from elihu.telemetry.bus import Bus

PREFIX: Final = "elihu_bench_"
LEFT_AFTER: Final = 300.0
"""Seconds after which the schema of another benchmark was left by one that was killed."""
_NAME: Final = re.compile(rf"{PREFIX}([0-9]{{10}})_[0-9]+")


@asynccontextmanager
async def own_schema(config: Config) -> AsyncIterator[Elihu]:
    """An app on empty tables in the database of ``config``, without its tasks. First the
    schemas are removed that killed benchmarks left.

    Raises ``PermissionDenied`` where the role may not create a schema.
    """
    name = f"{PREFIX}{int(time.time())}_{os.getpid()}"
    own = replace(
        config,
        schema=name,
        database_url=sibling_url(config.database_url, config.schema, name),
        queues=MappingProxyType({"default": 10}),
        app=None,
    )
    try:
        async with Elihu(config=own) as app:
            await app.migrate()
            await _remove(own, left_by_others=True)
            yield app
    finally:
        await _remove(own)


async def _remove(config: Config, *, left_by_others: bool = False) -> None:
    engine = engine_for(config, Bus())
    try:
        with suppress(SchemaOutdated):  # there is no file
            await engine.open(make=False)
            for name in await _left(engine) if left_by_others else [config.schema]:
                await engine.remove_schema(name)
    finally:
        await engine.close()


async def _left(engine: Engine) -> list[str]:
    before = time.time() - LEFT_AFTER
    named = [(name, _NAME.fullmatch(name)) for name in await engine.schemas_named(PREFIX)]
    return [name for name, found in named if found and int(found[1]) < before]
