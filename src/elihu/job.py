"""Jobs and runs as values, and the one table of a job's legal states."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class JobState(StrEnum):
    """Where a job is in its life; see ``TRANSITIONS`` for the ways between them."""

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


class Intent(StrEnum):
    """What somebody asked of a job while it was executing."""

    CANCEL = "cancel"
    KILL = "kill"
    """End the attempt; the job is tried again. Never takes the place of a wish to
    cancel.
    """


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One stored request to run a task once, as it was when it was read.

    ``args`` are the keywords of the task as plain JSON values, ``priority`` runs from 0
    (first) to 9 (last), every time is in UTC, and ``conflict`` is true when an enqueue
    met this job in place of making a new one. ``template`` is the code of the job kind
    it was made from, ``identifier`` its caller's own name for it, ``expires_at`` when
    it ends unless it has started.
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
    conflict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt to execute a job; ``result`` is None while it runs.

    Its id is ``JOB.CLAIM``: an attempt that was given back repeats its number, a claim
    never does.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be stored: validated, with its JSON already written.

    ``args``, ``options`` and ``meta`` are JSON texts. ``run_at`` and ``delay``
    (seconds) exclude each other. ``unique_key`` is the digest of what must be unique,
    before the database adds the window of ``unique_period`` (seconds); ``unique_scope``
    is 0 for incomplete jobs, 1 for these and completed ones, 2 for all. ``expires``
    (seconds after the time it is due) ends a job that has not started by then;
    ``awaited`` keeps its result and announces its end. ``template`` is the code of the
    job kind it was made from, ``identifier`` the caller's own name for it, unique among
    stored jobs. Without ``notify`` its queue is not announced: nodes find it when they
    next look. ``replace`` are the fields that a waiting job with the same unique key
    takes from it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a verb means: each field is None (any) or the values allowed; ``tags``
    match when one is shared.
    """

    ids: tuple[int, ...] | None = None
    state: tuple[JobState, ...] | None = None
    queue: tuple[str, ...] | None = None
    task: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    template: tuple[str, ...] | None = None
    node: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobChanges:
    """What ``update`` changes in an unfinished job; a field that is None stays as it
    is.
    """

    args: str | None = None
    queue: str | None = None
    priority: int | None = None
    run_at: datetime | None = None
    max_attempts: int | None = None
    tags: tuple[str, ...] | None = None
    meta: str | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of jobs, newest first; ``next`` is what ``after=`` takes for the
    following page, or None at the end.
    """

    items: list[Job] = field(default_factory=list)
    next: int | None = None
