"""A database with a node in this process."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Final

from bench.compare.programs.own_tables import install, tables_of
from bench.compare.servers import Server
from bench.growth.beside import Beside, Statement, beside
from bench.growth.subject import SLOTS
from bench.subject import expect
from elihu import Elihu
from elihu.cli.benchmark.subjects import calls_of

ONE_QUEUE: Final = {"default": SLOTS}
REMOVE: Final[Statement] = {
    "sqlite": "DELETE FROM job WHERE task = 'bench.take'",
    "postgresql": "DELETE FROM elihu.job WHERE task = 'bench.take'",
}


class Place:
    """Stores and drains jobs of a task that does nothing, spread evenly over queues."""

    def __init__(self, app: Elihu, sql: Beside, holder: Beside, queues: Mapping[str, int]) -> None:
        self.sql = sql
        self.holder = holder
        self._app = app
        self._queues = queues
        self._left = 0
        self._all_started = asyncio.Event()

        @app.task(name="bench.take")
        async def take(text: str) -> None:
            self._left -= 1
            if not self._left:
                self._all_started.set()

        self._tasks = [take.using(queue=queue) for queue in queues]

    async def renew(self, jobs: int, text: str = "") -> None:
        """Remove the jobs of earlier drains, store others, and vacuum."""
        await self.sql.execute(REMOVE)
        await self.store(jobs, text)
        await self.sql.tidy()

    async def store(self, jobs: int, text: str = "") -> None:
        """Store jobs with this argument."""
        tasks = cycle(self._tasks)
        await self._app.enqueue_many(next(tasks).build(text) for _ in range(jobs))

    async def drain(self, jobs: int) -> float:
        """Jobs a second, from the first fetch to the last acknowledgement."""
        self._left = jobs
        self._all_started.clear()
        with calls_of(self._app, "exchange") as calls:
            async with self._app.running(self._queues):
                await self._all_started.wait()
            measured = calls.measured(jobs)
        expect("jobs left", 0, await self._app.jobs.count(state=["available", "executing"]))
        return measured.rate


@asynccontextmanager
async def new_place(server: Server, queues: Mapping[str, int] = ONE_QUEUE) -> AsyncIterator[Place]:
    """A place in a new database."""
    async with (
        server.fresh("growth", install) as url,
        tables_of(url).app() as app,
        beside(url) as sql,
        beside(url) as holder,
    ):
        yield Place(app, sql, holder, queues)
