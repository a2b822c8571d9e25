"""Single inserts: concurrent callers, each waiting for its commit. The limit is one
statement for all callers at a time.
"""

import time

from bench.limit import open_limit
from bench.subject import Case, Figures, Options, Subject, expect, rate
from bench.tables import Tables
from elihu.cli.benchmark import subjects
from elihu.cli.benchmark.subjects import Noop

JOBS = 3_000


def cases(options: Options) -> list[Case]:
    """One caller, ten and a hundred."""
    callers = [options.callers] if options.callers else [1, 10, 100]
    return [
        Case(callers=each, jobs=(options.jobs or JOBS) // each * each or each) for each in callers
    ]


async def ours(tables: Tables, case: Case) -> Figures:
    """Coroutines that call ``aenqueue``."""
    callers = case.callers or 1
    async with tables.app() as app:
        noop = Noop(app)
        await noop.task.aenqueue(0)
        measured = await subjects.insert(app, noop.task, iter(range(case.jobs)), callers)
        expect("jobs stored", case.jobs + 1, await app.jobs.count())
    return {"jobs_per_second": measured.rate}


async def limit(tables: Tables, case: Case) -> Figures:
    """Statements in sequence, each for as many jobs as there are callers."""
    rows = case.callers or 1
    async with open_limit(tables) as sql:
        await sql.insert(1)
        began = time.perf_counter()
        for _ in range(case.jobs // rows):
            await sql.insert(rows)
        seconds = time.perf_counter() - began
    return rate(case.jobs, seconds)


SUBJECT = Subject("insert", cases, ours, limit)
