"""Draining: jobs that do nothing, from the first fetch to the last acknowledgement. The
limit completes a batch and fetches the next.
"""

import time

from bench.limit import open_limit
from bench.subject import Case, Figures, Options, Subject, expect, rate, slots_of
from bench.tables import Tables
from elihu.cli.benchmark import subjects
from elihu.cli.benchmark.subjects import Noop

JOBS = 20_000


def cases(options: Options) -> list[Case]:
    """Ten slots, a hundred and five hundred."""
    return [
        Case(slots=each, jobs=options.jobs or JOBS, prefetch=options.prefetch)
        for each in ([options.slots] if options.slots else [10, 100, 500])
    ]


async def ours(tables: Tables, case: Case) -> Figures:
    """One node in this process."""
    async with tables.app() as app:
        noop = Noop(app)
        await app.enqueue_many(noop.task.build(number) for number in range(case.jobs))
        measured = await subjects.drain(app, noop, slots_of(case), case.jobs)
        expect("jobs completed", case.jobs, await app.jobs.count(state="completed"))
    return {"jobs_per_second": measured.rate}


async def limit(tables: Tables, case: Case) -> Figures:
    """One connection in this process; nothing is executed."""
    slots = case.slots or 1
    async with open_limit(tables) as sql:
        for first in range(0, case.jobs, 5_000):
            await sql.insert(min(5_000, case.jobs - first))
        done = 0
        began = time.perf_counter()
        claimed = await sql.exchange([], slots)
        while claimed:
            done += len(claimed)
            claimed = await sql.exchange(claimed, slots)
        seconds = time.perf_counter() - began
    expect("jobs claimed", case.jobs, done)
    return rate(case.jobs, seconds)


SUBJECT = Subject("drain", cases, ours, limit)
