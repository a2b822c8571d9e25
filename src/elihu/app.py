"""The facade: ``Elihu`` declares tasks, stores jobs, looks at them and runs nodes, and
delegates every part of it.
"""

import asyncio
import atexit
import inspect
import logging
import os
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from elihu.api.crons import Crons
from elihu.api.jobs import Jobs
from elihu.api.nodes import Nodes
from elihu.api.queues import Queues
from elihu.api.relays import Relays
from elihu.api.templates import Templates
from elihu.clients.client import Client
from elihu.clients.portal import Portal
from elihu.clock import Clock, SystemClock
from elihu.config import Config, load_config
from elihu.enqueue import Enqueued, TransactionInserter, check_new, chunked
from elihu.errors import InvalidOption, WrongLoop
from elihu.event_loop import refuse_in_loop
from elihu.job import Job, NewJob
from elihu.options import check_range
from elihu.relay import Relay
from elihu.runtime.announcer import Hub
from elihu.runtime.attempts.middleware import Middleware
from elihu.runtime.attempts.processes.import_guard import check_not_importing
from elihu.runtime.node import Node, Program
from elihu.runtime.queue.start_budget import StartBudget
from elihu.runtime.single_tick import SingleTick, TickCounts
from elihu.runtime.timers import when
from elihu.task import DeclaredCron, DeclaresTasks, Registry, Task, Tasks
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import Event

T = TypeVar("T")
E = TypeVar("E", bound=Event)
M = TypeVar("M", bound=Middleware)
Lifespan = Callable[["Elihu"], AbstractAsyncContextManager[Any]]

logger = logging.getLogger("elihu")

MOST_STARTED: Final = 10_000
EXIT_TIMEOUT: Final = 2.0
"""Seconds in which announcements are sent and connections closed when a program ends
without closing its app.
"""

_left_behind: list[object] = []
"""What a forked child inherited: it must neither use nor close its parent's
connections, so it keeps them untouched.
"""


class Elihu(DeclaresTasks):
    """An app: its tasks, and the database their jobs live in.

    ``settings`` are those of ``Config``; each wins over the environment and files.
    ``lifespan(app)`` is an async context manager entered by each node; what it yields
    is ``ctx.state``. Raises ``ConfigError``.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        config: Config | None = None,
        lifespan: Lifespan | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self._keywords: Mapping[str, Any] = {"database_url": database_url, **settings}
        self._given = config
        self.config = config or load_config(keywords=self._keywords)
        self._lifespan = lifespan
        self._clock = clock or SystemClock()
        self._bus = Bus()
        self._registry = Registry()
        self._middlewares: list[Middleware] = []
        self._connected = _Connected()
        self._closed = False
        self._within = TransactionInserter(lambda: self.config)
        self.jobs = Jobs(self._client, self._registry, lambda: self.max_args)
        self.crons = Crons(self._client, self._registry, lambda: self.max_args)
        self.templates = Templates(self._client, self._registry, lambda: self.max_args)
        self.nodes = Nodes(self._client)
        self.queues = Queues(self._client, self._queue_names)
        self._relays = Relays(self._client, self._registry, self.run)

    # declarations

    def include(self, tasks: Tasks) -> None:
        """Add a group's tasks. Raises ``DuplicateTask``, and ``TaskError`` for a group
        of another open app.
        """
        tasks.join(self, self._registry)

    def middleware(self, function: M) -> M:
        """Wrap every execution: ``async def mw(ctx, call_next)``, where ``await
        call_next(ctx)`` returns the task's value.

        Raises ``InvalidOption`` for what is no ``async def``.
        """
        if not _is_async(function):
            raise InvalidOption(
                f"middleware: expected a function written with async def, got {function!r}"
            )
        self._middlewares.append(function)
        return function

    def on(self, event: type[E], handler: Callable[[E], None]) -> Callable[[], None]:
        """Call ``handler`` for each event of this type, in the thread where it happens;
        the callable returned ends that.
        """
        return self._bus.on(event, handler)

    def task_named(self, name: str) -> Task[..., Any]:
        """The task of this name or alias. Raises ``UnknownTask``."""
        return self._registry.get(name)

    def task_names(self) -> list[str]:
        """The names of all tasks, sorted."""
        return self._registry.names()

    def override(self, **flags: Any) -> None:
        """Lay settings over all others, as the command line does. Call it before the
        app is used.
        """
        self.config = (
            _lay_over(self._given, flags)
            if self._given
            else load_config(flags=flags, keywords=self._keywords)
        )

    def lifespan(self) -> AbstractAsyncContextManager[Any] | None:
        """A new one of what surrounds the jobs of a node or of a child process, None
        where the app has none.
        """
        return self._lifespan(self) if self._lifespan else None

    def _adopt(self, task: Task[..., Any]) -> None:
        self._registry.add(task)
        task.bind(self)

    def _adopt_cron(self, entry: DeclaredCron) -> None:
        self._registry.timetable.add(entry)

    # enqueueing

    @property
    def closed(self) -> bool:
        """Whether the app has been closed and not used since."""
        return self._closed

    @property
    def max_args(self) -> int:
        """The most bytes that a job's arguments may take as JSON."""
        return self.config.max_args

    async def aenqueue(self, new: NewJob, *, conn: Any = None, notify: bool = True) -> Job:
        """Store a job that ``task.build`` made; returns after its commit. Raises
        ``InvalidOption`` for anything else.

        With ``conn``, an asynchronous connection or session of the caller's, the job
        exists if and only if its transaction commits; ``notify=False`` then leaves out
        the announcement.
        """
        if conn is not None:
            return await self._within.aone(conn, new, notify=notify)
        return await self._client().insert(check_new(new))

    def enqueue(self, new: NewJob, *, conn: Any = None, notify: bool = True) -> Job:
        """``aenqueue`` for synchronous code and connections. Raises ``WrongLoop``
        inside a running event loop, unless given ``conn``, by which the caller has
        chosen to wait there.
        """
        if conn is not None:
            return self._within.one(conn, new, notify=notify)
        refuse_in_loop("enqueue()", "await task.aenqueue(…)")
        return self._portal().run(self.aenqueue(new))

    def enqueue_many(
        self,
        jobs: Iterable[NewJob] | AsyncIterable[NewJob],
        *,
        ids: bool = False,
        conn: Any = None,
        notify: bool = True,
    ) -> Coroutine[Any, Any, Enqueued]:
        """Store what ``task.build`` made, streamed in chunks that are committed one by
        one, or are part of the transaction of ``conn``.

        ``ids=True`` returns the ids too, in order; those of conflicts are the jobs that
        were there. Raises ``InvalidOption`` for what ``task.build`` did not make;
        chunks before that one are stored. With a synchronous ``conn`` all is done
        before the coroutine is returned, in the caller's thread.
        """
        if conn is not None:
            return self._within.many(conn, jobs, ids=ids, notify=notify)
        return self._enqueue_many(jobs, Enqueued(ids=[] if ids else None))

    async def _enqueue_many(
        self, jobs: Iterable[NewJob] | AsyncIterable[NewJob], done: Enqueued
    ) -> Enqueued:
        client = self._client()
        async for chunk in chunked(jobs):
            done.add(await client.insert_many(chunk))
        return done

    async def submit(self, new: NewJob) -> Relay[Any]:
        """Store a job that ``task.build`` made, and wait for its end through the relay
        returned.
        """
        return self._relays.submitted(await self.aenqueue(replace(check_new(new), awaited=True)))

    def submitted(self, job: Job) -> Relay[Any]:
        """The relay of a job that was stored as awaited: ``task.submit`` asks for it."""
        return self._relays.submitted(job)

    def relay(self, job_id: int) -> Relay[Any]:
        """A relay for a stored job, of any process, that runs or has ended; its first
        wait marks the job as awaited.

        Raises ``InvalidOption`` for what is no id.
        """
        return self._relays.attach(job_id)

    # nodes

    @asynccontextmanager
    async def running(self, queues: Mapping[str, int] | None = None) -> AsyncIterator[Node]:
        """Run a node inside this program; at the end running jobs have ``grace``
        seconds and are then given back.

        With ``queues`` it serves these, and none that is started everywhere.
        """
        node = self._node(queues)
        await node.start()
        if queues is None and self.config.require_queues:
            self._report_unserved(node)
        try:
            yield node
        finally:
            await node.stop()

    async def serve(
        self,
        queues: Mapping[str, int] | None = None,
        *,
        stopping: asyncio.Event,
        stop_now: asyncio.Event,
        started: Callable[[Node], None] = lambda node: None,
    ) -> None:
        """Run a node until ``stopping`` is set; ``stop_now`` lets the stop wait for no
        running job.
        """
        async with self.running(queues) as node:
            started(node)
            await stopping.wait()
            hurry = asyncio.create_task(when(stop_now, node.hurry))
            try:
                await node.stop()
            finally:
                hurry.cancel()

    async def tick(
        self,
        limit: int = 10,
        *,
        stopping: asyncio.Event | None = None,
        stop_now: asyncio.Event | None = None,
    ) -> TickCounts:
        """One bounded round without a running node: fire due cron entries, rescue,
        expire and stage, start at most ``limit`` (1 to 10,000) jobs here, wait for
        them, and prune.

        ``stopping`` and ``stop_now`` end it as they end ``serve``. Raises
        ``InvalidOption`` and ``DatabaseError``.
        """
        check_range("limit", limit, 1, MOST_STARTED)
        once = SingleTick(
            self.config, partial(self._node, None), self._registry.timetable, self._bus
        )
        return await once.run(
            limit, stopping=stopping or asyncio.Event(), stop_now=stop_now or asyncio.Event()
        )

    def _node(
        self, queues: Mapping[str, int] | None, start_budget: StartBudget | None = None
    ) -> Node:
        config = self.config if queues is None else _lay_over(self.config, {"queues": queues})
        lifespan = self._lifespan
        program = Program(
            registry=self._registry,
            middlewares=tuple(self._middlewares),
            lifespan=(lambda: lifespan(self)) if lifespan else None,
            app=self,
            queues=config.queues,
            split=queues is not None,
        )
        return Node(
            config,
            program,
            bus=self._bus,
            clock=self._clock,
            hub=self._connected_here().hub,
            start_budget=start_budget,
        )

    def _report_unserved(self, node: Node) -> None:
        known = {*node.queues.served, *node.queues.stopped}
        for task in self._registry:
            if task.options.queue not in known:
                logger.warning(
                    "queue %r of task %r is not served by this node", task.options.queue, task.name
                )

    def _queue_names(self) -> set[str]:
        return {*self.config.queues, *(task.options.queue for task in self._registry)}

    # the database, loops and the end

    async def migrate(self) -> list[int]:
        """Make or change the tables; the versions applied. Raises ``SchemaTooNew``."""
        return await (await self._client().connect()).migrate()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run any of the app's coroutines to its end from synchronous code. Raises
        ``WrongLoop`` inside a running event loop.
        """
        try:
            refuse_in_loop("app.run()", "await")
        except WrongLoop:
            coroutine.close()
            raise
        return self._portal().run(coroutine)

    async def aclose(self) -> None:
        """Close every connection of this app, of all loops. It can be used again, and
        then connects anew.
        """
        connected = self._connected_here()
        clients = connected.take_all()
        self._closed = True
        here = asyncio.get_running_loop()
        for loop, client in clients.items():
            if loop is here:
                await client.close()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(client.close(), loop))
            else:
                client.abandon()
        if portal := connected.take_portal():
            atexit.unregister(self._at_exit)
            portal.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _client(self) -> Client:
        connected = self._connected_here()
        loop = asyncio.get_running_loop()
        client = connected.clients.get(loop)
        if client is None:
            client = connected.add(loop, Client(self.config, self._bus, connected.hub))
        return client

    def _portal(self) -> Portal:
        connected = self._connected_here()
        with connected.lock:
            if connected.portal is None:
                connected.portal = Portal()
                atexit.register(self._at_exit)
            return connected.portal

    def _connected_here(self) -> "_Connected":
        check_not_importing()
        if self._connected.pid != os.getpid():
            _left_behind.append(self._connected)
            self._connected = _Connected()
        self._closed = False
        return self._connected

    def _at_exit(self) -> None:
        connected = self._connected
        if connected.pid == os.getpid() and connected.portal is not None:
            connected.portal.run(self._close_in_time())

    async def _close_in_time(self) -> None:
        try:
            async with asyncio.timeout(EXIT_TIMEOUT):
                await self.aclose()
        except Exception as error:
            logger.warning("the app could not be closed in time: %s", error)


class _Connected:
    """What one process has open: a client for each loop, and the loop of synchronous
    code.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.hub = Hub()
        self.clients: dict[asyncio.AbstractEventLoop, Client] = {}
        self.portal: Portal | None = None

    def add(self, loop: asyncio.AbstractEventLoop, client: Client) -> Client:
        """Keep the client of this loop, and let go of those whose loops have ended."""
        with self.lock:
            for ended in [known for known in self.clients if known.is_closed()]:
                self.clients.pop(ended).abandon()
            self.clients[loop] = client
        return client

    def take_portal(self) -> Portal | None:
        """The loop of synchronous code, which from now on is the caller's to close."""
        with self.lock:
            portal, self.portal = self.portal, None
        return portal

    def take_all(self) -> dict[asyncio.AbstractEventLoop, Client]:
        """The clients, which from now on are the caller's to close."""
        with self.lock:
            clients, self.clients = self.clients, {}
        return clients


def _lay_over(config: Config, settings: Mapping[str, Any]) -> Config:
    """``config`` with some settings changed, checked as any other. Raises
    ``ConfigError``.
    """
    checked = load_config(keywords=settings, read_files=False, read_environment=False)
    return replace(
        config,
        **{name: getattr(checked, name) for name, value in settings.items() if value is not None},
    )


def _is_async(function: Any) -> bool:
    return callable(function) and (
        inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(function.__call__)
    )
