"""Cron entries."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from elihu.engines.postgres.connections import Connection, transact
from elihu.engines.postgres.jobs import Jobs
from elihu.engines.protocol import Inserted
from elihu.engines.protocol.crons import CronRow, CronTable, TickJob
from elihu.failpoints import ACTIVE, reach
from elihu.job import NewJob


class Crons(Jobs, ABC):
    """The verbs on cron entries."""

    async def crons(self, names: Sequence[str] | None = None) -> CronTable:
        """All entries, or those of these names."""
        rows = await self._fetch(
            "crons", self._sql["crons"], None if names is None else list(names)
        )
        first = rows[0]
        fields = CronRow._fields
        found = [
            CronRow(*(row[field] for field in fields)) for row in rows if row["name"] is not None
        ]
        return CronTable(first["now"], first["booted_at"], found)

    async def declare_crons(self, declared: Sequence[tuple[str, str]]) -> None:
        """Write what a node's code declares."""
        if declared:
            names, texts = (list(column) for column in zip(*declared, strict=True))
            await self._fetch("declare_crons", self._sql["cron_declare"], names, texts)

    async def create_cron(self, name: str, changes: str, paused: bool) -> bool:
        """Store an entry made at run time; False where the name is taken."""
        return (
            await self._fetch_value("create_cron", self._sql["cron_create"], name, changes, paused)
            is not None
        )

    async def change_cron(
        self, name: str, rev: int, changes: str | None, *, paused: bool, anew: bool
    ) -> bool:
        """Change an entry that is still of that revision; whether it was."""
        return (
            await self._fetch_value(
                "change_cron", self._sql["cron_change"], name, rev, changes, paused, anew
            )
            is not None
        )

    async def delete_cron(self, name: str, rev: int) -> bool:
        """Remove an entry that is still of that revision; whether it was."""
        return (
            await self._fetch_value("delete_cron", self._sql["cron_delete"], name, rev) is not None
        )

    async def fire_cron(
        self, row: CronRow, ticks: Sequence[tuple[datetime, NewJob]], until: datetime
    ) -> list[TickJob] | None:
        """Store the jobs of ticks and settle the entry, or neither."""

        async def work(connection: Connection) -> list[TickJob] | None:
            taken = await connection.fetchrow(
                self._sql["cron_take"], row.name, row.rev, row.last_tick, until
            )
            if taken is None:
                return None
            fresh = [(at, job) for at, job in ticks if at not in taken["fired"]]
            inserted = (
                await self._insert_unique(
                    connection, [replace(job, run_at=at) for at, job in fresh]
                )
                if fresh
                else []
            )
            if ACTIVE:
                reach("inside cron")
            times, ids = [at for at, _ in fresh], [job.id for job in inserted]
            await connection.execute(self._sql["cron_settle"], row.name, until, times, ids)
            return [
                TickJob(at, job.id, job.conflict)
                for (at, _), job in zip(fresh, inserted, strict=True)
            ]

        async def in_transaction(connection: Connection) -> list[TickJob] | None:
            return await transact(connection, work)

        return await self._call("fire_cron", in_transaction)

    async def prune_ticks(self, age: float, limit: int) -> int:
        """Remove old ticks; how many went."""
        return int(await self._fetch_value("prune_ticks", self._sql["cron_prune"], age, limit))

    @abstractmethod
    async def _insert_unique(
        self, connection: Connection, jobs: Sequence[NewJob]
    ) -> list[Inserted]:
        """Store jobs inside a transaction, in order."""
