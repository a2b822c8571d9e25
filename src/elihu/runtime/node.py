"""A node: its services, started in order and stopped in reverse."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from elihu.clock import Clock
from elihu.config import Config
from elihu.engines.protocol import HeartbeatReply
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.select import engine_for
from elihu.runtime.announcer import Announcer, Hub
from elihu.runtime.attempts.executor import Executor
from elihu.runtime.attempts.middleware import Middleware
from elihu.runtime.attempts.processes.import_path import AppLocation
from elihu.runtime.attempts.processes.pool import ProcessPool
from elihu.runtime.attempts.progress import Progress
from elihu.runtime.attempts.template_check import TemplateCheck
from elihu.runtime.attempts.threads import Threads
from elihu.runtime.failure_log import FailureLog
from elihu.runtime.leader.cron import Cron, declare
from elihu.runtime.leader.election import Leader
from elihu.runtime.leader.lifeline import Lifeline
from elihu.runtime.leader.pruner import Pruner
from elihu.runtime.leader.stager import Stager
from elihu.runtime.listener import Listener
from elihu.runtime.membership.heartbeat import Heartbeat, Listening
from elihu.runtime.queue.abandoned import Abandoned
from elihu.runtime.queue.canceller import Canceller
from elihu.runtime.queue.manager import QueueManager
from elihu.runtime.queue.producer import Producer
from elihu.runtime.queue.reconciler import Reconciler
from elihu.runtime.queue.start_budget import StartBudget
from elihu.runtime.service import Identity, Scope, logger
from elihu.task import Registry
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import NodeRejoined, NodeStarted, NodeStopped

HURRY: Final = 5.0
"""Seconds that a hurried stop gives to writing what it can."""

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Program:
    """What the app gives a node to run; ``split`` where it is to serve just these
    queues, and none that is started everywhere.
    """

    registry: Registry
    middlewares: Sequence[Middleware] = ()
    lifespan: Lifespan | None = None
    app: object | None = None
    queues: Mapping[str, int] = field(default_factory=dict)
    split: bool = False


class Node:
    """Executes jobs until it is stopped. ``stop`` may be called twice, and before
    ``start``.

    With an ``allowance`` it begins no more attempts than that, and neither leads nor
    does a leader's work.
    """

    def __init__(
        self,
        config: Config,
        program: Program,
        *,
        bus: Bus,
        clock: Clock,
        hub: Hub,
        start_budget: StartBudget | None = None,
    ) -> None:
        self._config = config
        self._program = program
        self._bus = bus
        self._hub = hub
        self._clock = clock
        self._stack: contextlib.AsyncExitStack | None = None
        self._stop_now = asyncio.Event()
        self._give_up_at: float | None = None
        self._deadline: asyncio.Timeout | None = None
        self.engine = engine_for(config, bus)
        failure_log = FailureLog()
        self.scope = Scope(
            config,
            self.engine,
            bus,
            clock,
            Identity(""),
            Announcer(self.engine, hub, failure_log),
            failure_log,
        )
        self.leader = Leader(self.scope)
        self.listener = Listener(self.scope, self.engine.notifier(), hub)
        self.progress = Progress(self.scope)
        self.canceller = Canceller(self.scope, lambda: self.producers)
        self.cron = Cron(self.scope, self.leader, program.registry.timetable)
        self._start_budget = start_budget
        self._info: dict[str, object] = {
            "queues": dict(program.queues),
            "pid": os.getpid(),
            "host": socket.gethostname(),
        }
        if start_budget is not None:
            self._info["once"] = True
        self._threads = Threads()
        self.abandoned = Abandoned(
            self.scope, program.registry, describe=self.update_node_info, resumed=self._fetch_soon
        )
        self._children = ProcessPool(
            config, AppLocation(config, program.app, needed=program.lifespan is not None)
        )
        self._executor = Executor(
            self._threads,
            self._children,
            program.middlewares,
            config.max_result,
            TemplateCheck(self.engine),
        )
        self._state: object = None
        self.queues = QueueManager(
            self.scope,
            program.queues,
            split=program.split,
            make=self._producer,
            describe=self.update_node_info,
        )
        leading = [
            self.leader,
            Stager(self.scope, self.leader),
            self.cron,
            Lifeline(self.scope, self.leader),
            Pruner(self.scope, self.leader),
        ]
        self.services = [
            self.listener,
            *(leading if start_budget is None else ()),
            self.canceller,
            self.abandoned,
            Reconciler(self.scope, lambda: self.producers),
            self.progress,
        ]

    @property
    def producers(self) -> Sequence[Producer]:
        """Those that serve a queue, and those that let their last jobs end."""
        return self.queues.producers

    @property
    def unwritten(self) -> int:
        """How many attempts this node holds: after a stop, those whose ends could not
        be written.
        """
        return sum(len(producer.held) for producer in self.producers)

    @property
    def id(self) -> str:
        """This node's identity at present."""
        return self.scope.identity.node

    async def start(self) -> None:
        """Start everything in order; what was started is stopped again when something
        fails.
        """
        async with contextlib.AsyncExitStack() as stack:
            await self.engine.open()
            stack.push_async_callback(self.engine.close)
            await self.engine.check_schema()
            self.scope.identity.installation = await self.engine.installation()
            stack.push_async_callback(self._bounded, self.scope.announcer.close)
            timetable = self._program.registry.timetable
            self._info["crons"] = timetable.names()
            await declare(self.engine, timetable)
            heartbeat_thread = self._liveness()
            stack.push_async_callback(self._bounded, heartbeat_thread.stop)
            self.scope.identity.node = await heartbeat_thread.start()
            stack.callback(self._hub.join(self._receive))
            for service in self.services:
                stack.push_async_callback(self._bounded, service.stop)
                await service.start()
            stack.callback(self._threads.close)
            stack.push_async_callback(self._children.close)
            self._state = (
                await stack.enter_async_context(self._program.lifespan())
                if self._program.lifespan
                else None
            )
            stack.push_async_callback(self._bounded, self._stop_producers)
            stack.push_async_callback(self._bounded, self.queues.stop)
            await self.queues.start()
            self._stack = stack.pop_all()
        if NodeStarted in self._bus:
            self._bus.emit(NodeStarted(node=self.id))

    async def stop(self, *, now: bool = False) -> None:
        """Stop in reverse order: running jobs have ``grace`` seconds to end, none with
        ``now``, and are then given back.
        """
        if now:
            self.hurry()
        stack, self._stack = self._stack, None
        if stack is None:
            return
        await stack.aclose()
        if NodeStopped in self._bus:
            self._bus.emit(NodeStopped(node=self.id))

    def hurry(self) -> None:
        """Let a stop that is under way, or the next one, wait for no running job."""
        self._stop_now.set()
        if self._give_up_at is None:
            self._give_up_at = asyncio.get_running_loop().time() + HURRY
            if self._deadline is not None:
                self._deadline.reschedule(self._give_up_at)

    async def update_node_info(self, **facts: object) -> None:
        """Change what the node's row says of this node; a node that is buried meanwhile
        says it under its next identity.
        """
        self._info.update(facts)
        await self.engine.update_node_info(self.id, self._info)

    async def _bounded(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Stop one part; once there is hurry, what a silent database holds up is left
        as it is.
        """
        try:
            async with asyncio.timeout_at(self._give_up_at) as self._deadline:
                await stop()
        except TimeoutError:
            logger.warning(
                "stopped without the database's answer: other nodes will rescue what could not be "
                "written"
            )
        finally:
            self._deadline = None

    def _producer(self, queue: str, limit: int) -> Producer:
        producer = Producer(
            self.scope,
            queue,
            limit,
            registry=self._program.registry,
            executor=self._executor,
            progress=self.progress,
            abandoned=self.abandoned,
            poll=self._poll,
            start_budget=self._start_budget,
        )
        producer.state = self._state
        return producer

    def _poll(self) -> float:
        return self._config.poll if self.listener.works else self._config.poll_fallback

    def _fetch_soon(self) -> None:
        for producer in self.producers:
            producer.fetch_soon()

    def _liveness(self) -> Heartbeat:
        name = self._config.node_name or socket.gethostname()
        listening = Listening(heartbeat_reply=self._on_heartbeat, rejoined=self._on_rejoined)
        return Heartbeat(
            self._config,
            self._bus,
            self._clock,
            self._hub,
            self.scope.failure_log,
            name=name,
            info=self._info,
            listening=listening,
        )

    def _on_heartbeat(self, heartbeat_reply: HeartbeatReply) -> None:
        self.leader.lease_ends_in(heartbeat_reply.lease_ends_in)

    def _on_rejoined(self, node: str) -> None:
        removed, self.scope.identity.node = self.id, node
        for producer in self.producers:
            producer.lose_all()
        self.leader.wake()
        self.queues.wake()
        if NodeRejoined in self._bus:
            self._bus.emit(NodeRejoined(node=node, removed=removed))

    def _receive(self, signal: Signal) -> None:
        match signal:
            case (SignalKind.JOBS, queue):
                for producer in self.producers:
                    if not queue or producer.queue == queue:
                        producer.fetch_soon()
            case (SignalKind.INTENT, node):
                if not node or node == self.id:
                    self.canceller.wake()
            case (SignalKind.QUEUES, node):
                if not node or node == self.id:
                    self.queues.wake()
            case (SignalKind.LEADER, _):
                self.leader.wake()
            case (SignalKind.CRON, _):
                self.cron.wake()
            case (SignalKind.CHANGED, _):
                for producer in self.producers:
                    producer.resync()
                self.canceller.wake()
                self.leader.wake()
                self.queues.wake()

    async def _stop_producers(self) -> None:
        grace = self._config.grace
        results = await asyncio.gather(
            *(producer.stop(grace=grace, now=self._stop_now) for producer in self.producers),
            return_exceptions=True,
        )
        for error in results:
            if isinstance(error, BaseException):
                logger.error(
                    "a queue did not stop as it should: %s: %s", type(error).__name__, error
                )
