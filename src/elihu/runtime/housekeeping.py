"""The node's second thread: its heartbeat and its housekeeping.

Leader, stager, cron, lifeline, pruner and reconciler run here, on an event loop and
connections of their own, so a task that blocks the node's loop delays none of them. The
thread also watches the node's loop. When it dies it is started again, and the node has
a new identity then.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from elihu.clock import Clock
from elihu.config import Config
from elihu.engines.protocol import Engine, HeartbeatReply
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.select import engine_for
from elihu.runtime.announcer import Announcer, Hub
from elihu.runtime.attempt_counts import AttemptCounts
from elihu.runtime.failure_log import FailureLog
from elihu.runtime.leader.cron import Cron
from elihu.runtime.leader.election import Leader
from elihu.runtime.leader.expiry import Expiry
from elihu.runtime.leader.lifeline import Lifeline
from elihu.runtime.leader.pruner import Pruner
from elihu.runtime.leader.stager import Look, Stager
from elihu.runtime.loop_monitor import LoopMonitor
from elihu.runtime.membership.heartbeat import Heartbeat, HeartbeatCallbacks
from elihu.runtime.membership.rollups import RollUpWriter
from elihu.runtime.queue.ledger import Key
from elihu.runtime.queue.reconciler import Reconciler
from elihu.runtime.service import Identity, Scope, Service, backoff_after, logger
from elihu.task import Timetable
from elihu.telemetry.bus import Bus

JOIN_TIMEOUT: Final = 5.0
"""Seconds beyond a call's deadline that the end of the thread is waited for."""

PROMPT: Final = 1.0
"""Seconds in which the node's loop says which claims it holds."""

CONNECTIONS: Final = 2
"""Connections that the services of this thread share; the heartbeat has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCallbacks:
    """What the thread needs of the node. All but ``describe`` are called in the node's
    loop.
    """

    rejoined: Callable[[str], None]
    cut_off: Callable[[bool], None]
    held: Callable[[], list[Key]]
    describe: Callable[["asyncio.Task[Any]"], tuple[str, int, str] | None]
    replied: Callable[[HeartbeatReply], None]


class Housekeeping:
    """``start`` registers the node and begins to beat; ``start_services`` starts the
    services; both stop with ``stop_services`` and ``stop``. Each may be called twice,
    and ``stop`` before ``start``.
    """

    def __init__(
        self,
        config: Config,
        bus: Bus,
        clock: Clock,
        hub: Hub,
        failure_log: FailureLog,
        *,
        name: str,
        info: dict[str, object],
        timetable: Timetable,
        leads: bool,
        callbacks: NodeCallbacks,
        counts: AttemptCounts,
    ) -> None:
        self._config = config
        self._bus = bus
        self._clock = clock
        self._hub = hub
        self._failure_log = failure_log
        self._name = name
        self._info = info
        self._timetable = timetable
        self._leads = leads
        self._callbacks = callbacks
        self._counts = counts
        self._thread: threading.Thread | None = None
        self._inner: asyncio.AbstractEventLoop
        self._stopping = False
        self._stop: asyncio.Event
        self._serving = False
        self._deaths = 0
        self._leader: Leader | None = None
        self._stager: Stager | None = None
        self._cron: Cron | None = None
        self._reconciler: Reconciler | None = None
        self._services: list[Service] = []

    @property
    def look(self) -> Look | None:
        """The last look of this node's stager for available jobs."""
        return None if self._stager is None else self._stager.look

    async def start(self) -> str:
        """Start the thread and return the node's identity. Raises ``DatabaseError``."""
        self._outer = asyncio.get_running_loop()
        self._outer_thread = threading.get_ident()
        self._ended = asyncio.Event()
        started: asyncio.Future[str] = self._outer.create_future()
        self._launch(started)
        return await started

    async def start_services(self) -> None:
        self._serving = True
        await self._in_thread(self._start_services)

    async def stop_services(self) -> None:
        """Stop the services in reverse; a leader resigns."""
        self._serving = False
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):  # the thread's loop has ended
                await self._in_thread(self._stop_services)

    async def stop(self) -> None:
        """Remove the node's row and end the thread."""
        if self._thread is None:
            return
        self._stopping = True
        with contextlib.suppress(RuntimeError):
            self._inner.call_soon_threadsafe(self._stop.set)
        try:
            async with asyncio.timeout(self._config.call_timeout + JOIN_TIMEOUT):
                await self._ended.wait()
        except TimeoutError:
            logger.warning(
                "the row of this node could not be removed in time; other nodes will remove it"
            )
        self._thread = None

    async def _in_thread(self, call: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await call()

        coroutine = run()
        try:
            done = asyncio.run_coroutine_threadsafe(coroutine, self._inner)
        except BaseException:
            coroutine.close()
            raise
        await asyncio.wrap_future(done)

    def _launch(self, started: "asyncio.Future[str] | None") -> None:
        self._inner = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=self._serve,
            args=(self._inner, self._stop, started),
            name="elihu-housekeeping",
            daemon=True,
        )
        self._thread.start()

    def _serve(
        self,
        loop: asyncio.AbstractEventLoop,
        stop: asyncio.Event,
        started: "asyncio.Future[str] | None",
    ) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._main(stop, started))
        except BaseException as error:
            logger.error("the housekeeping thread died: %s: %s", type(error).__name__, error)
        finally:
            self._call_node(self._thread_ended, started)

    def _thread_ended(self, started: "asyncio.Future[str] | None") -> None:
        """Called in the node's loop. A thread that ended before its first start, or
        after ``stop``, is not started again.
        """
        if self._stopping or (started is not None and started.done() and _failed(started)):
            self._ended.set()
            return
        self._deaths += 1
        self._outer.call_later(backoff_after(self._deaths), self._relaunch)

    def _relaunch(self) -> None:
        if self._stopping:
            self._ended.set()
        else:
            self._launch(None)

    async def _main(self, stop: asyncio.Event, started: "asyncio.Future[str] | None") -> None:
        beating = engine_for(replace(self._config, connections=1), self._bus)
        engine = engine_for(replace(self._config, connections=CONNECTIONS), self._bus)
        identity = Identity("")
        callbacks = HeartbeatCallbacks(
            lease=self._lease,
            replied=self._on_reply,
            rejoined=lambda node: self._rejoin(identity, node),
            cut_off=lambda cut: self._call_node(self._callbacks.cut_off, cut),
        )
        heartbeat = Heartbeat(
            self._config,
            self._bus,
            self._clock,
            self._hub,
            self._failure_log,
            name=self._name,
            info=self._info,
            callbacks=callbacks,
        )
        try:
            try:
                await beating.open()
                await engine.open()
                identity.node = await heartbeat.register(beating)
            except BaseException as error:
                if started is None:
                    raise
                self._call_node(_resolve, started, None, error)
                return
            if started is None:
                self._call_node(self._callbacks.rejoined, identity.node)
            else:
                self._call_node(_resolve, started, identity.node, None)
            await self._work(heartbeat, beating, engine, identity, stop)
            await heartbeat.deregister(beating)
        finally:
            await engine.close()
            await beating.close()

    async def _work(
        self,
        heartbeat: Heartbeat,
        beating: Engine,
        engine: Engine,
        identity: Identity,
        stop: asyncio.Event,
    ) -> None:
        monitor = LoopMonitor(
            self._outer,
            self._outer_thread,
            self._bus,
            node=lambda: identity.node,
            describe=self._callbacks.describe,
        )
        announcer = Announcer(engine, self._hub, self._failure_log)
        scope = Scope(
            self._config,
            engine,
            self._bus,
            self._clock,
            identity,
            announcer,
            self._failure_log,
            self._counts,
        )
        self._services = self._make_services(scope, monitor)
        kinds = frozenset[SignalKind]().union(*(each.wakes_on for each in self._services))
        leave = self._hub.join(self._receive, kinds)
        watching = asyncio.create_task(monitor.run(), name="elihu-loop-monitor")
        try:
            if self._serving:
                await self._start_services()
            await heartbeat.run(beating, stop)
        finally:
            leave()
            watching.cancel()
            await self._stop_services()
            await announcer.close()

    def _make_services(self, scope: Scope, monitor: LoopMonitor) -> list[Service]:
        self._reconciler = reconciler = Reconciler(scope, lambda: self._held(monitor))
        writer = RollUpWriter(scope)
        if not self._leads:
            return [reconciler, writer]
        self._leader = leader = Leader(scope)
        self._cron = cron = Cron(scope, leader, self._timetable)
        expiry = Expiry(scope, leader)
        self._stager = stager = Stager(scope, leader, expiry)
        return [
            leader,
            stager,
            cron,
            Lifeline(scope, leader),
            expiry,
            Pruner(scope, leader),
            reconciler,
            writer,
        ]

    async def _start_services(self) -> None:
        for service in self._services:
            await service.start()

    async def _stop_services(self) -> None:
        for service in reversed(self._services):
            await service.stop()

    async def _held(self, monitor: LoopMonitor) -> list[Key] | None:
        """The claims that the node holds; None when its loop was blocked lately, since
        an answer to a fetch may then wait to be read.
        """
        answer: asyncio.Future[list[Key]] = self._inner.create_future()

        def ask() -> None:
            keys = self._callbacks.held()
            with contextlib.suppress(RuntimeError):
                self._inner.call_soon_threadsafe(_resolve, answer, keys, None)

        self._call_node(ask)
        try:
            async with asyncio.timeout(PROMPT):
                held = await answer
        except TimeoutError:
            return None
        return held if monitor.responsive_for(2 * self._config.call_timeout) else None

    def _receive(self, signal: Signal) -> None:
        """A signal, in the thread's loop."""
        for service in self._services:
            service.receive(signal)

    def _lease(self) -> float | None:
        return None if self._leader is None else self._leader.lease

    def _on_reply(self, reply: HeartbeatReply, asked: float) -> None:
        if self._leader is not None and reply.known:
            if reply.leads is not None:
                self._leader.renewed(asked, held=reply.leads)
            self._leader.lease_ends_in(reply.lease_ends_in)
        if self._cron is not None:
            self._cron.heartbeat_read(reply.crons, reply.now)
        if self._reconciler is not None:
            self._reconciler.executes(reply.executes)
        self._call_node(self._callbacks.replied, reply)

    def _rejoin(self, identity: Identity, node: str) -> None:
        identity.node = node
        if self._leader is not None:
            self._leader.wake()
        self._call_node(self._callbacks.rejoined, node)

    def _call_node(self, call: Callable[..., object], *args: object) -> None:
        """Call in the node's loop, which may have ended."""
        with contextlib.suppress(RuntimeError):
            self._outer.call_soon_threadsafe(call, *args)


def _failed(started: "asyncio.Future[str]") -> bool:
    return started.cancelled() or started.exception() is not None


def _resolve(waiting: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
    if waiting.done():
        return  # the caller was cancelled
    if error is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(value)
