"""The example's own tables, in the database of the jobs: one row for each scan and each
file. The statements are the same on both engines.

The row of a file and the completion of its job are one transaction.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from elihu import Context
from filescan.examine import Examined

TABLES = (
    """CREATE TABLE IF NOT EXISTS filescan_scan (
      scan bigint PRIMARY KEY, folder text NOT NULL, started_at double precision NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS filescan_file (
      scan bigint NOT NULL, path text NOT NULL, size bigint, sha256 text, lines bigint, error text,
      examined_at double precision NOT NULL, PRIMARY KEY (scan, path))""",
)
BEGIN = """INSERT INTO filescan_scan (scan, folder, started_at) VALUES ($1, $2, $3)
  ON CONFLICT (scan) DO NOTHING"""
SAVE = """INSERT INTO filescan_file (scan, path, size, sha256, lines, error, examined_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT (scan, path) DO UPDATE SET
    size = excluded.size, sha256 = excluded.sha256, lines = excluded.lines,
    error = excluded.error, examined_at = excluded.examined_at"""
SCAN = """SELECT folder,
    (SELECT max(examined_at) FROM filescan_file f WHERE f.scan = s.scan) - started_at
  FROM filescan_scan s WHERE scan = $1"""
SUMS = """SELECT
    count(sha256), CAST(coalesce(sum(size), 0) AS bigint),
    count(lines), CAST(coalesce(sum(lines), 0) AS bigint)
  FROM filescan_file WHERE scan = $1"""
LARGEST = """SELECT path, size FROM filescan_file WHERE scan = $1 AND size IS NOT NULL
  ORDER BY size DESC, path LIMIT 1"""
REPEATED = """SELECT
    CAST(coalesce(sum(files - 1), 0) AS bigint),
    CAST(coalesce(sum((files - 1) * size), 0) AS bigint)
  FROM (SELECT size, count(*) AS files FROM filescan_file
    WHERE scan = $1 AND size > 0 GROUP BY sha256, size) AS contents"""
FAILURES = (
    "SELECT path, error FROM filescan_file WHERE scan = $1 AND error IS NOT NULL ORDER BY path"
)


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of one scan.

    ``lines`` is the number of lines in the ``text_files``. ``repeated`` files have the
    content of another file; empty files do not count. ``seconds`` is the time from the
    start of the scan to its last file.
    """

    folder: str
    files: int
    size: int
    text_files: int
    lines: int
    largest: tuple[str, int] | None
    repeated: int
    repeated_size: int
    failures: list[tuple[str, str]]
    seconds: float


class Database(Protocol):
    """Runs one statement in its own transaction. Parameters are written $1, $2, …"""

    async def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]: ...
    async def run_and_complete(self, ctx: Context, statement: str, *values: Any) -> None:
        """Run the statement and complete the job of ``ctx`` in the same transaction."""


class Store:
    """Writes and reads the tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, scan: int, folder: str) -> None:
        """Store the start of a scan. The start of a scan that runs again is kept."""
        await self._database.run(BEGIN, scan, folder, time.time())

    async def save(self, scan: int, file: Examined) -> None:
        """Store the result for a file."""
        await self._database.run(SAVE, *row(scan, file))

    async def finish(self, scan: int, file: Examined, ctx: Context) -> None:
        """Store the result and complete the job in one transaction."""
        await self._database.run_and_complete(ctx, SAVE, *row(scan, file))

    async def totals(self, scan: int) -> Totals:
        """Read the totals of a scan."""
        run = self._database.run
        [(folder, seconds)] = await run(SCAN, scan)
        [(files, size, text_files, lines)] = await run(SUMS, scan)
        largest = await run(LARGEST, scan)
        [(repeated, repeated_size)] = await run(REPEATED, scan)
        return Totals(
            folder=folder,
            files=files,
            size=size,
            text_files=text_files,
            lines=lines,
            largest=(largest[0][0], largest[0][1]) if largest else None,
            repeated=repeated,
            repeated_size=repeated_size,
            failures=[(path, error) for path, error in await run(FAILURES, scan)],
            seconds=seconds or 0.0,
        )


def row(scan: int, file: Examined) -> tuple[Any, ...]:
    """The values of SAVE."""
    return scan, file.path, file.size, file.sha256, file.lines, file.error, time.time()


@asynccontextmanager
async def open_store(database_url: str) -> AsyncIterator[Store]:
    """Open the store in the database of the jobs, and create its tables."""
    if database_url.startswith("sqlite:///"):
        opened = open_sqlite(Path(database_url.removeprefix("sqlite:///")))
    else:
        opened = open_postgres(database_url)
    async with opened as database:
        yield Store(database)


class Sqlite:
    """One connection in one thread, so that the event loop does not wait for the file."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    async def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._run, None, statement, values
        )

    async def run_and_complete(self, ctx: Context, statement: str, *values: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(
            self._thread, self._run, ctx, statement, values
        )

    def _run(
        self, ctx: Context | None, statement: str, values: tuple[Any, ...]
    ) -> list[tuple[Any, ...]]:
        named = {str(number): value for number, value in enumerate(values, 1)}
        with self._connection:  # commits, or rolls back
            rows = self._connection.execute(statement, named).fetchall()
            if ctx is not None:
                ctx.complete_sync(conn=self._connection)
        return rows


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[Database]:
    """Open the example's own connection to the file of the jobs."""
    with (
        closing(sqlite3.connect(path, timeout=30, check_same_thread=False)) as connection,
        ThreadPoolExecutor(1) as thread,
    ):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        for table in TABLES:
            connection.execute(table)
        yield Sqlite(connection, thread)


class Postgres:
    """A small pool of connections."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._pool.fetch(statement, *values)]

    async def run_and_complete(self, ctx: Context, statement: str, *values: Any) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(statement, *values)
            await ctx.complete(conn=connection)


@asynccontextmanager
async def open_postgres(url: str) -> AsyncIterator[Database]:
    """Open a pool and create the tables."""
    import asyncpg

    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtext('filescan'))"
            )  # nodes that start together create the tables one after the other
            for table in TABLES:
                await connection.execute(table)
        yield Postgres(pool)
