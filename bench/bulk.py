"""Bulk inserts: `enqueue_many` from a generator. The limit is one statement for 5,000
jobs at a time.
"""

import time

from bench.limit import open_limit
from bench.subject import Case, Figures, Options, Subject, expect, rate
from bench.tables import Tables
from elihu.cli.benchmark import subjects
from elihu.cli.benchmark.subjects import Noop

JOBS = 50_000
ROWS = 5_000


def cases(options: Options) -> list[Case]:
    """One stream."""
    return [Case(jobs=options.jobs or JOBS)]


async def ours(tables: Tables, case: Case) -> Figures:
    """The arguments are validated and serialized in the measured time."""
    async with tables.app() as app:
        noop = Noop(app)
        await noop.task.aenqueue(0)
        measured = await subjects.bulk(app, noop.task, iter(range(case.jobs)))
    expect("jobs stored", case.jobs, measured.jobs)
    return {"jobs_per_second": measured.rate}


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
