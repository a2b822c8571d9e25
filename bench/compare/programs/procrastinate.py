"""procrastinate: as many jobs at a time as there are slots, in one worker."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from procrastinate import App, PsycopgConnector

from bench.compare.programs.protocol import Request, Worker

ROWS = 1_000
CONNECTIONS = 20
PENDING = """SELECT count(*) FROM procrastinate_jobs
    WHERE status IN ('todo', 'doing')
      AND (scheduled_at IS NULL OR scheduled_at < now() + interval '1 hour')"""
BACKLOGS = {
    "finished": """
        WITH jobs AS (
          INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, attempts)
          SELECT 'default', 'note', '{"sent": 0.0}', 'succeeded', 1
          FROM generate_series(1, $1) RETURNING id)
        INSERT INTO procrastinate_events (job_id, type)
        SELECT id, type FROM jobs,
          unnest(ARRAY['started', 'succeeded']::procrastinate_job_event_type[]) type""",
    "scheduled": """
        INSERT INTO procrastinate_jobs (queue_name, task_name, args, scheduled_at)
        SELECT 'default', 'note', '{"sent": 0.0}',
          now() + interval '1 day' + i * interval '1 second'
        FROM generate_series(1, $1) i""",
}
_working: Worker | None = None


async def note(sent: float) -> None:
    if _working is not None:
        _working.note(sent)


def app_of(url: str, connections: int = 1, most: int = 10) -> App:
    connector = PsycopgConnector(
        conninfo=url, min_size=connections, max_size=max(connections, most)
    )
    app = App(connector=connector)
    app.task(name="note")(note)
    return app


async def install(url: str) -> None:
    async with app_of(url).open_async() as app:
        await app.schema_manager.apply_schema_async()


async def bulk(url: str, jobs: int) -> float:
    async with app_of(url).open_async() as app:
        task = app.tasks["note"]
        began = time.perf_counter()
        for first in range(0, jobs, ROWS):
            await task.batch_defer_async(*({"sent": 0.0} for _ in range(min(ROWS, jobs - first))))
        return time.perf_counter() - began


@asynccontextmanager
async def sender(url: str, callers: int) -> AsyncIterator[Callable[[float], Awaitable[object]]]:
    async with app_of(url, min(callers, CONNECTIONS)).open_async() as app:
        task = app.tasks["note"]

        async def send(sent: float) -> None:
            await task.defer_async(sent=sent)

        yield send


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    async with app_of(url).open_async() as app:

        async def count() -> int:
            return int((await app.connector.execute_query_one_async(PENDING))["count"])

        yield count


async def work(request: Request, worker: Worker) -> None:
    global _working
    _working = worker
    async with app_of(request.url, most=20).open_async() as app:
        running = asyncio.create_task(
            app.run_worker_async(concurrency=request.slots, install_signal_handlers=False)
        )
        worker.ready()
        await worker.stopped()
        running.cancel()
        await asyncio.wait({running})


async def backlog(url: str, kind: str, rows: int) -> None:
    async with app_of(url).open_async() as app:
        await app.connector.execute_query_async(BACKLOGS[kind].replace("$1", str(int(rows))))
