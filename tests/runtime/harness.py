"""A node without its services, whose parts a test starts one by one, and a clock that a
test moves.
"""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from elihu.config import load_config
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.select import engine_for
from elihu.job import Job, JobState, NewJob
from elihu.runtime.announcer import Announcer, Hub
from elihu.runtime.attempts.executor import Executor
from elihu.runtime.attempts.processes.import_path import AppLocation
from elihu.runtime.attempts.processes.pool import ProcessPool
from elihu.runtime.attempts.progress import Progress
from elihu.runtime.attempts.template_check import TemplateCheck
from elihu.runtime.attempts.threads import Threads
from elihu.runtime.failure_log import FailureLog
from elihu.runtime.queue.abandoned import Abandoned
from elihu.runtime.queue.producer import Producer
from elihu.runtime.service import Identity, Scope
from elihu.task import Registry
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import Event
from elihu.triggers import Tasks
from tests.support import QUICK

E = TypeVar("E", bound=Event)


class HandClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)


class Every:
    """A poll that comes so many seconds after the last one, or after the last look."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.looks: list[float] = []
        """Seconds since a look, for the next polls that are due."""

    def interval(self) -> float:
        return self.seconds

    def since_look(self) -> float:
        return self.looks.pop(0) if self.looks else math.inf


class NodeHarness:
    """An enlisted node: a scope for services, the signals that reach this process, and
    the events of the bus.
    """

    def __init__(self, url: str, **settings: Any) -> None:
        self.url = url
        self.config = load_config(
            keywords={"database_url": url, **QUICK, **settings}, environ={}, read_files=False
        )
        self.bus = Bus()
        self.engine = engine_for(self.config, self.bus)
        self.hub = Hub()
        self.clock = HandClock()
        self.node = str(uuid4())
        failure_log = FailureLog()
        announcer = Announcer(self.engine, self.hub, failure_log)
        self.scope = Scope(
            self.config,
            self.engine,
            self.bus,
            self.clock,
            Identity(self.node),
            announcer,
            failure_log,
        )
        self.signals: list[Signal] = []
        self.events: list[Event] = []
        self.registry = Registry()
        self.threads = Threads()
        self.said: dict[str, object] = {}
        self.abandoned = Abandoned(
            self.scope, self.registry, describe=self._describe, resumed=self._fetch_soon
        )
        self.children = ProcessPool(self.config, AppLocation(self.config, None, needed=False))
        self._loop = asyncio.get_running_loop()
        self._happened = asyncio.Event()
        self._producers: list[Producer] = []

    async def open(self) -> None:
        await self.engine.open()
        await self.engine.migrate()
        await self.engine.register_node(self.node, "node", {"queues": {"default": 1}})
        self.hub.join(self.signals.append)
        self.bus.on(Event, self._take)

    async def close(self) -> None:
        now = asyncio.Event()
        now.set()
        for producer in self._producers:
            await producer.stop(grace=0, now=now)
        self.threads.close()
        await self.abandoned.stop()
        await self.children.close()
        await self.scope.announcer.close()
        await self.engine.close()

    async def put(self, task: str = "t", **fields: Any) -> int:
        """Store a job and return its id."""
        return (await self.engine.insert([NewJob(task=task, **fields)]))[0].id

    async def job(self, job_id: int) -> Job:
        found = await self.engine.get(job_id)
        assert found is not None
        return found

    async def state(self, job_id: int) -> JobState:
        return (await self.job(job_id)).state

    async def results(self, job_id: int) -> list[str | None]:
        """How the attempts of a job ended."""
        return [run.outcome and run.outcome.value for run in await self.engine.runs(job_id)]

    def announced(self) -> list[str]:
        """The queues announced so far."""
        return [signal.payload for signal in self.signals if signal.kind is SignalKind.JOBS]

    def task(self, fn: Callable[..., Any], **options: Any) -> None:
        """Let the producers of this node know ``fn`` as a task."""
        tasks = Tasks()
        self.registry.add(tasks.task(**options)(fn))

    def producer(
        self, limit: int = 2, queue: str = "default", poll: float = 3_600, prefetch: int = 0
    ) -> Producer:
        """A producer that has not started; it is stopped with the node."""
        producer = Producer(
            self.scope,
            queue,
            limit,
            registry=self.registry,
            executor=Executor(
                self.threads, self.children, (), self.config.max_result, TemplateCheck(self.engine)
            ),
            progress=Progress(self.scope),
            abandoned=self.abandoned,
            poll=Every(poll),
            prefetch=prefetch,
        )
        self._producers.append(producer)
        return producer

    def of(self, kind: type[E]) -> list[E]:
        """The events of this type so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, done: Callable[[], bool], *, within: float = 10) -> None:
        """Return when ``done()``, looked at after each event."""
        async with asyncio.timeout(within):
            while not done():
                self._happened.clear()
                await self._happened.wait()

    async def _describe(self, **facts: object) -> None:
        self.said.update(facts)

    def _fetch_soon(self) -> None:
        for producer in self._producers:
            producer.fetch_soon()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._loop.call_soon_threadsafe(self._happened.set)


async def open_harness(url: str, **settings: Any) -> NodeHarness:
    harness = NodeHarness(url, **settings)
    await harness.open()
    return harness
