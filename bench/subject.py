"""What can be measured: cases, and for each the figures of Elihu and of plain SQL."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.arena import Arena

Figures = Mapping[str, float]
"""Value by unit: ``jobs_per_second``, ``p50_ms``, ``p99_ms``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asked for; None leaves it to the subject."""

    jobs: int | None = None
    slots: int | None = None
    callers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One setting of a subject: how many jobs, executed by so many slots or enqueued by
    so many callers, and where the worker is.
    """

    jobs: int
    slots: int | None = None
    callers: int | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """``ours`` and ``limit`` each measure a case on empty tables of their own;
    ``beside`` says what the latter is.
    """

    name: str
    cases: Callable[[Options], Sequence[Case]]
    ours: Callable[[Arena, Case], Awaitable[Figures]]
    limit: Callable[[Arena, Case], Awaitable[Figures]]
    beside: str = "limit"


def rate(jobs: int, seconds: float) -> Figures:
    """So many jobs in so many seconds."""
    return {"jobs_per_second": jobs / seconds}


def expect(what: str, expected: int, got: int) -> None:
    """Raise ``RuntimeError`` where a measurement did not do what it was to measure."""
    if got != expected:
        raise RuntimeError(f"{what}: expected {expected:,}, got {got:,}")
