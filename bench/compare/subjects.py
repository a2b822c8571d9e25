"""What is compared: cases, who takes part in each, and with how many jobs."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.compare import measure
from bench.compare.bounds import BOUNDS, MOST, Bound
from bench.compare.contestants import BOUND, ELIHU, LIMIT, OWN, Contestant
from bench.compare.measure import Figures
from bench.compare.processes import Side

SERVERS: Final = ("postgresql", "redis")
"""Engines that are compared with each other: both are servers."""
FILE: Final = ("sqlite",)
ANY: Final = (*SERVERS, *FILE)
NO_ENGINE: Final = "-"

INSERTS: Final = {1: (2_000, 1_500), 10: (8_000, 3_000), 100: (20_000, 4_000)}
"""By callers: the jobs of Elihu and plain SQL, and of a peer."""
BULK: Final = 50_000
DRAIN: Final = 30_000
LATENCY: Final = 100
IDLE: Final = 20.0
"""Seconds."""
FINISHED: Final = 1_000_000
SCHEDULED: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the comparison, or more if it has several figures.

    ``engines`` are those that are compared with each other; the first names the row.
    ``together`` measures all sides at the same time, for what loads no machine.
    """

    subject: str
    engines: Sequence[str]
    setting: str
    takes_part: Callable[[Contestant], bool]
    measure: Callable[[Side], Awaitable[Figures]]
    together: bool = False

    @property
    def name(self) -> str:
        """The subject and the setting."""
        return f"{self.subject}, {self.setting}" if self.setting else self.subject

    @property
    def engine(self) -> str:
        """The engine as the report names it."""
        return NO_ENGINE if self.engines == ANY else self.engines[0]

    def engine_of(self, contestant: Contestant) -> str:
        """The engine on which this contestant is measured."""
        return next(each for each in self.engines if each in contestant.engines)


def cases(subject: str, limit: int | None = None) -> Sequence[Case]:
    """The cases of one subject. ``limit`` is the most jobs of a measurement."""
    return SUBJECTS[subject](partial(at_most, limit))


Count = Callable[[int], int]


def at_most(limit: int | None, jobs: int) -> int:
    """A number of jobs, bounded."""
    return jobs if limit is None else min(jobs, limit)


def scaled(jobs: int, side: Side) -> int:
    """The jobs for a side, fewer for a slow one."""
    return jobs // side.contestant.scale


def drain(
    side: Side, jobs: int, slots: int, processes: int = 1, kind: str = "", rows: int = 0
) -> Awaitable[Figures]:
    """A drain of at least four rounds of slots: of fewer jobs there is no rate."""
    return measure.drain(
        side, jobs, max(1, min(slots, jobs // processes // 4)), processes, kind, rows
    )


def on(engines: Sequence[str]) -> Callable[[Contestant], bool]:
    """Who is measured on one of these engines."""
    return lambda contestant: (
        contestant is not BOUND and bool(set(engines) & set(contestant.engines))
    )


def inserts(count: Count) -> Sequence[Case]:
    """Single inserts."""

    def case(engines: Sequence[str], callers: int) -> Case:
        def run(side: Side) -> Awaitable[Figures]:
            own, peer = INSERTS[callers]
            jobs = own if side.contestant.name in OWN else peer
            return measure.insert(side, count(jobs), callers)

        return Case(
            subject="insert",
            engines=engines,
            setting=f"{callers} caller{'s' if callers > 1 else ''}",
            takes_part=lambda each: on(engines)(each) and callers in each.callers,
            measure=run,
        )

    return [*(case(SERVERS, callers) for callers in INSERTS), case(FILE, 1)]


def bulks(count: Count) -> Sequence[Case]:
    """Bulk inserts."""

    def run(side: Side) -> Awaitable[Figures]:
        return measure.bulk(side, count(max(scaled(BULK, side), 5_000)))

    return [
        Case(subject="bulk", engines=engines, setting="", takes_part=on(engines), measure=run)
        for engines in (SERVERS, FILE)
    ]


def drains(count: Count) -> Sequence[Case]:
    """One process: each at its best, then those that gain by slots at equal slots."""

    def at(slots: int) -> Callable[[Side], Awaitable[Figures]]:
        return lambda side: drain(side, count(scaled(DRAIN, side)), slots)

    def best(side: Side) -> Awaitable[Figures]:
        return drain(side, count(scaled(DRAIN, side)), side.contestant.slots)

    def gains(engines: Sequence[str]) -> Callable[[Contestant], bool]:
        return lambda each: on(engines)(each) and each.slots > 100

    return [
        case
        for engines in (SERVERS, FILE)
        for case in (
            Case(
                subject="drain",
                engines=engines,
                setting="best slots of each",
                takes_part=on(engines),
                measure=best,
            ),
            *(
                Case(
                    subject="drain",
                    engines=engines,
                    setting=f"{slots} slots",
                    takes_part=gains(engines),
                    measure=at(slots),
                )
                for slots in (10, 100, 500)
            ),
        )
    ]


def two_processes(count: Count) -> Sequence[Case]:
    """Two workers."""

    def run(side: Side) -> Awaitable[Figures]:
        return drain(side, count(2 * scaled(DRAIN, side)), side.contestant.slots, 2)

    return [
        Case(
            subject="drain",
            engines=engines,
            setting="2 processes, best slots of each",
            takes_part=on(engines),
            measure=run,
        )
        for engines in (SERVERS, FILE)
    ]


def large(count: Count) -> Sequence[Case]:
    """One process beside many other jobs."""

    def case(kind: str, rows: int) -> Case:
        def run(side: Side) -> Awaitable[Figures]:
            return drain(
                side, count(scaled(DRAIN, side)), side.contestant.slots, 1, kind, count(rows)
            )

        return Case(
            subject="drain",
            engines=SERVERS[:1],
            setting=f"beside {count(rows):,} {kind} jobs",
            takes_part=on(["postgresql"]),
            measure=run,
        )

    return [case("finished", FINISHED), case("scheduled", SCHEDULED)]


def latencies(count: Count) -> Sequence[Case]:
    """An idle worker in another process."""
    return [
        Case(
            subject="latency",
            engines=engines,
            setting="to an idle worker of another process",
            takes_part=on(engines),
            measure=lambda side: measure.latency(side, count(LATENCY)),
        )
        for engines in (SERVERS, FILE)
    ]


def idles(count: Count) -> Sequence[Case]:
    """A worker without jobs."""
    return [
        Case(
            subject="idle",
            engines=SERVERS,
            setting="1 worker",
            takes_part=lambda each: on(SERVERS)(each) and each.name != LIMIT,
            measure=lambda side: measure.idle(side, min(IDLE, float(count(int(IDLE))))),
            together=True,
        )
    ]


def starts(_count: Count) -> Sequence[Case]:
    """Interpreters; the limit is one that does nothing."""
    return [
        Case(
            subject="start",
            engines=ANY,
            setting="",
            takes_part=on(ANY),
            measure=measure.start,
        )
    ]


def own_bounds(count: Count) -> Sequence[Case]:
    """Elihu beside its own bounds, on both engines."""

    def case(bound: Bound, engine: str) -> Case:
        return Case(
            subject=bound.name,
            engines=(engine,),
            setting="",
            takes_part=lambda each: each in {ELIHU, BOUND},
            measure=lambda side: bound.measure(side, count(MOST)),
        )

    return [case(bound, engine) for engine in ("postgresql", "sqlite") for bound in BOUNDS]


SUBJECTS: Final[dict[str, Callable[[Count], Sequence[Case]]]] = {
    "insert": inserts,
    "bulk": bulks,
    "drain": drains,
    "processes": two_processes,
    "latency": latencies,
    "idle": idles,
    "start": starts,
    "bounds": own_bounds,
    "large": large,
}
DEFAULT: Final = tuple(name for name in SUBJECTS if name != "large")
