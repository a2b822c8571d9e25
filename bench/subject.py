"""Subjects of measurement: cases, and for each the figures of Elihu and of plain SQL."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.tables import Tables
from elihu.config.slots import Slots

Figures = Mapping[str, float]
"""Value by unit: ``jobs_per_second``, ``p50_ms``, ``p99_ms``, ``seconds``, and
``node_mib`` and ``supervisor_mib`` of memory.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line; None means the subject's own."""

    jobs: int | None = None
    slots: int | None = None
    callers: int | None = None
    mib: int | None = None
    prefetch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One setting of a subject: how many jobs, by how many slots or callers, where the
    worker is, how much each job prints, and how many claims wait for slots.
    """

    jobs: int
    slots: int | None = None
    callers: int | None = None
    worker: str | None = None
    mib: int | None = None
    prefetch: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """``ours`` and ``limit`` each measure a case on empty tables; ``beside`` names the
    latter, which may lack a unit.
    """

    name: str
    cases: Callable[[Options], Sequence[Case]]
    ours: Callable[[Tables, Case], Awaitable[Figures]]
    limit: Callable[[Tables, Case], Awaitable[Figures]]
    beside: str = "limit"


def slots_of(case: Case) -> int:
    """The slots of a case's queue, one where it has none, with its ``prefetch``."""
    return Slots(case.slots or 1, case.prefetch or 0)


def rate(jobs: int, seconds: float) -> Figures:
    """The rate of so many jobs in so many seconds."""
    return {"jobs_per_second": jobs / seconds}


def expect(what: str, expected: int, got: int) -> None:
    """Raise ``RuntimeError`` if a measurement did not do its work."""
    if got != expected:
        raise RuntimeError(f"{what}: expected {expected:,}, got {got:,}")
