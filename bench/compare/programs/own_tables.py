"""Elihu's tables, which plain SQL uses too."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import Any, Final

import asyncpg

from bench.tables import SQLITE, Tables, migrate
from elihu.engines.postgres.url import driver_url

SCHEMA: Final = "elihu"
PENDING: Final = "SELECT count(*) FROM {table} WHERE state IN ('available', 'executing')"
BACKLOGS: Final = {
    "finished": f"""
        INSERT INTO {SCHEMA}.job
          (state, task, args, node, claim, attempt, started_at, finished_at, prune_at)
        SELECT 'completed', 'bench.note', '{{"sent": 0.0}}', gen_random_uuid(), 1, 1,
          now() - interval '1 hour', now() - interval '1 hour', now() + interval '1 day'
        FROM generate_series(1, $1)""",
    "scheduled": f"""
        INSERT INTO {SCHEMA}.job (state, task, args, scheduled_at)
        SELECT 'scheduled', 'bench.note', '{{"sent": 0.0}}',
          now() + interval '1 day' + i * interval '1 second'
        FROM generate_series(1, $1) i""",
}
FILE_BACKLOGS: Final = {
    "finished": """
        INSERT INTO job
          (state, task, args, node, claim, attempt, started_at, finished_at, prune_at)
        SELECT 'completed', 'bench.note', '{"sent": 0.0}', 'gone', 1, 1,
          unixepoch() - 3600, unixepoch() - 3600, unixepoch() + 86400 FROM n""",
    "scheduled": """
        INSERT INTO job (state, task, args, scheduled_at)
        SELECT 'scheduled', 'bench.note', '{"sent": 0.0}', unixepoch() + 86400 + i FROM n""",
}
NUMBERS: Final = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"


def tables_of(url: str) -> Tables:
    """The tables in this database."""
    return Tables(url, SCHEMA)


async def install(url: str) -> None:
    """Make them."""
    await migrate(tables_of(url))


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Count the jobs that are not finished and not scheduled for later."""
    if url.startswith(SQLITE):
        with closing(sqlite3.connect(url.removeprefix(SQLITE), timeout=30)) as file:

            async def count_file() -> int:
                return int(file.execute(PENDING.format(table="job")).fetchone()[0])

            yield count_file
        return
    connection: Any = await asyncpg.connect(driver_url(url))

    async def count() -> int:
        return int(await connection.fetchval(PENDING.format(table=f"{SCHEMA}.job")))

    try:
        yield count
    finally:
        await connection.close()


async def backlog(url: str, kind: str, rows: int) -> None:
    """Add rows of this kind."""
    if url.startswith(SQLITE):
        with closing(sqlite3.connect(url.removeprefix(SQLITE), timeout=30)) as file, file:
            file.execute(f"{NUMBERS} {FILE_BACKLOGS[kind]}", (rows,))
            file.execute("ANALYZE")
        return
    connection: Any = await asyncpg.connect(driver_url(url))
    try:
        await connection.execute(BACKLOGS[kind], rows)
    finally:
        await connection.close()
