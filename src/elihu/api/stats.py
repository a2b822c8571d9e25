"""``app.stats``: figures of what runs, ran and failed, each bounded in time."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Final

from elihu.clients.client import Client
from elihu.engines.protocol import Engine
from elihu.engines.protocol.reads import Failure
from elihu.engines.protocol.rollups import BUCKETS, RollUpKey
from elihu.errors import InvalidOption
from elihu.job import JobState
from elihu.options import check_range
from elihu.task import check_name, check_run_at

MOST: Final = 10_000
MOST_FAILURES: Final = 1_000
EXAMPLES: Final = 5
MOST_POINTS: Final = 20_000
_USUAL: Final = 30
_KEYS: Final = ("all", "queue", "task")
_NUMBER: Final = re.compile(r"\d+")
_SHOWN: Final = 200
STEPS: Final = (60, 300, 900, 3_600, 21_600, 86_400)
"""The steps of ``throughput``, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedCount:
    """A number of jobs. ``more`` is true where the count ended at its bound."""

    number: int
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Jobs of one task whose last attempts failed alike, with the ids of the latest ones
    and the first line of the latest error.
    """

    task: str
    error_type: str | None
    error: str
    jobs: int
    first_at: datetime
    last_at: datetime
    ids: tuple[int, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputPoint:
    """The attempts that ended within a step from ``at`` on, of one key (a queue or task;
    None for all) and outcome.

    Times are sums in milliseconds. A histogram's number N counts times below 4**N
    milliseconds that are in no earlier one; the last counts all longer ones.
    """

    at: datetime
    key: str | None
    outcome: str
    jobs: int
    run_ms: int
    wait_ms: int
    run_histogram: tuple[int, ...]
    wait_histogram: tuple[int, ...]


class Stats:
    """Figures. None reads more than a bounded number of rows."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client

    async def counts(self, most: int = MOST) -> dict[JobState, BoundedCount]:
        """The number of jobs of each state, counted up to ``most`` (1 to 1,000,000)."""
        check_range("most", most, 1, 1_000_000)
        found = await (await self._engine()).state_counts(most)
        return {
            state: BoundedCount(
                number=min(found.get(state, 0), most), more=found.get(state, 0) > most
            )
            for state in JobState
        }

    async def failures(
        self, latest: int = MOST_FAILURES, *, examples: int = EXAMPLES
    ) -> list[FailureGroup]:
        """The ``latest`` (1 to 10,000) jobs whose last attempt failed, grouped by task and
        error; the largest group first. Numbers within errors do not tell them apart. A group
        has at most ``examples`` (1 to 10,000) ids of its jobs, the newest first.
        """
        check_range("latest", latest, 1, 10_000)
        check_range("examples", examples, 1, 10_000)
        groups: dict[tuple[str, str | None, str], list[Failure]] = {}
        for failure in await (await self._engine()).failures(latest):
            line = (failure.error or "").strip().split("\n", 1)[0][:_SHOWN]
            key = (failure.task, failure.error_type, _NUMBER.sub("#", line))
            groups.setdefault(key, []).append(failure)
        found = [
            FailureGroup(
                task=task,
                error_type=error_type,
                error=(members[0].error or "").strip().split("\n", 1)[0][:_SHOWN],
                jobs=len(members),
                first_at=members[-1].at,
                last_at=members[0].at,
                ids=tuple(each.id for each in members[:examples]),
            )
            for (task, error_type, _), members in groups.items()
        ]
        return sorted(found, key=lambda group: (-group.jobs, group.task, group.error))

    async def throughput(
        self,
        *,
        since: datetime,
        until: datetime,
        step: int = 60,
        by: RollUpKey = "all",
        queue: str | None = None,
        task: str | None = None,
        histograms: bool = True,
    ) -> list[ThroughputPoint]:
        """The attempts that ended from ``since`` to ``until``, oldest first, in steps of
        60, 300, 900, 3,600, 21,600 or 86,400 seconds.

        Nodes write their counts with each heartbeat. Minutes are kept for two days, hours
        for 90. Without ``histograms``, which take most of the time, those of the points are
        empty. Raises ``InvalidOption``, also where that is more than 20,000 points.
        """
        check_run_at("since", since)
        check_run_at("until", until)
        if step not in STEPS:
            raise InvalidOption(
                f"step: expected {', '.join(map(str, STEPS))} seconds, got {step!r}"
            )
        if by not in _KEYS:
            raise InvalidOption(f"by: expected one of {', '.join(_KEYS)}, got {by!r}")
        rows = await (await self._engine()).rollups(
            since,
            until,
            step,
            by=by,
            queue=None if queue is None else check_name("queue", queue),
            task=None if task is None else check_name("task", task),
            histograms=histograms,
            limit=MOST_POINTS + 1,
        )
        if len(rows) > MOST_POINTS:
            raise InvalidOption(
                f"expected at most {MOST_POINTS:,} points, got more: ask for a longer step or a "
                "shorter time"
            )
        return [
            ThroughputPoint(
                at=row.at,
                key=row.key,
                outcome=row.outcome,
                jobs=row.numbers[0],
                run_ms=row.numbers[1],
                wait_ms=row.numbers[2],
                run_histogram=row.numbers[3 : 3 + BUCKETS],
                wait_histogram=row.numbers[3 + BUCKETS :],
            )
            for row in rows
        ]

    async def usual_time(self, task: str) -> float | None:
        """The median of how many seconds the last 30 completed attempts of a task took;
        None where none is among the latest completed jobs.
        """
        found = await (await self._engine()).durations(check_name("task", task), _USUAL)
        return median(found) if found else None

    async def _engine(self) -> Engine:
        return await self._client().ready()
