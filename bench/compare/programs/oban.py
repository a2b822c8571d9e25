"""oban: one queue with as many slots as asked for, a pool of ten connections (its
default) or as many as there are callers.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from oban import Oban, worker
from oban.schema import install as install_tables
from psycopg_pool import AsyncConnectionPool

from bench.compare.programs.protocol import Request, Worker

ROWS = 1_000
CONNECTIONS = 20
PENDING = "SELECT count(*) FROM oban_jobs WHERE state IN ('available', 'executing')"
BACKLOGS = {
    "finished": """
        INSERT INTO oban_jobs
          (state, worker, attempt, args, attempted_by, attempted_at, completed_at)
        SELECT 'completed', 'bench.compare.programs.oban.Note', 1, '{"sent": 0.0}', '{gone}',
          timezone('UTC', now()), timezone('UTC', now())
        FROM generate_series(1, %s)""",
    "scheduled": """
        INSERT INTO oban_jobs (state, worker, args, scheduled_at)
        SELECT 'scheduled', 'bench.compare.programs.oban.Note', '{"sent": 0.0}',
          timezone('UTC', now()) + interval '1 day' + i * interval '1 second'
        FROM generate_series(1, %s) i""",
}
_working: Worker | None = None


@worker(queue="default")
class Note:
    """The only worker of these jobs."""

    async def process(self, job: Any) -> None:
        if _working is not None:
            _working.note(job.args["sent"])


note: Any = Note
"""It has ``new`` from the decorator."""


async def install(url: str) -> None:
    async with pool_of(url) as pool:
        await install_tables(pool)


async def bulk(url: str, jobs: int) -> float:
    async with pool_of(url) as pool, Oban(pool=pool) as oban:
        began = time.perf_counter()
        for first in range(0, jobs, ROWS):
            await oban.enqueue_many(note.new({"sent": 0.0}) for _ in range(min(ROWS, jobs - first)))
        return time.perf_counter() - began


@asynccontextmanager
async def sender(url: str, callers: int) -> AsyncIterator[Callable[[float], Awaitable[object]]]:
    async with pool_of(url, min(callers, CONNECTIONS)) as pool, Oban(pool=pool) as oban:

        async def send(sent: float) -> None:
            await oban.enqueue(note.new({"sent": sent}))

        yield send


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with pool_of(url) as pool:

        async def count() -> int:
            async with pool.connection() as connection:
                row = await (await connection.execute(PENDING)).fetchone()
            return int(row[0])

        yield count


async def work(request: Request, worker: Worker) -> None:
    global _working
    _working = worker
    async with (
        pool_of(request.url) as pool,
        Oban(pool=pool, queues={"default": request.slots}),
    ):
        worker.ready()
        await worker.stopped()


async def backlog(url: str, kind: str, rows: int) -> None:
    async with pool_of(url) as pool, pool.connection() as connection:
        await connection.execute(BACKLOGS[kind], (rows,))


def pool_of(url: str, connections: int = 1) -> AsyncConnectionPool:
    return AsyncConnectionPool(url, min_size=connections, max_size=max(connections, 10), open=False)
