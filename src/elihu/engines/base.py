"""The protocol that PostgreSQL and SQLite both fulfil, and the values that cross it.

Every call has a deadline of ``call_timeout`` seconds (migrations have none) and raises only ``DatabaseUnavailable``,
``DatabaseTimeout``, ``DataRefused`` or the errors named with it. Times in rows are the database's own. Nothing here waits
for user code.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from elihu.engines.crons import Crons
from elihu.engines.ends import Attached, End, Late, Wait
from elihu.engines.signals import Notifier, Signal
from elihu.engines.templates import Templates
from elihu.job import Intent, Job, JobChanges, JobFilter, JobState, NewJob, Run, RunResult


class Position(NamedTuple):
    """A place in a queue's order of fetch."""

    priority: int
    scheduled_at: datetime
    id: int


class Claim(NamedTuple):
    """A fetched job: what this node may execute, under the guard (id, node, claim). JSON stays text."""

    id: int
    claim: int
    task: str
    args: str
    attempt: int
    max_attempts: int
    orphans: int
    priority: int
    scheduled_at: datetime
    inserted_at: datetime
    started_at: datetime
    tags: tuple[str, ...]
    options: str | None
    meta: str | None
    unique_key: str | None
    awaited: bool
    template: str | None
    identifier: str | None
    expires_at: datetime | None


class Ack(NamedTuple):
    """The end of an attempt, to be written under the guard.

    ``state`` is where the job goes; ``delay`` is in seconds from now, None leaves ``scheduled_at`` as it is; ``uncount`` is 1
    where the attempt does not count; ``value`` is the result's JSON text; ``error_type`` is the
    type of the error as ``module:qualname``.
    """

    id: int
    claim: int
    result: RunResult
    state: JobState
    delay: float | None = None
    uncount: int = 0
    value: str | None = None
    reason: str | None = None
    error: str | None = None
    traceback: str | None = None
    log: str | None = None
    error_type: str | None = None


class Verdict(StrEnum):
    """Why an acknowledgement did not come back."""

    BUSY = "busy"
    """Still ours, and held by an open transaction: send it again."""
    WRITTEN = "written"
    """This very end stands in the database: an earlier answer was lost."""
    REFUSED = "refused"
    """The claim is somebody else's, or gone."""


class Exchange(NamedTuple):
    """The answer to an exchange: acknowledgements written (id, and whether a relay waits), and jobs claimed, in order of fetch."""

    acked: list[tuple[int, bool]]
    claims: list[Claim]


class Inserted(NamedTuple):
    """A job stored, or, with ``conflict``, the job that holds the unique key, as it is now.

    ``woken`` is its queue where the conflict changed it and it is available.
    """

    id: int
    state: JobState
    inserted_at: datetime
    scheduled_at: datetime
    conflict: bool
    unique_key: str | None
    woken: str | None = None


class Peer(NamedTuple):
    """Another node: ``beat`` moves while it lives (None where the engine itself knows), ``dead`` when the engine found it so."""

    id: str
    beat: int | None
    dead: bool


class Pulse(NamedTuple):
    """The answer to a heartbeat: whether this node's row still stands, the others, and the seconds until the leader's
    lease ends (None: no leader, or the engine cannot tell)."""

    known: bool
    peers: list[Peer]
    lease_ends_in: float | None


class Rescued(NamedTuple):
    """A job whose attempt was ended as orphaned, or given back since its claim never arrived."""

    id: int
    queue: str
    state: JobState
    awaited: bool


class Expired(NamedTuple):
    """A job that did not start in time."""

    id: int
    queue: str
    awaited: bool


class Touched(NamedTuple):
    """What a bulk verb did: how many jobs changed, the queues that have available jobs by it, the nodes that must look, the
    awaited jobs that ended or went by it."""

    changed: int
    queues: frozenset[str]
    nodes: frozenset[str]
    ended: frozenset[int] = frozenset()


class NodeRow(NamedTuple):
    """A node as the database knows it; ``beat_at`` is None where the engine holds a lock in place of a heartbeat."""

    id: str
    name: str
    started_at: datetime
    beat_at: datetime | None
    leader: bool
    running: int
    info: dict[str, object]


class QueueRule(NamedTuple):
    """What was said of a queue to one node, or (``node`` None) to every node: whether it is served, the limit of its jobs at a
    time, and whether it is paused. What is None was not said."""

    queue: str
    node: str | None = None
    served: bool | None = None
    limit: int | None = None
    paused: bool | None = None


class QueueLoad(NamedTuple):
    """How many jobs of a queue a node executes, or (``node`` None) how many are available."""

    queue: str
    node: str | None
    jobs: int


class PruneRule(NamedTuple):
    """Finished jobs in ``state`` older than ``age`` seconds, of one queue or task (None: any) but not of those excepted."""

    state: JobState
    age: float
    queue: str | None = None
    task: str | None = None
    except_queues: tuple[str, ...] = ()
    except_tasks: tuple[str, ...] = ()


class Engine(Crons, Templates, Protocol):
    """One database, from one event loop. ``open`` connects; every other verb may be called by many tasks at once."""

    name: str

    async def open(self, *, make: bool = True) -> None:
        """Connect. Without ``make`` an SQLite file that is not there is not made: ``SchemaOutdated``."""
        ...

    async def close(self) -> None: ...
    def abandon(self) -> None:
        """Let go of threads and connections without waiting: the loop has ended and nobody closed the engine."""
        ...

    # schema
    async def schema_version(self) -> int:
        """The version of the tables in the database; 0 where there are none."""
        ...

    async def migrate(self) -> list[int]:
        """Bring the tables up to date, one process at a time; return the versions applied. Raises ``SchemaTooNew``."""
        ...

    async def check_schema(self) -> None:
        """Raise ``SchemaOutdated`` or ``SchemaTooNew`` unless the tables fit. SQLite makes absent tables instead."""
        ...

    async def installation(self) -> str:
        """The id that these tables were given when they were made."""
        ...

    # the hot path
    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Store all jobs in one transaction, in order; one ``Inserted`` for each. Raises ``IdentifierTaken``, and stores none."""
        ...

    async def exchange(
        self, node: str, queue: str, free: int, acks: Sequence[Ack], *, after: Position | None = None, exclude: Sequence[str] = ()
    ) -> Exchange:
        """Write the ends in ``acks`` and claim at most ``free`` jobs of ``queue`` behind ``after``, leaving out the tasks in
        ``exclude``, in one round trip. A job is in ``acks`` at most once. Waits for no row lock. Claims nothing for a node
        whose row is gone. Raises ``DataRefused`` when a value cannot be stored."""
        ...

    async def verdicts(self, node: str, acks: Sequence[Ack]) -> dict[tuple[int, int], Verdict]:
        """Why these acknowledgements did not come back, by (id, claim)."""
        ...

    async def notify(self, signals: Sequence[Signal]) -> None:
        """Send announcements to other processes."""
        ...

    # what services do
    async def stage(self, limit: int) -> dict[str, int]:
        """Make at most ``limit`` due jobs available, oldest first; the number staged for each queue that has available
        jobs now (0 for those that merely have some)."""
        ...

    async def enlist(self, node: str, name: str, info: dict[str, object]) -> None:
        """Write a new node's row (SQLite: take its lock first). Where no other lives, a first node starts: ``@reboot`` is due."""
        ...

    async def describe(self, node: str, info: dict[str, object]) -> None:
        """Write what the node says of itself now."""
        ...

    async def retire(self, node: str) -> None:
        """Remove the node's row (SQLite: and its lock)."""
        ...

    async def beat(self, node: str) -> Pulse:
        """Raise the node's beat and look at everybody else."""
        ...

    async def peers(self, node: str) -> list[Peer]:
        """The other nodes, without beating."""
        ...

    async def bury(self, node: str, beat: int | None) -> bool:
        """Remove a dead node's row if its beat is still ``beat``; whether it was removed by this call."""
        ...

    async def bury_silent(self, silence: float) -> list[str]:
        """Remove the nodes that gave no sign of life for ``silence`` seconds by the database's clock, or whose lock nobody holds;
        their ids. For one that does not watch them for as long."""
        ...

    async def rescue(self, limit: int) -> list[Rescued]:
        """End at most ``limit`` attempts of nodes that are no more."""
        ...

    async def reconcile(self, node: str, held: Sequence[tuple[int, int]], older_than: float) -> list[Rescued]:
        """Give back, not counted, what is executing in the node's name, was claimed more than ``older_than`` seconds ago
        and is not among the claims held."""
        ...

    async def lead(self, node: str, lease: float) -> bool:
        """Take or renew leadership for ``lease`` seconds; whether the node is the leader now."""
        ...

    async def resign(self, node: str) -> bool:
        """Give leadership up; whether the node had it."""
        ...

    async def intents(self, node: str) -> list[tuple[int, int, Intent]]:
        """(id, claim, wish) of the node's executing jobs of which something was asked."""
        ...

    async def taken(self, node: str, held: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Which of the claims held, (id, claim) each, are no longer the node's own."""
        ...

    async def expire(self, limit: int) -> list[Expired]:
        """Cancel at most ``limit`` jobs that are scheduled or available, never started and past the time to start."""
        ...

    async def record_progress(self, node: str, progress: Sequence[tuple[int, int, str]]) -> None:
        """Store progress, (id, claim, JSON text) each, under the guard."""
        ...

    async def prune(self, rule: PruneRule, limit: int) -> int:
        """Remove at most ``limit`` jobs that the rule covers, with their runs; how many went. An awaited job stays for an hour
        after its end."""
        ...

    # waiting for ends
    async def attach(self, ids: Sequence[int]) -> list[Attached]:
        """Mark these jobs as awaited; those that are gone, or that an open transaction holds, do not come back."""
        ...

    async def keep(self, results: Sequence[Late]) -> None:
        """Add results to jobs that completed without one in the last moment, under the guard (id, claim)."""
        ...

    async def ends(self, waits: Sequence[Wait], room: int) -> list[End]:
        """Those of ``waits`` that have come to something, with at most about ``room`` bytes of results."""
        ...

    # the jobs API
    async def get(self, job_id: int) -> Job | None: ...
    async def identified(self, identifier: str) -> Job | None:
        """The job that has this identifier."""
        ...

    async def find(self, where: JobFilter, after: int | None, limit: int) -> list[Job]:
        """Newest first; ``after`` is the last id of the page before."""
        ...

    async def count(self, where: JobFilter) -> int: ...
    async def counts(self) -> dict[str, dict[str, int]]:
        """queue → state → number."""
        ...

    async def runs(self, job_id: int) -> list[Run]:
        """All attempts by claim, a plainly completed or a running one read from the job row. Empty for an unknown job."""
        ...

    async def cancel(self, where: JobFilter) -> Touched:
        """Cancel what waits; mark what executes with ``Intent.CANCEL``."""
        ...

    async def kill(self, where: JobFilter) -> Touched:
        """Mark what executes with ``Intent.KILL``, where nothing was asked of it yet."""
        ...

    async def stop(self, job_id: int) -> Touched:
        """Take a running job from its node and give it back, not counted. Raises ``JobNotFound`` and ``InvalidTransition``."""
        ...

    async def retry(self, where: JobFilter) -> Touched:
        """Make available, from any state but available and executing. Raises ``UniqueConflict``, and changes nothing of the
        batch, when another job holds the key."""
        ...

    async def delete(self, where: JobFilter) -> Touched:
        """Remove jobs that are not executing, with their runs."""
        ...

    async def hold(self, where: JobFilter) -> Touched: ...
    async def release(self, where: JobFilter) -> Touched: ...
    async def update(self, job_id: int, changes: JobChanges) -> tuple[Job, Touched]:
        """Change an unfinished job that is not executing. Raises ``JobNotFound`` and ``InvalidTransition``."""
        ...

    async def position(self, job_id: int) -> int | None:
        """1 for the next to be fetched of its queue; None unless available. Raises ``JobNotFound``."""
        ...

    async def nodes(self) -> list[NodeRow]: ...

    # queues
    async def queue_rules(self, node: str | None = None) -> list[QueueRule]:
        """What was said to every node, and to ``node`` alone, or where None is given to each; by queue, that to every node first."""
        ...

    async def set_queue(self, rule: QueueRule) -> bool:
        """Say what the rule says, and leave what it does not. Said to every node it ends what was said of the same to single
        ones. False where there is no such node."""
        ...

    async def queue_loads(self) -> list[QueueLoad]:
        """The jobs available and executing, by queue, and of these by node."""
        ...

    def notifier(self, *, eager: bool = False) -> Notifier:
        """A new, unstarted one; ``eager`` is for somebody who waits for what it tells (SQLite: it looks more often)."""
        ...
