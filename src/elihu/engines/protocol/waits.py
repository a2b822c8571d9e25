"""Waiting for ends: the values that cross ``Engine``."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from elihu.job import Job, JobState, RunOutcome


class Wait(NamedTuple):
    """Somebody waits for a job's end, or, unless ``only_job``, for that of an attempt
    whose claim comes after ``since``.
    """

    id: int
    since: int
    only_job: bool


class JobEnd(NamedTuple):
    """What a wait, that in this ``place`` of those asked for, has come to.

    ``state`` is the job's, None where it is gone; ``value`` the result's JSON text,
    None where none is kept; ``outcome`` to ``traceback`` tell of the attempt that
    ended. Where not ``whole``, there was no room for the value, or it may still be
    added: ask again.
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
    """The result of a completed attempt, to be added to its job: JSON text, or why
    there is none and the type of the error that says so.
    """

    id: int
    claim: int
    value: str | None
    reason: str | None
    error_type: str | None


class AwaitedJob(NamedTuple):
    """A job that is awaited from now on, and the claim after which ends count."""

    job: Job
    since: int


class Waits(Protocol):
    """The part of ``Engine`` for waits."""

    async def attach(self, ids: Sequence[int]) -> list[AwaitedJob]:
        """Mark these jobs as awaited; those that are gone, or that an open transaction
        holds, do not come back.
        """
        ...

    async def add_results(self, results: Sequence[LateResult]) -> None:
        """Add results to jobs that completed without one in the last moment, under the
        guard (id, claim).
        """
        ...

    async def ends(self, pending: Sequence[Wait], room: int) -> list[JobEnd]:
        """Those of ``pending`` that have come to something, with at most about ``room``
        bytes of results.
        """
        ...
