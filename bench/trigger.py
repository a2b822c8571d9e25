"""Triggers: a scan that stores a job for each record, and actions that update their
record, one at a time and in chunks.

The scan is compared with reading the keys and inserting plain rows. The actions are
compared with a plain SQLAlchemy loop at the same concurrency: one locked transaction a
record.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.bulk import ROWS
from bench.limit import open_limit
from bench.subject import Case, Figures, Options, Subject, expect, rate
from bench.tables import Tables
from elihu import Chunk, Elihu

SCANNED = 100_000
ACTED = 2_000
SLOTS = 10
CHUNK = 100
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


class Base(DeclarativeBase): ...


class Record(Base):
    """A record with a flag that the action sets."""

    __tablename__ = "bench_record"

    id: Mapped[int] = mapped_column(primary_key=True)
    done: Mapped[bool] = mapped_column(default=False)


@asynccontextmanager
async def records(tables: Tables, number: int) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Sessions on a database with so many records, which are removed at the end."""
    scheme, rest = tables.url.split(":", 1)
    timeout = {"connect_args": {"timeout": 60}} if scheme == "sqlite" else {}
    engine = create_async_engine(
        f"{DRIVERS[scheme]}:{rest}", pool_size=SLOTS, max_overflow=0, **timeout
    )
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        for start in range(0, number, 10_000):
            many = [{"done": False}] * min(10_000, number - start)
            await connection.execute(insert(Record), many)
    try:
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
        await engine.dispose()


@asynccontextmanager
async def app_with(
    tables: Tables, case: Case, chunk: Chunk | None
) -> AsyncIterator[tuple[Elihu, Any]]:
    """An app with a trigger that sets the flag."""
    async with records(tables, case.jobs) as sessions:
        app = Elihu(
            tables.url,
            schema=tables.schema,
            sessions=sessions,
            queues={"default": case.slots or SLOTS},
        )

        async def act(record: Any, *, session: AsyncSession) -> None:
            for each in [record] if chunk is None else record:
                each.done = True

        trigger = app.trigger(
            Record, name="bench.act", where=~Record.done, cron=None, queue="default", chunk=chunk
        )(act)
        async with app:
            await app.migrate()
            yield app, trigger


async def scan(tables: Tables, case: Case) -> Figures:
    """Store a job for each record."""
    async with app_with(tables, case, None) as (_, trigger):
        began = time.perf_counter()
        counts = await trigger.scan()
        seconds = time.perf_counter() - began
        expect("jobs", case.jobs, counts.enqueued)
    return rate(case.jobs, seconds)


async def read_and_insert(tables: Tables, case: Case) -> Figures:
    """Read the keys of the records in pages of the same size, and insert a row for each."""
    async with records(tables, case.jobs) as sessions, open_limit(tables) as sql:
        await sql.insert(1)
        began = time.perf_counter()
        last = found = 0
        while True:
            async with sessions() as session:
                page = select(Record.id).where(~Record.done, Record.id > last)
                keys = (await session.scalars(page.order_by(Record.id).limit(1_000))).all()
            if not keys:
                break
            last, found = keys[-1], found + len(keys)
            if found % ROWS == 0 or found == case.jobs:
                await sql.insert(found % ROWS or ROWS)
        seconds = time.perf_counter() - began
        expect("keys", case.jobs, found)
    return rate(case.jobs, seconds)


async def act_on_each(tables: Tables, case: Case) -> Figures:
    """Run an action for each record."""
    return await _acted(tables, case, None)


async def act_in_chunks(tables: Tables, case: Case) -> Figures:
    """Run actions for chunks of records."""
    return await _acted(tables, case, Chunk(size=CHUNK))


async def _acted(tables: Tables, case: Case, chunk: Chunk | None) -> Figures:
    async with app_with(tables, case, chunk) as (app, trigger):
        await trigger.scan()
        began = time.perf_counter()
        async with app.running() as node:
            for producer in node.producers:
                await producer.wait_idle()
            seconds = time.perf_counter() - began
        expect("completed jobs", case.jobs, await app.jobs.count(state="completed"))
    return rate(case.jobs, seconds)


async def plain_loop(tables: Tables, case: Case) -> Figures:
    """One locked transaction a record, ``SLOTS`` at the same time."""
    async with records(tables, case.jobs) as sessions:
        keys = iter(range(1, case.jobs + 1))

        async def work() -> None:
            for key in keys:
                async with sessions.begin() as session:
                    if tables.engine == "sqlite":
                        await (await session.connection()).exec_driver_sql("BEGIN IMMEDIATE")
                    found = await session.scalars(
                        select(Record).where(Record.id == key, ~Record.done).with_for_update()
                    )
                    found.one().done = True

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(SLOTS)))
        seconds = time.perf_counter() - began
    return rate(case.jobs, seconds)


def scan_cases(options: Options) -> list[Case]:
    """A hundred thousand records."""
    return [Case(jobs=options.jobs or SCANNED)]


def act_cases(options: Options) -> list[Case]:
    """Ten slots."""
    return [Case(jobs=options.jobs or ACTED, slots=options.slots or SLOTS)]


def chunk_cases(options: Options) -> list[Case]:
    """Slots for two chunks: the node prepares one while the database works on the other."""
    return [Case(jobs=options.jobs or 10 * ACTED, slots=options.slots or 2 * CHUNK)]


SCAN = Subject("scan", scan_cases, scan, read_and_insert, beside="keys and plain rows")
ACT = Subject("act", act_cases, act_on_each, plain_loop, beside="plain loop")
CHUNKS = Subject("chunks", chunk_cases, act_in_chunks, plain_loop, beside="plain loop")
