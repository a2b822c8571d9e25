"""A node: its parts, started in order and stopped in reverse."""

import asyncio
import math
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elihu.clock import Clock
from elihu.config import Config
from elihu.config.slots import prefetch_of
from elihu.engines.protocol import HeartbeatReply
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.select import engine_for
from elihu.processes.forks import guard_forks
from elihu.runtime.announcer import Announcer, Hub
from elihu.runtime.attempts.executor import Executor
from elihu.runtime.attempts.middleware import Middleware
from elihu.runtime.attempts.processes.import_path import AppLocation
from elihu.runtime.attempts.processes.pool import ProcessPool
from elihu.runtime.attempts.progress import Progress
from elihu.runtime.attempts.surroundings import Around
from elihu.runtime.attempts.template_check import TemplateCheck
from elihu.runtime.attempts.threads import Threads
from elihu.runtime.failure_log import FailureLog
from elihu.runtime.housekeeping import Housekeeping, NodeCallbacks
from elihu.runtime.leader.cron import declarations, declare, digests
from elihu.runtime.lifespan import Lifespan, LifespanHolder
from elihu.runtime.listener import Listener
from elihu.runtime.queue.abandoned import Abandoned
from elihu.runtime.queue.canceller import Canceller
from elihu.runtime.queue.ledger import Key
from elihu.runtime.queue.manager import QueueManager
from elihu.runtime.queue.nested_waits import NestedWaits
from elihu.runtime.queue.producer import Producer
from elihu.runtime.queue.start_budget import StartBudget
from elihu.runtime.queue.start_recorder import StartRecorder
from elihu.runtime.service import Identity, Scope, logger
from elihu.runtime.shielded_stop import ShieldedStop
from elihu.task import Registry
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import NodeRejoined, NodeStarted, NodeStopped
from elihu.telemetry.logs import adopt_configuration
from elihu.telemetry.records import add_fields, enable_own_loggers


@dataclass(frozen=True, slots=True)
class Program:
    """What the app gives a node to run. A ``split`` node serves these queues alone, and
    none that is started for all nodes.
    """

    registry: Registry
    middlewares: Sequence[Middleware] = ()
    arounds: Sequence[Around] = ()
    lifespan: Lifespan | None = None
    app: object | None = None
    queues: Mapping[str, int] = field(default_factory=dict)
    split: bool = False


@dataclass(frozen=True, slots=True)
class PollOfQueue:
    """When the poll of a queue is due. The stager of a node that leads looks into all
    queues.
    """

    queue: str
    seconds: Callable[[], float]
    looked: Callable[[str], float]

    def interval(self) -> float:
        return self.seconds()

    def since_look(self) -> float:
        return self.looked(self.queue)


class Node:
    """Executes jobs until it is stopped. ``stop`` may be called twice, and before
    ``start``.

    With a ``start_budget`` it starts no more attempts than that, and does no work of a
    leader.
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
        self._stop: ShieldedStop | None = None
        self._running = False
        self._stop_now = asyncio.Event()
        self.engine = engine_for(config, bus)
        failure_log = FailureLog()
        announcer = Announcer(self.engine, hub, failure_log)
        self.scope = Scope(config, self.engine, bus, clock, Identity(""), announcer, failure_log)
        self.listener = Listener(self.scope, self.engine.notifier(), hub)
        self.progress = Progress(self.scope)
        self.canceller = Canceller(self.scope, lambda: self.producers)
        self._nested_waits = NestedWaits(self.scope, lambda: self.producers)
        self._start_recorder = StartRecorder(self.scope, lambda: self.producers)
        self._start_budget = start_budget
        self._prefetch = {
            name: most for name, slots in program.queues.items() if (most := prefetch_of(slots))
        }
        self._info: dict[str, object] = {
            "queues": dict(program.queues),
            "prefetch": dict(self._prefetch),
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "crons": digests(declarations(program.registry.timetable)),
            "tasks": [name for task in program.registry for name in (task.name, *task.aliases)],
        }
        if start_budget is not None:
            self._info["once"] = True
        self.housekeeping = Housekeeping(
            config,
            bus,
            clock,
            hub,
            failure_log,
            name=config.node_name or socket.gethostname(),
            info=self._info,
            timetable=program.registry.timetable,
            leads=start_budget is None,
            callbacks=NodeCallbacks(
                rejoined=self._on_rejoined,
                cut_off=self._on_cut_off,
                held=self._held,
                describe=self._describe,
                replied=self._on_reply,
            ),
            counts=self.scope.counts,
        )
        self._threads = Threads()
        self.abandoned = Abandoned(
            self.scope, program.registry, describe=self.update_node_info, resumed=self._fetch_soon
        )
        self._pool = ProcessPool(
            config,
            AppLocation(config, program.app, needed=bool(program.lifespan or program.arounds)),
            with_context=bool(program.arounds),
        )
        self._executor = Executor(
            self._threads,
            self._pool,
            program.middlewares,
            config.max_result,
            TemplateCheck(self.engine),
            program.arounds,
        )
        self._state: object = None
        self.queues = QueueManager(
            self.scope,
            program.queues,
            split=program.split,
            make=self._producer,
            describe=self.update_node_info,
        )

    @property
    def producers(self) -> Sequence[Producer]:
        """Those that serve a queue, and those whose last jobs still run."""
        return self.queues.producers

    @property
    def unwritten(self) -> int:
        """How many attempts this node holds. After a stop, their ends could not be
        written.
        """
        return sum(len(producer.held) for producer in self.producers)

    @property
    def id(self) -> str:
        """The node's present identity."""
        return self.scope.identity.node

    async def start(self) -> None:
        """Start every part in order. When one fails or the start is cancelled, those
        that run are stopped.
        """
        self._stop = ShieldedStop(self._stop_now.set)
        try:
            await self._start(self._stop)
        except BaseException:
            self._stop.hurry()
            try:
                await self._stop.run()
            except Exception as error:
                logger.error("a start that failed could not be undone: %s", error)
            raise
        self._running = True
        if NodeStarted in self._bus:
            self._bus.emit(NodeStarted(node=self.id))

    async def _start(self, stop: ShieldedStop) -> None:
        guard_forks()
        add_fields()
        enable_own_loggers()
        stop.add(self.engine.close)
        await self.engine.open()
        await self.engine.check_schema()
        self.scope.identity.installation = await self.engine.installation()
        stop.add(self.scope.announcer.close)
        await declare(self.engine, self._program.registry.timetable)
        stop.add(self.housekeeping.stop)
        self.scope.identity.node = await self.housekeeping.start()
        leave = self._hub.join(self._receive)

        async def leave_hub() -> None:
            leave()

        stop.add(leave_hub)
        stop.add(self.listener.stop)
        await self.listener.start()
        stop.add(self.housekeeping.stop_services)
        await self.housekeeping.start_services()
        services = [self.canceller, self.abandoned, self._nested_waits, self.progress]
        if self._prefetch:
            services.append(self._start_recorder)
        for service in services:
            stop.add(service.stop)
            await service.start()
        stop.add(self._close_threads)
        stop.add(self._pool.close)
        if self._program.lifespan:
            holder = LifespanHolder(self._program.lifespan)
            stop.add(holder.leave)
            self._state = await holder.enter()
        adopt_configuration()
        stop.add(self._stop_producers)
        stop.add(self.queues.stop)
        await self.queues.start()

    async def stop(self, *, now: bool = False) -> None:
        """Stop in reverse order: running jobs have ``grace`` seconds to end, none with
        ``now``, and are then given back.

        A stop whose caller is cancelled is hurried and still completes.
        """
        if self._stop is None:
            return
        if now:
            self._stop.hurry()
        try:
            await self._stop.run()
        finally:
            was_running, self._running = self._running, False
            if was_running and NodeStopped in self._bus:
                self._bus.emit(NodeStopped(node=self.id))

    def hurry(self) -> None:
        """Do not wait for running jobs, in a stop that runs or in the next one."""
        self._stop_now.set()
        if self._stop is not None:
            self._stop.hurry()

    async def update_node_info(self, **facts: object) -> None:
        """Change the information in the node's row, now and under later identities."""
        self._info.update(facts)
        await self.engine.update_node_info(self.id, self._info)

    def _producer(self, queue: str, limit: int) -> Producer:
        producer = Producer(
            self.scope,
            queue,
            limit,
            registry=self._program.registry,
            executor=self._executor,
            progress=self.progress,
            abandoned=self.abandoned,
            poll=PollOfQueue(queue, self._poll, self._since_look),
            start_budget=self._start_budget,
            prefetch=0 if self._start_budget else self._prefetch.get(queue, 0),
        )
        producer.starter.state = self._state
        return producer

    def _poll(self) -> float:
        return self._config.poll if self.listener.works else self._config.poll_fallback

    def _since_look(self, queue: str) -> float:
        look = self.housekeeping.look
        if look is None or queue in look.queues:
            return math.inf
        return self.scope.clock.monotonic() - look.at

    def _fetch_soon(self) -> None:
        for producer in self.producers:
            producer.fetch_soon()

    def _held(self) -> list[Key]:
        return [key for producer in self.producers for key in producer.held]

    def _describe(self, task: "asyncio.Task[Any]") -> tuple[str, int, str] | None:
        """The task name, job and queue of the attempt in this task; callable from any
        thread.
        """
        for producer in self.producers:
            if execution := producer.attempts.execution_of(task):
                return execution.task.name, execution.claim.id, producer.queue
        return None

    def _on_reply(self, reply: HeartbeatReply) -> None:
        self.scope.identity.others = len(reply.peers)
        self.queues.digest_is(reply.overrides)

    def _on_cut_off(self, cut: bool) -> None:
        for producer in self.producers:
            producer.cut_off(cut)

    def _on_rejoined(self, node: str) -> None:
        removed, self.scope.identity.node = self.id, node
        for producer in self.producers:
            producer.lose_all()
        self.queues.wake()
        if NodeRejoined in self._bus:
            self._bus.emit(NodeRejoined(node=node, removed=removed))

    def _receive(self, signal: Signal) -> None:
        match signal:
            case (SignalKind.JOBS, queue):
                for producer in self.producers:
                    if not queue or producer.queue == queue:
                        producer.announced()
            case (SignalKind.INTENT, node):
                if not node or node == self.id:
                    self.canceller.wake()
            case (SignalKind.QUEUES, node):
                if not node or node == self.id:
                    self.queues.wake()
            case (SignalKind.CHANGED, _):
                for producer in self.producers:
                    producer.resync()
                self.canceller.wake()
                self.queues.wake()

    async def _close_threads(self) -> None:
        self._threads.close()

    async def _stop_producers(self) -> None:
        grace = self._config.grace
        results = await asyncio.gather(
            *(producer.stop(grace=grace, now=self._stop_now) for producer in self.producers),
            return_exceptions=True,
        )
        for error in results:
            if isinstance(error, Exception):
                logger.error(
                    "a queue failed to stop: %s: %s", type(error).__name__, error, exc_info=error
                )
