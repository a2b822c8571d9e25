"""What the running attempt waits for: its waits for other jobs are seen by its node."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol


class AttemptWaits:
    """``jobs`` are the ids of the jobs that one attempt waits for. ``blocked`` is what
    its node found: that the slots which would run them are held by such waits.
    """

    __slots__ = ("blocked", "jobs")

    def __init__(self) -> None:
        self.jobs: dict[int, int] = {}
        self.blocked: str | None = None


class WaitingAttempt(Protocol):
    """An attempt, which makes its waits when they are first asked for."""

    @property
    def waits(self) -> AttemptWaits: ...


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
    for job_id in ids:
        waits.jobs[job_id] = waits.jobs.get(job_id, 0) + 1
    try:
        yield waits
    finally:
        for job_id in ids:
            left = waits.jobs[job_id] - 1
            if left:
                waits.jobs[job_id] = left
            else:
                del waits.jobs[job_id]
        if not waits.jobs:
            waits.blocked = None
