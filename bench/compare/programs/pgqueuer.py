"""pgqueuer: batches of as many jobs as there are slots, no bound on prefetch, durable
tables, asyncpg, and a pool where several callers store jobs.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench.compare.programs.protocol import Request, Worker

ENTRYPOINT = "note"
ROWS = 5_000
CONNECTIONS = 20
BACKLOGS = {
    "finished": """
        INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint, aggregated)
        SELECT now() - interval '1 hour', -i, status, 0, 'note', true
        FROM generate_series(1, $1) i,
          unnest(ARRAY['queued', 'picked', 'successful']::pgqueuer_status[]) status""",
    "scheduled": """
        INSERT INTO pgqueuer (priority, entrypoint, payload, execute_after, status)
        SELECT 0, 'note', '0.0', now() + interval '1 day' + i * interval '1 second', 'queued'
        FROM generate_series(1, $1) i""",
}


async def install(url: str) -> None:
    async with connected(url) as connection:
        await Queries.from_asyncpg_connection(connection).install()


async def bulk(url: str, jobs: int) -> float:
    async with connected(url) as connection:
        queries = Queries.from_asyncpg_connection(connection)
        began = time.perf_counter()
        for first in range(0, jobs, ROWS):
            rows = min(ROWS, jobs - first)
            await queries.enqueue(
                [ENTRYPOINT] * rows, [str(0.0).encode() for _ in range(rows)], [0] * rows
            )
        return time.perf_counter() - began


@asynccontextmanager
async def sender(url: str, callers: int) -> AsyncIterator[Callable[[float], Awaitable[object]]]:
    async with AsyncExitStack() as stack:
        if callers == 1:
            connection = await stack.enter_async_context(connected(url))
            queries = Queries.from_asyncpg_connection(connection)
        else:
            connections = min(callers, CONNECTIONS)
            pool = await stack.enter_async_context(
                asyncpg.create_pool(url, min_size=connections, max_size=connections)
            )
            queries = Queries.from_asyncpg_pool(pool)

        async def send(sent: float) -> None:
            await queries.enqueue(ENTRYPOINT, str(sent).encode())

        yield send


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with connected(url) as connection:

        async def count() -> int:
            return int(
                await connection.fetchval(
                    "SELECT count(*) FROM pgqueuer WHERE execute_after < now() + interval '1 hour'"
                )
            )

        yield count


async def work(request: Request, worker: Worker) -> None:
    async with connected(request.url) as connection:
        queue = PgQueuer.from_asyncpg_connection(connection)

        @queue.entrypoint(ENTRYPOINT)
        async def note(job: Job) -> None:
            worker.note(float(job.payload or b"0"))

        running = asyncio.create_task(queue.run(batch_size=request.slots))
        worker.ready()
        await worker.stopped()
        queue.shutdown.set()
        await running


async def backlog(url: str, kind: str, rows: int) -> None:
    async with connected(url) as connection:
        await connection.execute(BACKLOGS[kind], rows)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
