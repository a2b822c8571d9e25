"""huey on SQLite: every commit on the disk, one worker thread, no results, and a worker
that looks every 1 to 5 ms.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from huey import SqliteHuey

from bench.compare.programs.protocol import Request, Worker

FIRST_LOOK = 0.001
LAST_LOOK = 0.005


def huey_of(url: str) -> SqliteHuey:
    return SqliteHuey(
        filename=url.removeprefix("sqlite:///"), fsync=True, results=False, timeout=30
    )


def task_of(huey: SqliteHuey, note: Callable[[float], object]) -> Any:
    @huey.task(name="note")
    def noted(sent: float) -> None:
        note(sent)

    return noted


async def install(url: str) -> None:
    huey_of(url).storage.close()


async def bulk(url: str, jobs: int) -> float:
    task = task_of(huey_of(url), float)
    began = time.perf_counter()
    for _ in range(jobs):
        task(0.0)
    return time.perf_counter() - began


@asynccontextmanager
async def sender(url: str, _callers: int) -> AsyncIterator[Callable[[float], Awaitable[object]]]:
    task = task_of(huey_of(url), float)

    async def send(sent: float) -> None:
        task(sent)

    yield send


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    huey = huey_of(url)

    async def count() -> int:
        return int(huey.pending_count())

    yield count


async def work(request: Request, worker: Worker) -> None:
    logging.disable(logging.INFO)
    huey = huey_of(request.url)
    task_of(huey, worker.note)
    consumer = huey.create_consumer(
        workers=1, initial_delay=FIRST_LOOK, max_delay=LAST_LOOK, periodic=False
    )
    consumer.start()
    worker.ready()
    await worker.stopped()
    await asyncio.to_thread(consumer.stop, graceful=True)
