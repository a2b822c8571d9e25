"""One figure of Elihu, or of what bounds it: `python -m bench.bounds ROW SIDE URL JOBS`,
where SIDE is `elihu` or `bound`, and JOBS the most jobs. Prints the figures as JSON.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from bench import gather, latency, off_loop, relay, stager
from bench.loop import run
from bench.subject import Case, Figures, rate
from bench.tables import Tables, new_tables

BOUND: Final = 110.0
"""The most seconds of one side."""
SLOTS: Final = 100
FEW: Final = 10
JOBS: Final = 10_000

Measure = Callable[[Tables, Case], Awaitable[Figures]]


@dataclass(frozen=True, slots=True)
class Row:
    """The two sides, and with what they are measured."""

    case: Case
    elihu: Measure
    bound: Measure


def beside_loop(hop: Measure) -> Measure:
    """The rate of jobs that take as long as one in the event loop and one bare hop."""

    async def measure(tables: Tables, case: Case) -> Figures:
        async with new_tables(tables.url) as others:
            in_loop = await off_loop.ours(off_loop.in_loop)(others, case)
        bare = await hop(tables, case)
        return rate(1, sum(1 / figures["jobs_per_second"] for figures in (in_loop, bare)))

    return measure


_PLAIN: Final = Case(slots=SLOTS, jobs=JOBS)
_AHEAD: Final = Case(slots=FEW, jobs=JOBS, prefetch=100)
ROWS: Final = {
    "threads": Row(_PLAIN, off_loop.ours(off_loop.in_thread), beside_loop(off_loop.thread_pool)),
    "threads ahead": Row(_AHEAD, off_loop.ours(off_loop.in_thread), off_loop.thread_pool),
    "processes": Row(_PLAIN, off_loop.ours(off_loop.in_process), beside_loop(off_loop.round_trip)),
    "processes ahead": Row(_AHEAD, off_loop.ours(off_loop.in_process), off_loop.round_trip),
    "relay": Row(Case(jobs=60, worker=latency.ELSEWHERE), relay.ours, latency.ours),
    "gather": Row(Case(slots=SLOTS, jobs=gather.JOBS), gather.ours, gather.drained),
    "stage": Row(Case(jobs=stager.DUE), stager.staged, stager.wanted),
    "delay": Row(Case(slots=SLOTS, jobs=stager.DELAYED), stager.delayed, stager.wanted_start),
}


async def main(row: Row, side: str, url: str, most: int) -> None:
    """Print the figures of one side."""
    measure = row.elihu if side == "elihu" else row.bound
    slots = row.case.slots and max(1, min(row.case.slots, most // 4))
    case = Case(
        jobs=max(min(row.case.jobs, most), slots or 1),
        slots=slots,
        worker=row.case.worker,
        prefetch=row.case.prefetch,
    )
    async with new_tables(url) as tables, asyncio.timeout(BOUND):
        print(json.dumps(await measure(tables, case)), flush=True)


if __name__ == "__main__":
    run(main(ROWS[sys.argv[1]], sys.argv[2], sys.argv[3], int(sys.argv[4])))
