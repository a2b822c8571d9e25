"""The least that plain SQL has to do, on Elihu's tables: ``bench/limit.py``."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bench.compare.programs.own_tables import backlog, install, pending, tables_of
from bench.compare.programs.protocol import Request, Worker
from bench.limit import claim_announced, open_limit

__all__ = ["backlog", "bulk", "install", "pending", "sender", "work"]

ROWS = 5_000
IDLE = 0.05


async def bulk(url: str, jobs: int) -> float:
    """One statement for 5,000 jobs at a time."""
    async with open_limit(tables_of(url)) as sql:
        began = time.perf_counter()
        for first in range(0, jobs, ROWS):
            await sql.insert(min(ROWS, jobs - first))
        return time.perf_counter() - began


@asynccontextmanager
async def sender(url: str, callers: int) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
    """One statement for the jobs of all callers: the last caller of each turn sends it."""
    async with open_limit(tables_of(url)) as sql:
        waiting: list[asyncio.Future[None]] = []

        async def send(sent: float) -> None:
            if sent:
                await sql.send_from(sent)
                return
            stored = asyncio.get_running_loop().create_future()
            waiting.append(stored)
            if len(waiting) < callers:
                await stored
                return
            turn = waiting.copy()
            waiting.clear()
            await sql.insert(callers)
            for each in turn:
                each.set_result(None)

        yield send


async def work(request: Request, worker: Worker) -> None:
    """Complete a batch and fetch the next in one statement; nothing is executed. A worker
    that reports claims a job when it is announced, and completes it then.
    """
    async with open_limit(tables_of(request.url)) as sql:
        if request.report:
            async with claim_announced(sql, request.slots, worker.note):
                worker.ready()
                await worker.stopped()
            return
        worker.ready()
        stopped = asyncio.create_task(worker.stopped())
        claimed = await sql.exchange([], request.slots)
        while not stopped.done():
            if claimed:
                worker.add(len(claimed))
            else:
                await asyncio.wait({stopped}, timeout=IDLE)
            claimed = await sql.exchange(claimed, request.slots)
