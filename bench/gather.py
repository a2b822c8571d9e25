"""Waiting for many jobs: stored jobs, from the first fetch until `agather` has the last
value. It is compared with draining the same jobs.
"""

import asyncio
import time

from bench import drain
from bench.subject import Case, Figures, Options, Subject, expect
from bench.tables import Tables
from elihu import agather
from elihu.telemetry.events import EngineCalled

JOBS = 10_000


def cases(options: Options) -> list[Case]:
    """A hundred slots."""
    return [Case(slots=options.slots or 100, jobs=options.jobs or JOBS)]


async def ours(tables: Tables, case: Case) -> Figures:
    """One node in this process, which waits too."""
    async with tables.app(slots=case.slots or 1) as app:

        @app.task(name="bench.noop")
        async def noop(number: int) -> None: ...

        relays = await asyncio.gather(*(noop.asubmit(number) for number in range(case.jobs)))
        first = 0.0

        def called(event: EngineCalled) -> None:
            nonlocal first
            if event.verb == "exchange":
                first = first or time.perf_counter() - event.duration

        app.on(EngineCalled, called)
        async with app.running():
            values = await agather(relays, None)
            seconds = time.perf_counter() - first
        expect("values", case.jobs, values.count(None))
    return {"seconds": seconds}


async def drained(tables: Tables, case: Case) -> Figures:
    """The same jobs without waits."""
    figures = await drain.ours(tables, case)
    return {"seconds": case.jobs / figures["jobs_per_second"]}


SUBJECT = Subject("gather", cases, ours, drained, beside="drain")
