"""``Elihu``, the app: declares tasks, enqueues jobs, runs nodes. The rest is delegated."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from elihu.api.crons import Crons
from elihu.api.enqueueing import EnqueuesJobs
from elihu.api.jobs import Jobs
from elihu.api.nodes import Nodes
from elihu.api.queues import Queues
from elihu.api.relays import Relays
from elihu.api.running import NodeRunner
from elihu.api.stats import Stats
from elihu.api.tables import Tables
from elihu.api.templates import Templates
from elihu.api.topics import Topics
from elihu.api.trigger_ledger import TriggerLedger
from elihu.api.trigger_runs import TriggerRunCounts, TriggerRuns
from elihu.clients.clients import Clients
from elihu.clock import Clock, SystemClock
from elihu.config import Config, changed_config, load_config
from elihu.config.slots import QueueSlots
from elihu.engines.protocol import CORE, ChainName
from elihu.enqueue import Carriers, TransactionInserter, check_new
from elihu.job import Job, NewJob
from elihu.relay import Relay
from elihu.runtime.attempts.middleware import Middleware
from elihu.runtime.attempts.surroundings import Around
from elihu.task import DeclaredCron, Registry, Task
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import Event
from elihu.triggers import (
    ActorPersister,
    DeclaresTriggers,
    Tasks,
    Trigger,
    TriggerDefaults,
    TriggerRegistry,
    Triggers,
)
from elihu.triggers.scheduled import ScheduledAction

if TYPE_CHECKING:
    from elihu.runtime.node import Node
    from elihu.runtime.single_tick import TickCounts

T = TypeVar("T")
E = TypeVar("E", bound=Event)
M = TypeVar("M", bound=Middleware)
A = TypeVar("A", bound=Around)
Lifespan = Callable[["Elihu"], AbstractAsyncContextManager[Any]]


class Elihu(EnqueuesJobs, DeclaresTriggers):
    """An app: its tasks, and the database that holds their jobs.

    ``settings`` are those of ``Config``; each wins over the environment and files.
    ``lifespan(app)`` is an async context manager that each node enters; what it yields
    is ``ctx.state``. ``sessions`` and the parameters behind it hold for every trigger
    that does not say otherwise. Raises ``ConfigError``.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        config: Config | None = None,
        lifespan: Lifespan | None = None,
        clock: Clock | None = None,
        sessions: Any = None,
        tenants: Any = None,
        tenant_from_record: Callable[[Any], Any] | None = None,
        actor_persister: ActorPersister | None = None,
        default_actor: Any = None,
        authorize: Callable[..., Any] | None = None,
        debug_all_triggers: bool = False,
        **settings: Any,
    ) -> None:
        self._keywords: Mapping[str, Any] = {"database_url": database_url, **settings}
        self._given = config
        self.config = config or load_config(keywords=self._keywords)
        self._lifespan = lifespan
        self._bus = Bus()
        self._registry = Registry()
        self._clients = Clients(lambda: self.config, self._bus)
        self._in_transaction = TransactionInserter(lambda: self.config)
        self.carriers = Carriers()
        self._runner = NodeRunner(
            app=self,
            config=lambda: self.config,
            clients=self._clients,
            registry=self._registry,
            bus=self._bus,
            clock=clock or SystemClock(),
            lifespan=(lambda: lifespan(self)) if lifespan else None,
        )
        client, registry = self._clients.client, self._registry
        self.jobs = Jobs(client, registry, lambda: self.max_args)
        self.crons = Crons(client, registry, lambda: self.max_args)
        self.templates = Templates(client, registry, lambda: self.max_args)
        self.nodes = Nodes(client)
        self.stats = Stats(client)
        self.tables = Tables(client, lambda: self.config)
        self.topics = Topics(client, lambda: self._clients.hub)
        self.queues = Queues(client, self._queue_names)
        self._relays = Relays(client, registry, self.run)
        self._trigger_registry = TriggerRegistry(registry)
        self.trigger_ledger = TriggerLedger(client, lambda: self.config)
        self.triggers = Triggers(lambda: self._trigger_registry)
        self.trigger_defaults = TriggerDefaults(
            sessions=sessions,
            tenants=tenants,
            tenant_from_record=tenant_from_record,
            actor_persister=actor_persister,
            default_actor=default_actor,
            authorize=authorize,
            debug_all=debug_all_triggers,
        )

    # declarations

    def include(self, tasks: Tasks) -> None:
        """Add a group's tasks. Raises ``DuplicateTask``, and ``TaskError`` for a group
        of another open app.
        """
        tasks.join(self, self._registry)
        tasks.join_triggers(self, self._trigger_registry)

    def middleware(self, function: M) -> M:
        """Wrap every execution: ``async def mw(ctx, call_next)``, where ``await
        call_next(ctx)`` returns the task's value.

        Raises ``InvalidOption`` for anything but an ``async def``.
        """
        self._runner.add_middleware(function)
        return function

    def around(self, function: A) -> A:
        """Enter a context manager around each task's function, in the very thread,
        event loop or child process in which it runs.

        ``function(ctx)`` returns a context manager: decorate a generator function with
        ``@app.around`` over ``@contextmanager``. The first one registered is the
        outermost. Raises ``InvalidOption`` for an ``async`` function: use
        ``middleware``.
        """
        self._runner.add_around(function)
        return function

    @property
    def arounds(self) -> tuple[Around, ...]:
        """What ``around`` registered, the outermost first."""
        return tuple(self._runner.arounds)

    def on(self, event: type[E], handler: Callable[[E], None]) -> Callable[[], None]:
        """Call ``handler`` for each event of this type, in the thread that emits it.
        Returns a callable that removes the handler.
        """
        return self._bus.on(event, handler)

    def task_named(self, name: str) -> Task[..., Any]:
        """The task of this name or alias. Raises ``UnknownTask``."""
        return self._registry.get(name)

    def task_names(self) -> list[str]:
        """The names of all tasks, sorted."""
        return self._registry.names()

    def override(self, **flags: Any) -> None:
        """Set settings with the precedence of command-line flags. Call it before the
        app is used.
        """
        self.config = (
            changed_config(self._given, flags)
            if self._given
            else load_config(flags=flags, keywords=self._keywords)
        )

    def _use(self, config: Config) -> None:
        """Work with this configuration from now on. Connections of the earlier one are
        dropped.
        """
        self._clients.drop()
        self.config = config

    def lifespan(self) -> AbstractAsyncContextManager[Any] | None:
        """A new context manager of the app's lifespan, None without one. Each node and
        child process enters its own.
        """
        return self._lifespan(self) if self._lifespan else None

    def _adopt(self, task: Task[..., Any]) -> None:
        self._registry.add(task)
        task.bind(self)

    def _adopt_cron(self, entry: DeclaredCron) -> None:
        self._registry.timetable.add(entry)

    def _adopt_trigger(self, trigger: Trigger) -> None:
        self._trigger_registry.add(trigger, self)

    def _adopt_scheduled(self, scheduled: ScheduledAction) -> None:
        self._adopt(scheduled.task)
        if scheduled.fan_out is not None:
            self._adopt(scheduled.fan_out)
        if scheduled.cron is not None:
            self._adopt_cron(scheduled.cron)
        self._trigger_registry.add_scheduled(scheduled, self)

    async def schedule_and_run_triggers(
        self,
        *what: Any,
        drain: bool = False,
        triggers: bool = True,
        scheduled_actions: bool = False,
        actor: Any = None,
        queue: str | None = None,
        with_limit: int | None = None,
        with_recursion: bool = True,
        with_scheduled: bool = False,
    ) -> TriggerRunCounts:
        """Store the scans of triggers at once, and with ``drain`` run them and the jobs
        that they store on a node of this program.

        ``what`` are triggers, their names, models, ``(model, name)``, modules, lists of
        them or the app; nothing means all. ``scheduled_actions`` stores the jobs of
        ``@app.schedule`` too. ``queue`` leaves out what uses another one. It
        starts at most ``with_limit`` attempts, scans included. With ``with_recursion``
        it runs until the queues are empty, with ``with_scheduled`` jobs that are due
        later too. Raises ``InvalidOption`` and ``UnknownTrigger``.
        """
        runs = TriggerRuns(
            app=self,
            registry=self._trigger_registry,
            scheduled=lambda: self._trigger_registry.scheduled,
            bus=self._bus,
            running=self._runner.running,
        )
        return await runs.run(
            what,
            drain=drain,
            triggers=triggers,
            scheduled_actions=scheduled_actions,
            actor=actor,
            queue=queue,
            with_limit=with_limit,
            with_recursion=with_recursion,
            with_scheduled=with_scheduled,
        )

    # enqueueing

    @property
    def closed(self) -> bool:
        """Whether the app has been closed and not used since."""
        return self._clients.closed

    @property
    def max_args(self) -> int:
        """The most bytes that a job's arguments may take as JSON."""
        return self.config.max_args

    async def submit(self, new: NewJob) -> Relay[Any]:
        """Store a job made by ``task.build`` and return a relay that waits for its
        result.
        """
        return self._relays.submitted(await self.aenqueue(replace(check_new(new), awaited=True)))

    def submitted(self, job: Job) -> Relay[Any]:
        """The relay of a job that was stored as awaited. ``task.submit`` calls it."""
        return self._relays.submitted(job)

    def relay(self, job_id: int) -> Relay[Any]:
        """A relay for any stored job, before or after its end, from any process. Its
        first wait marks the job as awaited.

        Raises ``InvalidOption`` for anything but an id.
        """
        return self._relays.attach(job_id)

    # nodes

    def running(self, queues: QueueSlots | None = None) -> "AbstractAsyncContextManager[Node]":
        """Run a node inside this program. When the context ends, running jobs have
        ``grace`` seconds to end; then they are given back.

        With ``queues`` the node serves these queues, and none that is started for all
        nodes.
        """
        return self._runner.running(queues)

    async def serve(
        self,
        queues: QueueSlots | None = None,
        *,
        stopping: asyncio.Event,
        stop_now: asyncio.Event,
        started: "Callable[[Node], None]" = lambda node: None,
    ) -> None:
        """Run a node until ``stopping`` is set. With ``stop_now`` the stop waits for no
        running job.
        """
        await self._runner.serve(queues, stopping, stop_now, started)

    async def tick(
        self,
        limit: int = 10,
        *,
        stopping: asyncio.Event | None = None,
        stop_now: asyncio.Event | None = None,
    ) -> "TickCounts":
        """Do one bounded round without a running node: fire due cron entries, rescue,
        expire and stage jobs, start at most ``limit`` (1 to 10,000) jobs here, wait for
        them, and prune.

        ``stopping`` and ``stop_now`` end it as they end ``serve``. Raises
        ``InvalidOption`` and ``DatabaseError``.
        """
        return await self._runner.tick(limit, stopping, stop_now)

    def _queue_names(self) -> set[str]:
        return {*self.config.queues, *(task.options.queue for task in self._registry)}

    # the database, synchronous code and the end

    async def migrate(self, chain: ChainName = CORE) -> list[int]:
        """Make or change the tables. Returns the versions applied. Raises
        ``SchemaTooNew``.

        ``"commands"`` names the tables of the command scheduler; those of jobs come
        before them.
        """
        return await self.tables.migrate(chain)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run any of the app's coroutines to its end from synchronous code. Raises
        ``WrongLoop`` inside a running event loop.
        """
        return self._clients.run(coroutine, called="app.run()", instead="await")

    async def aclose(self) -> None:
        """Close every connection of this app, in all event loops. Later calls connect
        again.
        """
        await self._clients.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
