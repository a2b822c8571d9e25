"""Plain SQL on Elihu's tables, beside the app that is measured."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from bench.tables import SQLITE, engine_of
from elihu.engines.postgres.url import driver_url

Statement = Mapping[str, str]
"""SQL by engine; a semicolon ends a statement."""

COLUMNS: Final = (
    "state, task, node, claim, attempt, started_at, finished_at, prune_at, unique_key, "
    "unique_scope, keep_until"
)
FILL: Final[Statement] = {
    "sqlite": f"""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {{rows}})
        INSERT INTO job ({COLUMNS})
        SELECT 'completed', 't', 'gone', 1, 1, 1.7e9, 1.7e9, 4e9,
          iif(i % 10, NULL, 'key' || i), iif(i % 10, NULL, 1), iif(i % 10, NULL, 4e9) FROM n""",
    "postgresql": f"""
        INSERT INTO elihu.job ({COLUMNS})
        SELECT 'completed', 't', gen_random_uuid(), 1, 1, now() - interval '9 days',
          now() - interval '9 days', now() + interval '99 days',
          CASE WHEN i % 10 = 0 THEN sha256(i::text::bytea) END, CASE WHEN i % 10 = 0 THEN 1 END,
          CASE WHEN i % 10 = 0 THEN now() + interval '99 days' END
        FROM generate_series(1, {{rows}}) i""",
}
TIDY: Final[Statement] = {
    "sqlite": "ANALYZE; PRAGMA wal_checkpoint(PASSIVE)",
    "postgresql": "VACUUM ANALYZE elihu.job; CHECKPOINT",
}
HOLD: Final[Statement] = {
    "sqlite": "BEGIN",
    "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ",
}
READ: Final[Statement] = {
    "sqlite": "SELECT count(*) FROM node",
    "postgresql": "SELECT count(*) FROM elihu.node",
}


class Beside:
    """One connection."""

    def __init__(self, url: str, connection: Any) -> None:
        self._engine = engine_of(url)
        self._connection = connection

    async def execute(self, statement: Statement, **values: object) -> None:
        """Run the statement with the values in its text."""
        for sql in statement[self._engine].format(**values).split(";"):
            await self._rows(sql)

    async def fetch(self, statement: Statement) -> Any:
        """The only value of the only row."""
        return (await self._rows(statement[self._engine]))[0][0]

    async def _rows(self, sql: str) -> list[Any]:
        if self._engine == "sqlite":
            return await asyncio.to_thread(lambda: self._connection.execute(sql).fetchall())
        return list(await self._connection.fetch(sql))

    async def fill(self, rows: int) -> None:
        """Add finished jobs that are not due to be pruned, a tenth of them kept because
        of their unique key.
        """
        await self.execute(FILL, rows=rows)
        await self.tidy()

    async def tidy(self) -> None:
        """Let the planner know the tables, and write changed pages to their files, so that
        no later work has to.
        """
        await self.execute(TIDY)

    async def hold_snapshot(self) -> None:
        """Begin a transaction that keeps its snapshot until the connection closes."""
        await self.execute(HOLD)
        await self.execute(READ)


@asynccontextmanager
async def beside(url: str) -> AsyncIterator[Beside]:
    """A connection to the tables in this database."""
    if engine_of(url) == "sqlite":
        path = url.removeprefix(SQLITE)
        file = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        try:
            yield Beside(url, file)
        finally:
            await asyncio.to_thread(file.close)
        return
    connection: Any = await asyncpg.connect(driver_url(url))
    try:
        yield Beside(url, connection)
    finally:
        await connection.close()
