"""Waiting for many: jobs that are stored, from the first fetch until `agather` has the
last value. Beside it, draining the same jobs.
"""

import asyncio
import time

from bench import drain
from bench.arena import Arena
from bench.subject import Case, Figures, Options, Subject, expect
from elihu import agather

JOBS = 10_000


def cases(options: Options) -> list[Case]:
    """A hundred slots."""
    return [Case(slots=options.slots or 100, jobs=options.jobs or JOBS)]


async def ours(arena: Arena, case: Case) -> Figures:
    """One node in this process, which waits as well."""
    async with arena.app(slots=case.slots or 1) as app:

        @app.task(name="bench.noop")
        async def noop(number: int) -> None: ...

        relays = await asyncio.gather(*(noop.asubmit(number) for number in range(case.jobs)))
        began = time.perf_counter()
        async with app.running():
            values = await agather(relays, None)
            seconds = time.perf_counter() - began
        expect("values", case.jobs, values.count(None))
    return {"seconds": seconds}


async def drained(arena: Arena, case: Case) -> Figures:
    """The same jobs, for which nobody waits."""
    figures = await drain.ours(arena, case)
    return {"seconds": case.jobs / figures["jobs_per_second"]}


SUBJECT = Subject("gather", cases, ours, drained, beside="drain")
