"""What is known when an experiment is over, as values. Times are Unix seconds of this
machine's clock.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class StoredJob(NamedTuple):
    """A row of ``job``; ``key`` is what its producer called it."""

    id: int
    key: str
    state: str
    claim: int
    reason: str | None


class StoredRun(NamedTuple):
    """A row of ``run``."""

    job_id: int
    claim: int
    result: str
    node: str | None


class Change(NamedTuple):
    """One change of a job's state or claim, as the database itself recorded it, in
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
    """What the task itself wrote: ``end`` is None where the process did not come to it."""

    job_id: int
    claim: int
    key: str
    pid: int
    node: str
    begin: float
    end: float | None


class Injury(NamedTuple):
    """What was done, on purpose, to process ``pid`` (None: to all) at ``at``; see
    ``Harm``.
    """

    harm: str
    pid: int | None
    at: float


class Harm:
    """The kinds of injuries."""

    KILL = "kill"
    """SIGKILL: the process is gone from then on."""
    DIED = "died"
    """It killed itself at a fail point; ``at`` is when that was noticed."""
    FREEZE = "freeze"
    """SIGSTOP."""
    CUT = "cut"
    """No way to the database, for longer than it takes to be taken for dead."""
    STOP = "stop"
    """SIGTERM: running attempts may be given back."""


class Burial(NamedTuple):
    """Node ``dead`` was found dead."""

    dead: str
    at: float


class Recovery(NamedTuple):
    """How long something took to work again, and how long it may take."""

    what: str
    seconds: float
    bound: float


class Answer(NamedTuple):
    """What a wait for the job of this key came to, and whether that is right."""

    key: str
    right: bool
    got: str


class Wish(NamedTuple):
    """Somebody asked to ``cancel``, ``kill`` or ``stop`` a job, between two moments,
    and was told whether that changed anything.
    """

    job_id: int
    verb: str
    asked: float
    done: float
    changed: bool


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything that the checker judges. ``acknowledged`` are (key, job id) pairs,
    ``effects`` (job id, claim) pairs with their key.

    ``bound`` are the keys of jobs that were stored in a transaction of their
    producer's, if at all, and ``beside`` the keys of the rows that the same
    transactions left. ``awaited`` are the keys of jobs for each of which somebody
    waited once, ``timed`` those of jobs whose first attempt outlasts its time, ``due``
    those of ticks that must have been fired, ``once`` those of jobs whose effect and
    whose end are one transaction.
    """

    intended: set[str] = field(default_factory=set)
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    jobs: list[StoredJob] = field(default_factory=list)
    runs: list[StoredRun] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    effects: list[tuple[int, int, str]] = field(default_factory=list)
    injuries: list[Injury] = field(default_factory=list)
    nodes: dict[str, int] = field(default_factory=dict)
    burials: list[Burial] = field(default_factory=list)
    elections: list[tuple[float, str]] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    once: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)
    timed: set[str] = field(default_factory=set)
    awaited: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)
    beside: set[str] = field(default_factory=set)
