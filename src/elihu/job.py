"""Jobs and runs as values, and the table of legal state changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class JobState(StrEnum):
    """The state of a job. ``TRANSITIONS`` are the legal changes."""

    SUSPENDED = "suspended"
    SCHEDULED = "scheduled"
    AVAILABLE = "available"
    EXECUTING = "executing"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    DISCARDED = "discarded"
    CANCELLED = "cancelled"


class RunOutcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    KILLED = "killed"
    TIMED_OUT = "timed_out"
    ORPHANED = "orphaned"
    CANCELLED = "cancelled"
    SNOOZED = "snoozed"
    STOPPED = "stopped"
    RETURNED = "returned"


FAILURES: Final = frozenset(
    {RunOutcome.FAILED, RunOutcome.KILLED, RunOutcome.TIMED_OUT, RunOutcome.ORPHANED}
)
"""The outcomes of attempts that went wrong."""


class Intent(StrEnum):
    """What was asked of a job while it was executing."""

    CANCEL = "cancel"
    KILL = "kill"
    """End the attempt; the job is retried. Never replaces ``CANCEL``."""


FINISHED: Final = frozenset({JobState.COMPLETED, JobState.DISCARDED, JobState.CANCELLED})
INCOMPLETE: Final = frozenset(JobState) - FINISHED

TRANSITIONS: Final[Mapping[JobState, frozenset[JobState]]] = MappingProxyType(
    {
        JobState.SUSPENDED: frozenset({JobState.AVAILABLE, JobState.SCHEDULED, JobState.CANCELLED}),
        JobState.SCHEDULED: frozenset({JobState.AVAILABLE, JobState.SUSPENDED, JobState.CANCELLED}),
        JobState.AVAILABLE: frozenset(
            {JobState.EXECUTING, JobState.SCHEDULED, JobState.SUSPENDED, JobState.CANCELLED}
        ),
        JobState.EXECUTING: frozenset(
            {
                JobState.COMPLETED,
                JobState.DISCARDED,
                JobState.CANCELLED,
                JobState.RETRYABLE,
                JobState.SCHEDULED,
                JobState.AVAILABLE,
            }
        ),
        JobState.RETRYABLE: frozenset(
            {JobState.AVAILABLE, JobState.SCHEDULED, JobState.SUSPENDED, JobState.CANCELLED}
        ),
        JobState.COMPLETED: frozenset({JobState.AVAILABLE}),
        JobState.DISCARDED: frozenset({JobState.AVAILABLE}),
        JobState.CANCELLED: frozenset({JobState.AVAILABLE}),
    }
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One stored request to run a task once, as it was when read.

    ``args`` are the task's keywords as plain JSON values. ``priority`` is 0 (first) to 9
    (last). Times are in UTC. ``conflict`` is true if an enqueue met this job and stored
    no new one. ``template`` is the code of its template, ``identifier`` the caller's own
    name for it. A job that has not started by ``expires_at`` is cancelled.
    ``occurrence`` is the time of the tick for which a cron entry made the job; retries
    and snoozes do not move it.
    """

    id: int
    state: JobState
    queue: str
    task: str
    args: Mapping[str, Any]
    meta: Mapping[str, Any]
    tags: tuple[str, ...]
    priority: int
    attempt: int
    max_attempts: int
    unique_key: str | None
    inserted_at: datetime
    scheduled_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str | None = None
    result: Any = None
    progress: Mapping[str, Any] | None = None
    node: str | None = None
    template: str | None = None
    identifier: str | None = None
    expires_at: datetime | None = None
    occurrence: datetime | None = None
    conflict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """A job in a list: without arguments, result, progress and ``meta``. ``reason`` is cut
    after 300 characters.
    """

    id: int
    state: JobState
    queue: str
    task: str
    tags: tuple[str, ...]
    priority: int
    attempt: int
    max_attempts: int
    inserted_at: datetime
    scheduled_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str | None = None
    node: str | None = None
    template: str | None = None
    identifier: str | None = None
    expires_at: datetime | None = None
    occurrence: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt to execute a job. ``outcome`` is None while it runs.

    Its id is ``JOB.CLAIM``. A returned attempt repeats its number; a claim number is
    never repeated.
    """

    id: str
    job_id: int
    claim: int
    attempt: int
    node: str | None
    started_at: datetime
    ended_at: datetime | None = None
    outcome: RunOutcome | None = None
    reason: str | None = None
    error: str | None = None
    traceback: str | None = None
    log: str | None = None


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job to be stored: validated, with its JSON already written.

    ``args``, ``options`` and ``meta`` are JSON texts. ``run_at`` and ``delay``
    (seconds) exclude each other. ``unique_key`` is the digest of the unique fields; the
    database adds the window of ``unique_period`` (seconds). ``unique_scope`` is 0 for
    incomplete jobs, 1 for these and completed ones, 2 for all. A job that has not
    started ``expires`` seconds after it is due is cancelled. ``awaited`` stores its
    result and announces its end. ``template`` is the code of its template,
    ``identifier`` the caller's own name for it, unique among stored jobs. Without
    ``notify`` its queue is not announced: nodes find the job at their next poll. An
    existing job with the same unique key takes over the fields ``replace``.
    """

    task: str
    args: str = "{}"
    queue: str = "default"
    priority: int = 0
    max_attempts: int = 20
    options: str | None = None
    meta: str | None = None
    tags: tuple[str, ...] = ()
    run_at: datetime | None = None
    delay: float | None = None
    hold: bool = False
    unique_key: bytes | None = None
    unique_scope: int | None = None
    unique_period: float | None = None
    expires: float | None = None
    awaited: bool = False
    template: str | None = None
    identifier: str | None = None
    notify: bool = True
    replace: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it is due at once, and no other job can be in its way."""
        return (
            self.unique_key is None
            and self.identifier is None
            and self.run_at is None
            and self.delay is None
            and self.expires is None
            and not self.hold
        )

    def with_args(self, args: str) -> "NewJob":
        """The same job with other arguments. A frozen class sets each of its fields by a
        call, and bulk inserts make many jobs of one kind.
        """
        new = object.__new__(NewJob)
        vars(new).update(vars(self), args=args)
        return new


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """The jobs that a verb applies to. A field is None (any) or the allowed values.
    ``tags`` match if one of them is shared. ``since`` is the earliest ``inserted_at``, and
    ``not_queue`` are the queues that are left out.
    """

    ids: tuple[int, ...] | None = None
    state: tuple[JobState, ...] | None = None
    queue: tuple[str, ...] | None = None
    task: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    template: tuple[str, ...] | None = None
    node: tuple[str, ...] | None = None
    since: datetime | None = None
    not_queue: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanges:
    """What ``update`` changes in an unfinished job. None leaves a field unchanged."""

    args: str | None = None
    queue: str | None = None
    priority: int | None = None
    run_at: datetime | None = None
    max_attempts: int | None = None
    tags: tuple[str, ...] | None = None
    meta: str | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of jobs, newest first. ``next`` is ``after=`` for the next page, None at
    the end.
    """

    items: list[Job] = field(default_factory=list)
    next: int | None = None
