"""What one event loop needs to use an app's database: the engine, the inserter, the
announcer and the waiters.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from elihu.clock import SystemClock
from elihu.config import Config
from elihu.engines.protocol import Counts, Engine, Inserted
from elihu.engines.select import engine_for
from elihu.enqueue import Inserter, check_free, stored_job
from elihu.errors import SchemaOutdated
from elihu.job import Job, NewJob
from elihu.results.waiters import Waiters
from elihu.runtime.announcer import Announcer, Hub
from elihu.runtime.failure_log import FailureLog
from elihu.runtime.service import Identity, Scope
from elihu.telemetry.bus import Bus


class Client:
    """Belongs to the loop that made it. Connects and checks the tables at its first
    use.
    """

    def __init__(self, config: Config, bus: Bus, hub: Hub) -> None:
        self._database = config.describe_database()
        self._url = config.database_url
        self._engine = engine_for(config, bus)
        failure_log = FailureLog()
        self._announcer = Announcer(self._engine, hub, failure_log)
        self.waiters = Waiters(
            Scope(
                config, self._engine, bus, SystemClock(), Identity(""), self._announcer, failure_log
            ),
            hub,
        )
        self._inserter = Inserter(self._engine, self._announcer.queues)
        self._opening = asyncio.Lock()
        self._ready = False

    @property
    def announcer(self) -> Announcer:
        return self._announcer

    async def connect(self, *, make: bool = True) -> Engine:
        """The opened engine, without a check of the tables. With ``make`` an absent
        SQLite file is created.
        """
        async with self._opening:
            await self._engine.open(make=make)
        return self._engine

    async def ready(self, *, make: bool = False) -> Engine:
        """The opened engine after a check of the tables. With ``make`` an absent SQLite
        schema is created.
        """
        if not self._ready:
            engine = await self.connect(make=make)
            if not make and await engine.schema_version() == 0:
                raise SchemaOutdated(
                    f'{self._database}: expected the tables of Elihu, got none: run "elihu migrate"'
                )
            await engine.check_schema()
            self._ready = True
        return self._engine

    async def writing(self, verb: str) -> Engine:
        """``ready`` for a verb that writes. Raises ``InvalidOption`` inside an action
        that holds SQLite's write lock, since the verb would wait for that action.
        """
        check_free(
            self._url,
            f"{verb}: expected a call before or after the action, or a trigger with lock=False",
        )
        return await self.ready()

    async def insert(self, new: NewJob) -> Job:
        """Store one job."""
        engine = await self.ready(make=True)
        while True:
            inserted = await self._inserter.one(new)
            if not inserted.conflict:
                return stored_job(new, inserted)
            if holder := await engine.get(inserted.id):
                return replace(holder, conflict=True)

    async def insert_many(self, jobs: list[NewJob]) -> list[Inserted]:
        """Store jobs in one transaction."""
        await self.ready(make=True)
        return await self._inserter.many(jobs)

    async def insert_bulk(self, jobs: list[NewJob]) -> Sequence[Inserted] | Counts:
        """``insert_many`` where nobody asks for ids: most jobs are only counted."""
        await self.ready(make=True)
        return await self._inserter.bulk(jobs)

    def abandon(self) -> None:
        """Drop everything: the loop has ended."""
        self.waiters.abandon()
        self._engine.abandon()

    async def close(self) -> None:
        await self.waiters.close()
        await self._announcer.close()
        await self._engine.close()
