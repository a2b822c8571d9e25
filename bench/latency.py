"""Latency: from the call of `aenqueue` to the first line of the task, one job at a
time, on an idle worker.

The limit stores a job and claims it; on PostgreSQL another connection claims it after a
NOTIFY. In another process it is claimed after a NOTIFY or a datagram.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.limit import open_limit
from bench.subject import Case, Figures, Options, Subject
from bench.tables import Tables
from elihu import Task
from elihu.cli.benchmark.subjects import latency, percentiles

JOBS = 200

HERE: Final = "this process"
ELSEWHERE: Final = "another process"

Send = Callable[[], Awaitable[float]]
"""Enqueues a job and returns the seconds until it started."""


@dataclass(frozen=True, slots=True)
class Node:
    """A running node: ``note`` is its only task, with the time at which it was sent;
    ``started`` returns the seconds from then to the next start.
    """

    note: Task[[float], Coroutine[Any, Any, None]]
    started: Callable[[], Awaitable[float]]


def cases(options: Options) -> list[Case]:
    """A worker in the caller's process, and one in another."""
    return [Case(jobs=options.jobs or JOBS, worker=each) for each in (HERE, ELSEWHERE)]


async def ours(tables: Tables, case: Case) -> Figures:
    """A node with ten slots."""
    async with node_of(case)(tables) as node:

        async def send() -> float:
            await node.note.aenqueue(time.monotonic())
            return await node.started()

        return await sample(send, case.jobs)


async def limit(tables: Tables, case: Case) -> Figures:
    """Plain SQL."""
    if case.worker == ELSEWHERE:
        async with worker("limit", tables) as started, open_limit(tables) as sql:

            async def send_there() -> float:
                await sql.send_from(time.monotonic())
                return await started()

            return await sample(send_there, case.jobs)
    async with open_limit(tables) as sql:

        async def send() -> float:
            sent = time.monotonic()
            await sql.send()
            return time.monotonic() - sent

        return await sample(send, case.jobs)


async def sample(send: Send, jobs: int) -> Figures:
    """The median and the 99th percentile."""
    p50, p99 = percentiles(await latency(send, iter(range(jobs))))
    return {"p50_ms": p50 * 1_000, "p99_ms": p99 * 1_000}


def node_of(case: Case) -> Callable[[Tables], AbstractAsyncContextManager[Node]]:
    """How the node of this case is started."""
    return here if case.worker == HERE else elsewhere


@contextlib.asynccontextmanager
async def here(tables: Tables) -> AsyncIterator[Node]:
    """A node in this process."""
    async with tables.app() as app:
        started: asyncio.Queue[float] = asyncio.Queue()

        @app.task(name="bench.note")
        async def note(sent: float) -> None:
            started.put_nowait(time.monotonic() - sent)

        async with app.running():
            yield Node(note, started.get)


@contextlib.asynccontextmanager
async def elsewhere(tables: Tables) -> AsyncIterator[Node]:
    """A node in another process."""
    async with worker("elihu", tables) as started, tables.app() as app:

        @app.task(name="bench.note")
        async def note(sent: float) -> None: ...

        yield Node(note, started)


@contextlib.asynccontextmanager
async def worker(of: str, tables: Tables) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """A worker in another process, which prints a line at each start. Both read the same
    monotonic clock. Yields what waits for the next start.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.worker", of, tables.url, tables.schema),
        cwd=Path(__file__).parents[1],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = process.stdout

    async def started() -> float:
        return float(await lines.readline())

    try:
        await lines.readline()
        yield started
        process.stdin.close()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


SUBJECT = Subject("latency", cases, ours, limit)
