"""New tables for one measurement, dropped at its end."""

import itertools
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from elihu import Elihu
from elihu.config import load_config
from elihu.engines.postgres.url import driver_url

SQLITE: Final = "sqlite:///"

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Tables:
    """Empty tables, in a PostgreSQL schema or an SQLite file."""

    url: str
    schema: str

    @property
    def engine(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return engine_of(self.url)

    def app(self, slots: int = 10, **settings: Any) -> Elihu:
        """An app on these tables, with one queue. No environment variable and no file
        changes its settings.
        """
        keywords = {
            "database_url": self.url,
            "schema": self.schema,
            "queues": {"default": slots},
            **settings,
        }
        return Elihu(
            config=load_config(keywords=keywords, read_files=False, read_environment=False)
        )


def engine_of(url: str) -> str:
    """``sqlite`` or ``postgresql``."""
    return "sqlite" if url.startswith(SQLITE) else "postgresql"


@asynccontextmanager
async def new_tables(url: str) -> AsyncIterator[Tables]:
    """Make new tables in this database; for SQLite, in a new file beside the one that
    the URL names.
    """
    if engine_of(url) == "sqlite":
        with tempfile.TemporaryDirectory(
            prefix="elihu-bench-", dir=Path(url.removeprefix(SQLITE)).parent
        ) as folder:
            tables = Tables(f"{SQLITE}{folder}/elihu.db", "elihu")
            await migrate(tables)
            yield tables
        return
    tables = Tables(url, f"bench_{os.getpid()}_{next(_numbers)}")
    await migrate(tables)
    try:
        yield tables
    finally:
        connection = await asyncpg.connect(driver_url(url))
        await connection.execute(f"DROP SCHEMA {tables.schema} CASCADE")
        await connection.close()


async def migrate(tables: Tables) -> None:
    """Make the tables."""
    async with tables.app() as app:
        await app.migrate()
