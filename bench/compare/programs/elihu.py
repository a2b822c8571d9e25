"""Elihu."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from bench.compare.programs.own_tables import backlog, install, pending, tables_of
from bench.compare.programs.protocol import Request, Worker
from elihu import Elihu, Task

__all__ = ["backlog", "bulk", "install", "pending", "sender", "work"]


async def bulk(url: str, jobs: int) -> float:
    async with tables_of(url).app() as app:
        note = note_task(app, float)
        began = time.perf_counter()
        await app.enqueue_many(note.build(0.0) for _ in range(jobs))
        return time.perf_counter() - began


@asynccontextmanager
async def sender(url: str, _callers: int) -> AsyncIterator[Callable[[float], Awaitable[object]]]:
    async with tables_of(url).app() as app:
        yield note_task(app, float).aenqueue


async def work(request: Request, worker: Worker) -> None:
    async with tables_of(request.url).app(slots=request.slots) as app:
        note_task(app, worker.note)
        async with app.running():
            worker.ready()
            await worker.stopped()


def note_task(
    app: Elihu, note: Callable[[float], object]
) -> Task[[float], Coroutine[Any, Any, None]]:
    """The only task of this app."""

    @app.task(name="bench.note")
    async def noted(sent: float) -> None:
        note(sent)

    return noted
