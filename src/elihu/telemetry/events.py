"""The types of events. Subscribe with ``app.on(EventType, handler)``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base of all events. Its handlers receive every event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent(Event):
    """Something happened to an attempt on this node."""

    job_id: int
    claim: int
    task: str
    queue: str
    attempt: int
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(JobEvent):
    """An attempt begins. ``waited`` is how many seconds the job has waited since it was
    due. ``carrier`` is empty: texts that a handler puts there are ``ctx.carrier`` in the
    task, also in a child process.
    """

    max_attempts: int = 1
    waited: float = 0.0
    meta: Mapping[str, Any] = field(default_factory=dict)
    carrier: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStopped(JobEvent):
    """An attempt ended with ``outcome`` and leaves the job in ``state``; ``duration`` is
    in seconds. ``traceback`` is the text that the run keeps, also that of a child process.
    """

    outcome: str
    state: str
    duration: float
    error: BaseException | None = None
    traceback: str | None = None


class JobRaised(JobStopped):
    """An attempt ended by an exception, ``error``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptAbandoned(JobEvent):
    """An attempt did not end in time after a request to end. Its slot was given back; it
    still runs, and its outcome is ignored.

    ``abandoned`` is the number of such attempts with this ``run_in`` at the node.
    """

    run_in: str
    abandoned: int


class AbandonedEnded(AttemptAbandoned):
    """An abandoned attempt has ended. Its outcome is not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgementRefused(Event):
    """The claim of a finished attempt was no longer this node's. Its outcome was not
    written.
    """

    job_id: int
    claim: int
    node: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskUnknown(Event):
    """A job was given back because this node does not know its task."""

    task: str
    queue: str
    job_id: int
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCalled(Event):
    """One call to the database ended, with or without ``error``; ``duration`` is in seconds."""

    engine: str
    verb: str
    duration: float
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopBlocked(Event):
    """The event loop of a node has not run for over a second. ``job_id``, ``task`` and
    ``queue`` are those of the attempt that runs in it, None where it is no attempt.
    ``place`` is where its thread is.
    """

    node: str
    job_id: int | None
    task: str | None
    queue: str | None
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent(Event):
    """Something happened to a service of a node."""

    service: str
    node: str


class ServiceStarted(ServiceEvent):
    """The service starts to tick."""


class ServiceStopped(ServiceEvent):
    """The service has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked(ServiceEvent):
    """One tick succeeded. ``data`` is what it did (the stager: ``staged_count`` and
    ``queues``); ``duration`` is in seconds.
    """

    duration: float
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFailed(ServiceEvent):
    """One tick failed, the ``failures``-th in a row. The next one starts in ``retry_in``
    seconds.
    """

    error: BaseException
    failures: int
    retry_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent(Event):
    """Something happened to a node."""

    node: str


class LeaderElected(NodeEvent):
    """The node became the leader."""


class LeaderLost(NodeEvent):
    """The node is no longer the leader."""


class NodeStarted(NodeEvent):
    """The node is registered and starts to fetch."""


class NodeStopped(NodeEvent):
    """The node is deregistered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRejoined(NodeEvent):
    """Other nodes had removed the node as ``removed``. It dropped its attempts and has
    registered again as ``node``.
    """

    removed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRemoved(NodeEvent):
    """``node`` found ``dead`` dead and removed it."""

    dead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRescued(NodeEvent):
    """An attempt of a dead node was ended as orphaned; ``state`` is the job's state
    now.
    """

    job_id: int
    queue: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobExpired(NodeEvent):
    """A job that did not start in time was cancelled."""

    job_id: int
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSuspended(NodeEvent):
    """The node has ``abandoned`` attempts with this ``run_in`` that still run. It
    fetches no more jobs with it.
    """

    run_in: str
    abandoned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResumed(NodeEvent):
    """Some of the abandoned attempts with this ``run_in`` ended. The node fetches jobs
    with it again.
    """

    run_in: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierSwitched(NodeEvent):
    """Announcements arrive (``listening``), or do not and the node polls (``polling``)."""

    mode: Literal["listening", "polling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFired(NodeEvent):
    """A tick of a cron entry stored a job, or met an existing unique job
    (``conflict``). ``at`` is the time of the tick.
    """

    cron: str
    at: datetime
    job_id: int
    conflict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSkipped(NodeEvent):
    """Missed ticks of a cron entry up to ``until`` were skipped by its ``catch_up``."""

    cron: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFailed(NodeEvent):
    """A cron entry could not fire. Other entries fire."""

    cron: str
    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueUnserved(NodeEvent):
    """Jobs are available in a queue that no node serves and that is not stopped."""

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBlockedByWaits(NodeEvent):
    """Every slot of a queue on this node is held by an attempt that waits for jobs, and
    one of these is available in the same queue.
    """

    queue: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEvent(NodeEvent):
    """Something happened to a queue on a node."""

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStarted(QueueEvent):
    """The node starts to serve a queue, at most ``limit`` jobs at a time. A ``paused``
    queue fetches none.
    """

    limit: int
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueScaled(QueueEvent):
    """The node runs at most ``limit`` jobs of the queue at a time, ``before`` until now."""

    limit: int
    before: int


class QueuePaused(QueueEvent):
    """The node fetches no more jobs of the queue."""


class QueueResumed(QueueEvent):
    """The node fetches jobs of the queue again."""


class QueueStopping(QueueEvent):
    """The node stops serving the queue: it fetches no more of its jobs and lets running
    ones end.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueShutdown(NodeEvent):
    """A queue's producer ended. ``released`` are the ids of the jobs that it gave back."""

    queue: str
    released: tuple[int, ...]
