"""Liveness: this node's heartbeat and the burial of others, on a thread, a loop and a
connection of its own.

Users' code that blocks the node's loop does not stop the beat. A node that finds its
own row gone was buried: it takes a new identity and the node drops its attempts.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from elihu.clock import Clock
from elihu.config import Config
from elihu.engines.protocol import Engine, HeartbeatReply, Peer
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.select import engine_for
from elihu.errors import ElihuError
from elihu.failpoints import ACTIVE, reach
from elihu.runtime.announcer import Hub, ended_signals
from elihu.runtime.failure_log import HEARTBEAT, FailureLog
from elihu.runtime.leader.lifeline import available_queues, awaited_ends, rescue_all
from elihu.runtime.membership.failure_detector import FailureDetector
from elihu.runtime.service import backoff_after, logger
from elihu.runtime.timers import pause
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import NodeRemoved

JOIN_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Listening:
    """What the node wants to hear of; both are called in the node's loop."""

    heartbeat_reply: Callable[[HeartbeatReply], None]
    rejoined: Callable[[str], None]


class Heartbeat:
    """Keeps one node alive in the table of nodes. ``stop`` may be called twice, and
    before ``start``.
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
        listening: Listening,
    ) -> None:
        self._config = config
        self._bus = bus
        self._clock = clock
        self._hub = hub
        self._failure_log = failure_log
        self._name = name
        self._info = info
        self._listening = listening
        self._detector = FailureDetector(heartbeat=config.heartbeat, dead_after=config.dead_after)
        self._node = str(uuid4())
        self._failures = 0
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> str:
        """Write the node's row and begin to beat; the node's identity. Raises
        ``DatabaseError`` when that fails.
        """
        self._outer = asyncio.get_running_loop()
        started: asyncio.Future[str] = self._outer.create_future()
        self._ended = asyncio.Event()
        self._inner = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._serve, args=(started,), name="elihu-liveness", daemon=True
        )
        self._thread.start()
        return await started

    async def stop(self) -> None:
        """Remove the node's row and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self._inner.call_soon_threadsafe(self._stopping.set)
        try:
            async with asyncio.timeout(self._config.call_timeout + JOIN_TIMEOUT):
                await self._ended.wait()
        except TimeoutError:
            logger.warning("the node's row could not be removed in time; other nodes will bury it")

    def _serve(self, started: asyncio.Future[str]) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._inner) as runner:
                runner.run(self._main(started))
        finally:
            self._tell(self._ended.set)

    async def _main(self, started: asyncio.Future[str]) -> None:
        engine = engine_for(self._config, self._bus)
        try:
            try:
                await engine.open()
                await engine.register_node(self._node, self._name, self._info)
            except BaseException as error:
                self._tell(_forget, started, None, error)
                return
            self._tell(_forget, started, self._node, None)
            await self._beat_until_stopped(engine, self._stopping)
            try:
                await engine.deregister_node(self._node)
            except ElihuError as error:
                logger.warning(
                    "the node's row could not be removed, other nodes will bury it: %s", error
                )
        finally:
            await engine.close()

    async def _beat_until_stopped(self, engine: Engine, stopping: asyncio.Event) -> None:
        next_beat = self._clock.monotonic()
        while not stopping.is_set():
            now = self._clock.monotonic()
            try:
                if now >= next_beat:
                    next_beat = now + self._config.heartbeat
                    peers = await self._beat(engine)
                else:
                    peers = await engine.peers(self._node)
                await self._remove_dead(
                    engine, self._detector.observe(self._clock.monotonic(), peers)
                )
                delay = min(next_beat, self._detector.next_check()) - self._clock.monotonic()
                self._failure_log.worked(HEARTBEAT)
                self._failures = 0
            except Exception as error:
                self._detector.reset()
                self._failures += 1
                self._failure_log.failed(HEARTBEAT, error)
                delay = backoff_after(self._failures)
                next_beat = self._clock.monotonic() + delay
            await pause(stopping, max(delay, 0.001))

    async def _beat(self, engine: Engine) -> list[Peer]:
        if ACTIVE:
            reach("before heartbeat")
        heartbeat_reply = await engine.heartbeat(self._node)
        if not heartbeat_reply.known:
            rejoined = str(uuid4())
            await engine.register_node(rejoined, self._name, self._info)
            logger.warning(
                "this node was buried as %s, dropped its attempts and goes on as %s",
                self._node,
                rejoined,
            )
            self._node = rejoined
            self._tell(self._listening.rejoined, rejoined)
        self._tell(self._listening.heartbeat_reply, heartbeat_reply)
        return heartbeat_reply.peers

    async def _remove_dead(self, engine: Engine, dead: list[Peer]) -> None:
        removed = False
        for peer in dead:
            if peer.id != self._node and await engine.remove_dead_node(peer.id, peer.beat):
                removed = True
                logger.warning("node %s is dead and buried", peer.id)
                if NodeRemoved in self._bus:
                    self._bus.emit(NodeRemoved(node=self._node, dead=peer.id))
        if removed:
            if ACTIVE:
                reach("before rescue")
            rescued = await rescue_all(
                engine, self._config.lifeline.limit, bus=self._bus, node=self._node
            )
            signals = [Signal(SignalKind.JOBS, queue) for queue in available_queues(rescued)]
            signals += ended_signals(awaited_ends(rescued))
            self._hub.deliver(signals)
            await engine.notify(signals)

    def _tell(self, call: Callable[..., object], *args: object) -> None:
        """Call in the node's loop, which may have ended."""
        with contextlib.suppress(RuntimeError):
            self._outer.call_soon_threadsafe(call, *args)


def _forget(started: asyncio.Future[str], node: str | None, error: BaseException | None) -> None:
    if started.done():
        return  # whoever waited was cancelled
    if error is not None:
        started.set_exception(error)
    elif node is not None:
        started.set_result(node)
