"""Where a measurement takes place: new tables in the database at hand, which go with
it.
"""

import itertools
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from elihu import Elihu
from elihu.config import load_config
from elihu.engines.postgres.url import driver_url

SQLITE: Final = "sqlite:///"

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Arena:
    """Empty tables: in a schema of PostgreSQL, or in an SQLite file."""

    url: str
    schema: str

    @property
    def engine(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return engine_of(self.url)

    def app(self, slots: int = 10) -> Elihu:
        """An app on these tables, with one queue; neither the environment nor a file
        changes its settings.
        """
        keywords = {"database_url": self.url, "schema": self.schema, "queues": {"default": slots}}
        return Elihu(
            config=load_config(keywords=keywords, read_files=False, read_environment=False)
        )


def engine_of(url: str) -> str:
    """``sqlite`` or ``postgresql``."""
    return "sqlite" if url.startswith(SQLITE) else "postgresql"


@asynccontextmanager
async def new_arena(url: str) -> AsyncIterator[Arena]:
    """New tables, with their indexes, in this database; beside the file that the URL
    names where it is SQLite.
    """
    if engine_of(url) == "sqlite":
        with tempfile.TemporaryDirectory(
            prefix="elihu-bench-", dir=Path(url.removeprefix(SQLITE)).parent
        ) as folder:
            arena = Arena(f"{SQLITE}{folder}/elihu.db", "elihu")
            await migrate(arena)
            yield arena
        return
    arena = Arena(url, f"bench_{os.getpid()}_{next(_numbers)}")
    await migrate(arena)
    try:
        yield arena
    finally:
        connection = await asyncpg.connect(driver_url(url))
        await connection.execute(f"DROP SCHEMA {arena.schema} CASCADE")
        await connection.close()


async def migrate(arena: Arena) -> None:
    """Make the tables."""
    async with arena.app() as app:
        await app.migrate()
