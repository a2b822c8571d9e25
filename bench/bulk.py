"""Bulk inserts: `enqueue_many` from a generator. The limit is one statement for 5,000
jobs at a time.
"""

import time

from bench.limit import open_limit
from bench.subject import Case, Figures, Options, Subject, expect, rate
from bench.tables import Tables

JOBS = 50_000
ROWS = 5_000


def cases(options: Options) -> list[Case]:
    """One stream."""
    return [Case(jobs=options.jobs or JOBS)]


async def ours(tables: Tables, case: Case) -> Figures:
    """The arguments are validated and serialized in the measured time."""
    async with tables.app() as app:

        @app.task(name="bench.noop")
        async def noop(number: int) -> None: ...

        await noop.aenqueue(0)
        began = time.perf_counter()
        done = await app.enqueue_many(noop.build(number) for number in range(case.jobs))
        seconds = time.perf_counter() - began
    expect("jobs stored", case.jobs, done.inserted)
    return rate(case.jobs, seconds)


async def limit(tables: Tables, case: Case) -> Figures:
    """Equal rows."""
    async with open_limit(tables) as sql:
        await sql.insert(1)
        began = time.perf_counter()
        for first in range(0, case.jobs, ROWS):
            await sql.insert(min(ROWS, case.jobs - first))
        seconds = time.perf_counter() - began
    return rate(case.jobs, seconds)


SUBJECT = Subject("bulk", cases, ours, limit)
