"""What is measured of an app, whatever keeps the figures."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar

from elihu.errors import ElihuError
from elihu.telemetry import events
from elihu.telemetry.events import Event

E = TypeVar("E", bound=Event)
Kind = Literal["counter", "gauge", "histogram"]

COUNT_SHARE: Final = 20
"""After a count of stored jobs that took ``n`` seconds, the next one waits at least this
many times ``n``.
"""

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800)


class Measure(NamedTuple):
    """One figure, or one for each combination of its ``labels``. ``unit`` is ``s`` or what
    is counted.
    """

    name: str
    kind: Kind
    unit: str
    about: str
    labels: tuple[str, ...] = ()


JOBS_STARTED: Final = Measure(
    "elihu.jobs.started", "counter", "{attempt}", "attempts that began", ("queue", "task")
)
JOBS_ENDED: Final = Measure(
    "elihu.jobs.ended",
    "counter",
    "{attempt}",
    "attempts that ended, by their outcome and the state of the job after it",
    ("queue", "task", "outcome", "state"),
)
JOB_DURATION: Final = Measure(
    "elihu.job.duration", "histogram", "s", "how long attempts took", ("queue", "task")
)
JOB_WAIT: Final = Measure(
    "elihu.job.wait",
    "histogram",
    "s",
    "how long jobs waited after they were due, until an attempt began",
    ("queue", "task"),
)
JOBS_RUNNING: Final = Measure(
    "elihu.jobs.running", "gauge", "{attempt}", "attempts that run in this process", ("queue",)
)
QUEUE_SLOTS: Final = Measure(
    "elihu.queue.slots", "gauge", "{slot}", "attempts that may run in this process", ("queue",)
)
JOBS_STORED: Final = Measure(
    "elihu.jobs.stored",
    "gauge",
    "{job}",
    "stored jobs by state; the leader counts them",
    ("queue", "state"),
)
LEADER: Final = Measure("elihu.leader", "gauge", "{node}", "1 while this node is the leader")
LISTENING: Final = Measure(
    "elihu.listening", "gauge", "{node}", "1 while announcements arrive, 0 while the node polls"
)
ENGINE_DURATION: Final = Measure(
    "elihu.engine.duration", "histogram", "s", "how long calls to the database took", ("verb",)
)
ENGINE_ERRORS: Final = Measure(
    "elihu.engine.errors", "counter", "{call}", "calls to the database that failed", ("verb",)
)
TICK_FAILURES: Final = Measure(
    "elihu.tick.failures", "counter", "{tick}", "ticks of services that failed", ("service",)
)
JOBS_RESCUED: Final = Measure(
    "elihu.jobs.rescued", "counter", "{job}", "jobs taken from dead nodes", ("queue",)
)
JOBS_EXPIRED: Final = Measure(
    "elihu.jobs.expired", "counter", "{job}", "jobs that did not start in time", ("queue",)
)
REFUSED: Final = Measure(
    "elihu.acknowledgements.refused",
    "counter",
    "{attempt}",
    "ends that were not written, since the job was no longer the node's",
)
ABANDONED: Final = Measure(
    "elihu.attempts.abandoned",
    "gauge",
    "{attempt}",
    "attempts that were to end and still run",
    ("run_in",),
)
LOOP_BLOCKED: Final = Measure(
    "elihu.loop.blocked", "counter", "{time}", "times that the event loop was blocked", ("task",)
)
CRONS_FIRED: Final = Measure(
    "elihu.crons.fired", "counter", "{tick}", "ticks of cron entries that stored a job", ("cron",)
)
CRONS_FAILED: Final = Measure(
    "elihu.crons.failed", "counter", "{tick}", "ticks of cron entries that failed", ("cron",)
)

MEASURES: Final = tuple(value for value in globals().values() if isinstance(value, Measure))


class Sink(Protocol):
    """Keeps the figures."""

    def add(self, measure: Measure, amount: float, **labels: str) -> None:
        """Add to a counter."""

    def record(self, measure: Measure, value: float, **labels: str) -> None:
        """Record a value in a histogram."""

    def set(self, measure: Measure, value: float, **labels: str) -> None:
        """Set a gauge."""

    def clear(self, measure: Measure) -> None:
        """Forget every value of a gauge."""


class JobCounts(Protocol):
    """Counts stored jobs, as ``app.jobs`` does."""

    async def counts(self) -> dict[str, dict[str, int]]: ...


class App(Protocol):
    """The app, as this module uses it."""

    @property
    def jobs(self) -> Any: ...
    def on(self, event: type[E], handler: Callable[[E], None]) -> Callable[[], None]: ...


class Measurements:
    """Turns the events of an app into figures. ``interval`` is how many seconds the leader
    waits between two counts of the stored jobs.
    """

    def __init__(self, app: App, sink: Sink, *, interval: float) -> None:
        self._app = app
        self._sink = sink
        self._interval = interval
        self._running: dict[tuple[int, int], tuple[str, str]] = {}
        self._leaders: set[str] = set()
        self._polling: set[str] = set()
        self._counting: dict[str, asyncio.Task[None]] = {}
        for event, handler in {
            events.JobStarted: self._job_started,
            events.JobStopped: self._job_stopped,
            events.NodeStarted: self._node_started,
            events.NodeStopped: self._node_stopped,
            events.NodeRejoined: self._node_rejoined,
            events.LeaderElected: self._leader_elected,
            events.LeaderLost: self._leader_lost,
            events.NotifierSwitched: self._notifier_switched,
            events.QueueStarted: self._slots,
            events.QueueScaled: self._slots,
            events.QueueShutdown: self._queue_shutdown,
            events.EngineCalled: self._engine_called,
            events.TickFailed: lambda event: sink.add(TICK_FAILURES, 1, service=event.service),
            events.JobRescued: lambda event: sink.add(JOBS_RESCUED, 1, queue=event.queue),
            events.JobExpired: lambda event: sink.add(JOBS_EXPIRED, 1, queue=event.queue),
            events.AcknowledgementRefused: lambda event: sink.add(REFUSED, 1),
            events.AttemptAbandoned: self._abandoned,
            events.LoopBlocked: lambda event: sink.add(LOOP_BLOCKED, 1, task=event.task or ""),
            events.CronFired: lambda event: sink.add(CRONS_FIRED, 1, cron=event.cron),
            events.CronFailed: lambda event: sink.add(CRONS_FAILED, 1, cron=event.cron),
        }.items():
            app.on(event, handler)  # type: ignore[arg-type]

    def _job_started(self, event: events.JobStarted) -> None:
        self._sink.add(JOBS_STARTED, 1, queue=event.queue, task=event.task)
        self._sink.record(JOB_WAIT, event.waited, queue=event.queue, task=event.task)
        self._running[event.job_id, event.claim] = event.queue, event.node
        self._show_running(event.queue)

    def _job_stopped(self, event: events.JobStopped) -> None:
        self._sink.add(
            JOBS_ENDED,
            1,
            queue=event.queue,
            task=event.task,
            outcome=str(event.outcome),
            state=str(event.state),
        )
        self._sink.record(JOB_DURATION, event.duration, queue=event.queue, task=event.task)
        self._running.pop((event.job_id, event.claim), None)
        self._show_running(event.queue)

    def _show_running(self, queue: str) -> None:
        running = sum(each == queue for each, _ in list(self._running.values()))
        self._sink.set(JOBS_RUNNING, running, queue=queue)

    def _node_started(self, event: events.NodeStarted) -> None:
        counting = asyncio.get_running_loop().create_task(self._count(), name="elihu-measures")
        self._counting[event.node] = counting
        if event.node not in self._leaders:
            self._sink.set(LEADER, 0)
        self._show_listening()

    def _node_stopped(self, event: events.NodeStopped) -> None:
        self._polling.discard(event.node)
        if (counting := self._counting.pop(event.node, None)) is not None:
            counting.cancel()

    def _node_rejoined(self, event: events.NodeRejoined) -> None:
        if event.removed in self._counting:
            self._counting[event.node] = self._counting.pop(event.removed)
        lost = [key for key, (_, node) in self._running.items() if node == event.removed]
        for queue in {self._running.pop(key)[0] for key in lost}:
            self._show_running(queue)

    def _leader_elected(self, event: events.LeaderElected) -> None:
        self._leaders.add(event.node)
        self._sink.set(LEADER, 1)

    def _leader_lost(self, event: events.LeaderLost) -> None:
        self._leaders.discard(event.node)
        self._sink.set(LEADER, int(bool(self._leaders)))
        if not self._leaders:
            self._sink.clear(JOBS_STORED)

    def _notifier_switched(self, event: events.NotifierSwitched) -> None:
        if event.mode == "listening":
            self._polling.discard(event.node)
        else:
            self._polling.add(event.node)
        self._show_listening()

    def _show_listening(self) -> None:
        self._sink.set(LISTENING, int(not self._polling))

    def _slots(self, event: events.QueueStarted | events.QueueScaled) -> None:
        self._sink.set(QUEUE_SLOTS, event.limit, queue=event.queue)

    def _queue_shutdown(self, event: events.QueueShutdown) -> None:
        self._sink.set(QUEUE_SLOTS, 0, queue=event.queue)

    def _engine_called(self, event: events.EngineCalled) -> None:
        self._sink.record(ENGINE_DURATION, event.duration, verb=event.verb)
        if event.error is not None:
            self._sink.add(ENGINE_ERRORS, 1, verb=event.verb)

    def _abandoned(self, event: events.AttemptAbandoned) -> None:
        self._sink.set(ABANDONED, event.abandoned, run_in=event.run_in)

    async def _count(self) -> None:
        """Count the stored jobs now and then, while a node here is the leader."""
        shown: Counter[tuple[str, str]] = Counter()
        while True:
            began = time.monotonic()
            if self._leaders:
                try:
                    counts = await self._app.jobs.counts()
                except ElihuError:
                    counts = {}
                found = Counter(
                    {
                        (queue, str(state)): number
                        for queue, states in counts.items()
                        for state, number in states.items()
                    }
                )
                for queue, state in {*shown, *found}:
                    self._sink.set(JOBS_STORED, found[queue, state], queue=queue, state=state)
                shown = found
            took = time.monotonic() - began
            await asyncio.sleep(max(self._interval, COUNT_SHARE * took))
