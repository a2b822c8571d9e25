"""chancy: the executor for coroutines, eager polling, everything else as it comes."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from chancy import Chancy, Job, Queue
from chancy import Worker as ChancyWorker

from bench.compare.programs.protocol import Request, Worker

ROWS = 1_000
CONNECTIONS = 20
PENDING = """SELECT count(*) FROM chancy_jobs
    WHERE state NOT IN ('succeeded', 'failed') AND scheduled_at < now() + interval '1 hour'"""
FUNCTION = "bench.compare.programs.chancy.note"
BACKLOGS = {
    "finished": f"""
        INSERT INTO chancy_jobs (id, queue, func, kwargs, state, attempts, started_at, completed_at)
        SELECT gen_random_uuid(), 'default', '{FUNCTION}', '{{"sent": 0.0}}', 'succeeded', 1,
          now(), now()
        FROM generate_series(1, %s)""",
    "scheduled": f"""
        INSERT INTO chancy_jobs (id, queue, func, kwargs, scheduled_at)
        SELECT gen_random_uuid(), 'default', '{FUNCTION}', '{{"sent": 0.0}}',
          now() + interval '1 day' + i * interval '1 second'
        FROM generate_series(1, %s) i""",
}
_working: Worker | None = None


async def note(*, sent: float) -> None:
    if _working is not None:
        _working.note(sent)


async def install(url: str) -> None:
    async with Chancy(url) as chancy:
        await chancy.migrate()


async def bulk(url: str, jobs: int) -> float:
    async with Chancy(url) as chancy:
        began = time.perf_counter()
        every = [Job.from_func(note, kwargs={"sent": 0.0}) for _ in range(jobs)]
        async for _ in chancy.push_many(every, batch_size=ROWS):
            pass
        return time.perf_counter() - began


@asynccontextmanager
async def sender(url: str, callers: int) -> AsyncIterator[Callable[[float], Awaitable[object]]]:
    connections = min(callers, CONNECTIONS)
    async with Chancy(
        url, min_connection_pool_size=connections, max_connection_pool_size=connections
    ) as chancy:

        async def send(sent: float) -> None:
            await chancy.push(Job.from_func(note, kwargs={"sent": sent}))

        yield send


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with Chancy(url) as chancy:

        async def count() -> int:
            async with chancy.pool.connection() as connection:
                row = await (await connection.execute(PENDING)).fetchone()
            return int(row[0])

        yield count


async def work(request: Request, worker: Worker) -> None:
    global _working
    _working = worker
    async with Chancy(request.url) as chancy:
        await chancy.declare(
            Queue(
                "default",
                concurrency=request.slots,
                executor=Chancy.Executor.Async,
                eager_polling=True,
            ),
            upsert=True,
        )
        async with ChancyWorker(chancy, register_signal_handlers=False):
            worker.ready()
            await worker.stopped()


async def backlog(url: str, kind: str, rows: int) -> None:
    async with Chancy(url) as chancy, chancy.pool.connection() as connection:
        await connection.execute(BACKLOGS[kind], (rows,))
