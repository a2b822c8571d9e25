"""What the running attempt waits for: its waits for other jobs are seen by its node."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol


class AttemptWaits:
    """``jobs`` are the ids of the jobs that one attempt waits for. ``blocked`` is what
    its node found: that the slots which would run them are held by such waits.
    ``on_blocked`` is called with it.
    """

    def __init__(self) -> None:
        self.jobs: dict[int, int] = {}
        self.blocked: str | None = None
        self.on_blocked: Callable[[str], None] | None = None

    def begin(self, ids: Sequence[int]) -> None:
        """The attempt waits for these jobs."""
        for job_id in ids:
            self.jobs[job_id] = self.jobs.get(job_id, 0) + 1

    def end(self, ids: Sequence[int]) -> None:
        """It no longer does."""
        for job_id in ids:
            left = self.jobs[job_id] - 1
            if left:
                self.jobs[job_id] = left
            else:
                del self.jobs[job_id]
        if not self.jobs:
            self.blocked = None

    def report(self, blocked: str) -> None:
        """Note what the node found."""
        if self.blocked != blocked:
            self.blocked = blocked
            if self.on_blocked is not None:
                self.on_blocked(blocked)

    def hint(self) -> str | None:
        """What the node found of the present waits."""
        return self.blocked


class WaitingAttempt(Protocol):
    """An attempt, which makes its waits when they are first asked for."""

    @property
    def waits(self) -> AttemptWaits: ...

    @property
    def log_fields(self) -> Mapping[str, Any]:
        """What log records that are made in it carry."""


current_attempt: Final[ContextVar[WaitingAttempt | None]] = ContextVar(
    "elihu.attempt", default=None
)
"""The attempt that runs in this context, None outside of one."""


@contextmanager
def waiting_for(ids: Iterable[int]) -> Iterator[AttemptWaits | None]:
    """The running attempt, if this is in one, waits for these jobs meanwhile."""
    attempt = current_attempt.get()
    if attempt is None:
        yield None
        return
    waits = attempt.waits
    ids = list(ids)
    waits.begin(ids)
    try:
        yield waits
    finally:
        waits.end(ids)
