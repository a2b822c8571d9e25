"""Cron entries."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from elihu.engines.postgres.connect import Connection
from elihu.engines.postgres.insert import insert_unique
from elihu.engines.postgres.session import Session
from elihu.engines.protocol.crons import CronDeclaration, CronRow, CronTable, TickJob
from elihu.failpoints import ACTIVE, reach
from elihu.job import NewJob


async def crons(session: Session, names: Sequence[str] | None) -> CronTable:
    wanted = None if names is None else list(names)
    rows = await session.fetch("crons", wanted, session.config.dead_after)
    first = rows[0]
    fields = CronRow._fields
    found = [CronRow(*(row[field] for field in fields)) for row in rows if row["name"] is not None]
    return CronTable(first["now"], first["booted_at"], found)


async def declare_crons(session: Session, declared: Sequence[CronDeclaration]) -> None:
    if declared:
        names, texts, digests = (list(column) for column in zip(*declared, strict=True))
        dead_after = session.config.dead_after
        await session.fetch("declare_crons", names, texts, digests, dead_after, waits=True)


async def create_cron(session: Session, name: str, changes: str, paused: bool) -> bool:
    return await session.fetch_value("create_cron", name, changes, paused, waits=True) is not None


async def change_cron(
    session: Session, name: str, rev: int, changes: str | None, *, paused: bool, anew: bool
) -> bool:
    found = await session.fetch_value("change_cron", name, rev, changes, paused, anew, waits=True)
    return found is not None


async def delete_cron(session: Session, name: str, rev: int) -> bool:
    return await session.fetch_value("delete_cron", name, rev, waits=True) is not None


async def fire_cron(
    session: Session, row: CronRow, ticks: Sequence[tuple[datetime, NewJob]], until: datetime
) -> list[TickJob] | None:
    async def work(connection: Connection) -> list[TickJob] | None:
        taken = await connection.fetchrow(
            session.sql["fire_cron_take"], row.name, row.rev, row.last_tick, until
        )
        if taken is None:
            return None
        fresh = [(at, replace(job, run_at=at)) for at, job in ticks if at not in taken["fired"]]
        inserted = (
            await insert_unique(session, connection, [job for _, job in fresh]) if fresh else []
        )
        if ACTIVE:
            reach("inside cron")
        stored = [job.id for job in inserted if not job.conflict]
        if stored:
            await connection.execute(session.sql["fire_cron_occurrence"], stored)
        times, ids = [at for at, _ in fresh], [job.id for job in inserted]
        await connection.execute(session.sql["fire_cron_settle"], row.name, until, times, ids)
        return [TickJob(at, job.id, job.conflict) for at, job in zip(times, inserted, strict=True)]

    return await session.transaction("fire_cron", work)


async def prune_ticks(session: Session, age: float, limit: int) -> int:
    return int(await session.fetch_value("prune_ticks", age, limit))
