"""The least that plain SQL has to do for the same work: no objects, no services, no
guard beyond the job's id and claim.

It uses Elihu's own tables: a ratio means something only with rows and indexes of the
same size.
"""

import asyncio
import contextlib
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any, Final, Protocol
from uuid import uuid4

import asyncpg

from bench.tables import SQLITE, Tables
from elihu.engines.postgres.url import driver_url

TASK: Final = "bench.limit"
CHANNEL: Final = "elihu_bench"
LONGEST: Final = 100
"""The most bytes of an announcement."""

Claimed = tuple[int, int]


class Limit(Protocol):
    """One connection, used by one caller."""

    async def insert(self, rows: int) -> None:
        """Store so many jobs by one statement."""
        ...

    async def exchange(self, finished: Sequence[Claimed], free: int) -> list[Claimed]:
        """Complete these jobs and claim at most ``free`` others in one transaction;
        returns the id and claim of each.
        """
        ...

    async def send(self) -> None:
        """Store one job and claim it, after a NOTIFY where the engine has one."""
        ...

    async def send_from(self, sent: float) -> None:
        """Store one job, and announce the time at which it was sent: by NOTIFY, or by a
        datagram to the process that called ``listen``.
        """
        ...

    def listen(self) -> None:
        """Receive announcements from now on."""
        ...

    async def announced(self) -> float:
        """The time in the next announcement."""
        ...


@asynccontextmanager
async def open_limit(tables: Tables) -> AsyncIterator[Limit]:
    """Plain SQL on these tables."""
    if tables.engine == "sqlite":
        path = tables.url.removeprefix(SQLITE)
        with (
            closing(sqlite3.connect(path, isolation_level=None)) as file,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
        ):
            datagrams.setblocking(False)
            yield SqliteLimit(file, datagrams, f"{path}-limit")
        return
    worker, caller = [await asyncpg.connect(driver_url(tables.url)) for _ in range(2)]
    limit = PostgresLimit(worker, caller, tables.schema)
    try:
        await worker.add_listener(CHANNEL, limit.on_notify)
        yield limit
    finally:
        await worker.close()
        await caller.close()


@asynccontextmanager
async def claim_announced(
    sql: Limit, slots: int, note: Callable[[float], object]
) -> AsyncIterator[None]:
    """Inside, claim each announced job, note the announced time, and complete it."""

    async def claim() -> None:
        while True:
            sent = await sql.announced()
            claimed = await sql.exchange([], slots)
            note(sent)
            await sql.exchange(claimed, 0)

    sql.listen()
    claiming = asyncio.create_task(claim())
    try:
        yield
    finally:
        claiming.cancel()
        await asyncio.wait({claiming})


class PostgresLimit:
    """A worker's connection, which listens, and a caller's."""

    def __init__(self, worker: Any, caller: Any, schema: str) -> None:
        self._worker = worker
        self._caller = caller
        self._node = str(uuid4())
        self._announced: asyncio.Queue[str] = asyncio.Queue()
        self._insert = (
            f"INSERT INTO {schema}.job (task, args) SELECT * FROM unnest($1::text[], $2::json[])"
        )
        self._exchange = f"""WITH done AS (
              UPDATE {schema}.job j SET state = 'completed', finished_at = now()
              FROM unnest($1::bigint[], $2::integer[]) AS d(id, claim)
              WHERE j.id = d.id AND j.claim = d.claim)
            UPDATE {schema}.job SET state = 'executing', claim = claim + 1, attempt = attempt + 1,
              node = $3::uuid, started_at = now()
            WHERE id = ANY(ARRAY(
              SELECT id FROM {schema}.job WHERE state = 'available' AND queue = 'default'
              ORDER BY priority, scheduled_at, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED))
            RETURNING id, claim, task, args, attempt"""

    def on_notify(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        self._announced.put_nowait(payload)

    async def insert(self, rows: int) -> None:
        await self._caller.fetch(self._insert, [TASK] * rows, ['{"number": 1}'] * rows)

    async def exchange(self, finished: Sequence[Claimed], free: int) -> list[Claimed]:
        ids, claims = [job_id for job_id, _ in finished], [claim for _, claim in finished]
        rows = await self._worker.fetch(self._exchange, ids, claims, self._node, free)
        return [(row[0], row[1]) for row in rows]

    async def send(self) -> None:
        await self.send_from(0.0)
        await self.announced()
        await self.exchange([], 1)

    async def send_from(self, sent: float) -> None:
        await self.insert(1)
        await self._caller.execute(f"NOTIFY {CHANNEL}, '{sent!r}'")

    def listen(self) -> None:
        pass  # it does so from the beginning

    async def announced(self) -> float:
        return float(await self._announced.get())


class SqliteLimit:
    """One connection, as durable as Elihu's, and a socket at ``path`` for announcements."""

    def __init__(self, connection: sqlite3.Connection, datagrams: socket.socket, path: str) -> None:
        self._connection = connection
        self._datagrams = datagrams
        self._path = path
        self._node = str(uuid4())
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    async def insert(self, rows: int) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT INTO job (task, args) VALUES (?, ?)", [(TASK, '{"number": 1}')] * rows
        )
        self._connection.execute("COMMIT")

    async def exchange(self, finished: Sequence[Claimed], free: int) -> list[Claimed]:
        now = time.time()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "UPDATE job SET state = 'completed', finished_at = ? WHERE id = ? AND claim = ?",
            [(now, *key) for key in finished],
        )
        rows = self._connection.execute(
            """UPDATE job SET state = 'executing', claim = claim + 1, attempt = attempt + 1,
              node = ?, started_at = ?
            WHERE id IN (
              SELECT id FROM job WHERE state = 'available' AND queue = 'default'
              ORDER BY priority, scheduled_at, id LIMIT ?)
            RETURNING id, claim, task, args, attempt""",
            (self._node, now, free),
        ).fetchall()
        self._connection.execute("COMMIT")
        return [(row[0], row[1]) for row in rows]

    async def send(self) -> None:
        await self.insert(1)
        await self.exchange([], 1)

    async def send_from(self, sent: float) -> None:
        await self.insert(1)
        with contextlib.suppress(FileNotFoundError):
            self._datagrams.sendto(repr(sent).encode(), self._path)

    def listen(self) -> None:
        self._datagrams.bind(self._path)

    async def announced(self) -> float:
        return float(await asyncio.get_running_loop().sock_recv(self._datagrams, LONGEST))
