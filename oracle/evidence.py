"""What is known at the end of an experiment, as values. Times are Unix seconds by this
machine's clock.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class StoredJob(NamedTuple):
    """A row of ``job``; ``key`` is the name that its enqueuer gave it."""

    id: int
    key: str
    state: str
    claim: int
    reason: str | None


class StoredRun(NamedTuple):
    """A row of ``run``."""

    job_id: int
    claim: int
    outcome: str
    node: str | None


class Change(NamedTuple):
    """One change of a job's state or claim, recorded by a trigger in the database, in
    order; ``before`` is None for an insert.
    """

    job_id: int
    before: str | None
    after: str
    old_claim: int
    claim: int
    node: str | None
    at: float


class Attempt(NamedTuple):
    """What the task itself wrote; ``end`` is None where the process ended first."""

    job_id: int
    claim: int
    key: str
    pid: int
    node: str
    begin: float
    end: float | None


class FaultKind:
    """The kinds of faults that hurt a process."""

    KILL = "kill"
    """SIGKILL: the process is gone from then on."""
    DIED = "died"
    """It killed itself at a failpoint; ``at`` is when that was noticed."""
    FREEZE = "freeze"
    """SIGSTOP."""
    CUT = "cut"
    """No way to the database, for longer than ``dead_after``."""
    STOP = "stop"
    """SIGTERM: running attempts may be returned."""


class Fault(NamedTuple):
    """What the experiment did to process ``pid`` (None: to all) at ``at``; ``kind`` is
    one of ``FaultKind``.
    """

    kind: str
    pid: int | None
    at: float


class Removal(NamedTuple):
    """Node ``dead`` was removed as dead."""

    dead: str
    at: float


class Recovery(NamedTuple):
    """How long something took to work again, and how long it may take, in seconds."""

    what: str
    seconds: float
    bound: float


class Answer(NamedTuple):
    """What a wait for the job of this key returned or raised, and whether that is
    right.
    """

    key: str
    right: bool
    got: str


class Request(NamedTuple):
    """A call of ``jobs.cancel``, ``jobs.kill`` or ``jobs.stop`` between two moments;
    ``changed`` is what it answered.
    """

    job_id: int
    verb: str
    asked: float
    done: float
    changed: bool


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything that the checker judges.

    ``acknowledged``: pairs of key and job id. ``effects``: job id, claim and key.
    ``bound``: keys of jobs that were stored in a transaction of their enqueuer's, if at
    all. ``beside``: keys of the rows that the same transactions left. ``awaited``: keys
    of jobs with exactly one wait each. ``timed``: keys of jobs whose first attempt
    outlasts its timeout. ``due``: keys of ticks that must have been fired. ``once``:
    keys of jobs whose effect and end are one transaction.
    """

    intended: set[str] = field(default_factory=set)
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    jobs: list[StoredJob] = field(default_factory=list)
    runs: list[StoredRun] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    effects: list[tuple[int, int, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    nodes: dict[str, int] = field(default_factory=dict)
    removals: list[Removal] = field(default_factory=list)
    elections: list[tuple[float, str]] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    once: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)
    timed: set[str] = field(default_factory=set)
    awaited: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)
    beside: set[str] = field(default_factory=set)
