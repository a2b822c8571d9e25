"""What people read: bounded in time, however large the tables are."""

from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from elihu.job import JobFilter, JobSummary

SCANNED: Final = 5_000
"""Jobs that one page of summaries reads at most."""


class View(NamedTuple):
    """An order in which an index serves jobs: ``condition`` and ``order`` are constant SQL
    of both engines. ``served_by`` is that index.
    """

    condition: str
    order: tuple[str, ...]
    descending: bool
    served_by: str | None


_FINISHED: Final = "state IN ('completed','discarded','cancelled')"


def _failed(state: str) -> View:
    condition = f"state = '{state}' AND state IN ('discarded','cancelled')"
    return View(condition, ("finished_at", "id"), True, "job_failed")


VIEWS: Final = {
    "newest": View("true", ("id",), True, None),
    "suspended": View("state = 'suspended'", ("id",), True, "job_suspended"),
    "available": View(
        "state = 'available'", ("queue", "priority", "scheduled_at", "id"), False, "job_fetch"
    ),
    "scheduled": View(
        "state IN ('scheduled','retryable')", ("scheduled_at", "id"), False, "job_stage"
    ),
    "executing": View("state = 'executing'", ("id",), True, "job_running"),
    "completed": View(
        f"prune_at IS NOT NULL AND {_FINISHED}", ("prune_at", "id"), True, "job_prune"
    ),
    "reviewed": View(
        f"state = 'completed' AND prune_at IS NULL AND {_FINISHED}",
        ("finished_at", "id"),
        True,
        "job_finished",
    ),
    "discarded": _failed("discarded"),
    "cancelled": _failed("cancelled"),
}
"""The views by name. ``newest``, ``scheduled`` and ``completed`` have jobs of several
states, and need a filter of states. ``reviewed`` are the completed jobs that are in no
order of pruning, since the retention was changed after their end.
"""
MIXED: Final = frozenset({"newest", "scheduled", "completed"})

Place = tuple[Any, ...]
"""The values of a view's order columns in one row."""


class SummaryPage(NamedTuple):
    """At most ``limit`` summaries, and the place to read on from: None at the end of the
    view. A page may be short, or empty, and not the last.
    """

    items: list[JobSummary]
    next: Place | None


class Failure(NamedTuple):
    """A job whose last attempt failed."""

    id: int
    task: str
    queue: str
    state: str
    at: datetime
    error_type: str | None
    error: str | None


class Reads(Protocol):
    """Reads for people."""

    async def summaries(
        self, view: str, where: JobFilter, after: Place | None, limit: int
    ) -> SummaryPage:
        """A page of a view. It reads at most ``SCANNED`` jobs."""
        ...

    async def state_counts(self, most: int) -> dict[str, int]:
        """The number of jobs of each state. A number above ``most`` means that there may
        be more.
        """
        ...

    async def failures(self, limit: int) -> list[Failure]:
        """At most ``limit`` jobs whose last attempt failed, newest first."""
        ...

    async def durations(self, task: str, limit: int) -> list[float]:
        """How many seconds the last completed attempts of a task took, newest first, as
        far as they are among the latest ``SCANNED`` completed jobs.
        """
        ...
