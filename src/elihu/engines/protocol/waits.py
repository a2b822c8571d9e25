"""Waiting for ends."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from elihu.job import Job, JobState, RunOutcome


class Wait(NamedTuple):
    """A wait for the end of a job, or, unless ``only_job``, for the end of an attempt
    whose claim is above ``since``.
    """

    id: int
    since: int
    only_job: bool


class JobEnd(NamedTuple):
    """The end for the wait at this ``place`` of the request.

    ``state`` is the job's, None where the job is gone. ``value`` is the result as JSON
    text, None where none is stored. ``outcome`` to ``traceback`` are of the attempt that
    ended. Unless ``whole``, there was no room for the value, or it may still be added:
    ask again.
    """

    place: int
    state: JobState | None
    claim: int | None
    reason: str | None
    value: str | None
    outcome: RunOutcome | None
    run_reason: str | None
    error: str | None
    error_type: str | None
    traceback: str | None
    whole: bool


class LateResult(NamedTuple):
    """The result of a completed attempt, to be added to its job: JSON text, or the reason
    why there is none and the type of the error for it.
    """

    id: int
    claim: int
    value: str | None
    reason: str | None
    error_type: str | None


class AwaitedJob(NamedTuple):
    """A job that is awaited now, and the claim above which the ends of attempts count."""

    job: Job
    since: int


class Waits(Protocol):
    """Waiting for ends."""

    async def attach(self, ids: Sequence[int]) -> list[AwaitedJob]:
        """Mark these jobs as awaited and return them. Jobs that are gone, or that another
        transaction holds, are left out.
        """
        ...

    async def add_results(self, results: Sequence[LateResult]) -> None:
        """Add results to jobs that completed without one, under the guard (id, claim)."""
        ...

    async def ends(self, pending: Sequence[Wait], room: int) -> list[JobEnd]:
        """The ends of those waits in ``pending`` that have one, with at most about
        ``room`` bytes of results.
        """
        ...
