"""Elihu beside its own bounds: what a job costs off the event loop, what a wait costs, and
what other rows in the table cost.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.compare import measure
from bench.compare.contestants import ELIHU, OURS
from bench.compare.measure import Figures
from bench.compare.processes import Side, program

MOST: Final = 1_000_000
DRAIN: Final = 20_000
Measure = Callable[[Side, int], Awaitable[Figures]]
"""The figures of one side, with at most so many jobs."""
UNITS: Final = {
    "jobs_per_second": "jobs/s",
    "seconds": "s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "latest_ms": "latest ms",
}


@dataclass(frozen=True, slots=True)
class Bound:
    """What stands in the table beside the figures: what the bound is, and the least ratio
    that is wanted, by unit.
    """

    name: str
    text: str
    wanted: Mapping[str, float]
    measure: Measure


def row(name: str) -> Measure:
    """One side of a row of ``bench.bounds``, which makes tables of its own in the database."""

    async def figures(side: Side, most: int) -> Figures:
        which = OURS if side.contestant.name == OURS else "bound"
        command = [side.python, "-m", "bench.bounds", name, which]
        async with (
            Side(ELIHU, side.server, side.python).fresh() as url,
            program([*command, url, str(most)]) as running,
        ):
            answer = json.loads(await running.line())
            await running.wait()
        return {UNITS[unit]: value for unit, value in answer.items()}

    return figures


def drain(kind: str, rows: int) -> Measure:
    """A drain beside other rows; the bound is a drain of a clean table."""

    async def figures(side: Side, most: int) -> Figures:
        jobs = min(DRAIN, most)
        beside = min(rows, most)
        own = Side(ELIHU, side.server, side.python)
        slots = max(1, min(ELIHU.slots, jobs // 4))
        if side.contestant.name == OURS:
            return await measure.drain(own, jobs, slots, 1, kind, beside)
        return await measure.drain(own, jobs, slots)

    return figures


_HOP: Final = "1 ÷ (1 ÷ the same jobs in the event loop + 1 ÷ a bare hop)"
BOUNDS: Final = (
    Bound("thread tasks, 100 slots", _HOP, {"jobs/s": 0.8}, row("threads")),
    Bound(
        "thread tasks, 10 slots, prefetch 100",
        "a bare hop: a call in a thread pool",
        {"jobs/s": 0.5},
        row("threads ahead"),
    ),
    Bound("process tasks, 100 slots", _HOP, {"jobs/s": 0.8}, row("processes")),
    Bound(
        "process tasks, 10 slots, prefetch 100",
        "a bare hop: a message to a warm process and back",
        {"jobs/s": 0.5},
        row("processes ahead"),
    ),
    Bound(
        "relay, from submit to the value",
        "our latency, from enqueue to start",
        {"p50 ms": 0.5},
        row("relay"),
    ),
    Bound("gather of 10,000 jobs", "a drain of the same jobs", {"s": 2 / 3}, row("gather")),
    Bound("100,000 due jobs staged", "2 s", {"s": 1.0}, row("stage")),
    Bound(
        "start of a job with a delay",
        "one interval of the stager and 50 ms",
        {"latest ms": 1.0},
        row("delay"),
    ),
    Bound(
        "drain beside 1,000,000 finished jobs",
        "a drain of a clean table",
        {"jobs/s": 1.0},
        drain("finished", 1_000_000),
    ),
    Bound(
        "drain beside 100,000 scheduled jobs",
        "a drain of a clean table",
        {"jobs/s": 1.0},
        drain("scheduled", 100_000),
    ),
)
BY_NAME: Final[Mapping[str, Bound]] = {each.name: each for each in BOUNDS}
