"""This node's heartbeat, and the removal of nodes that are dead.

A node that finds its own row gone was removed by another one: it takes a new identity
and drops its attempts.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from elihu.clock import Clock
from elihu.config import Config
from elihu.engines.protocol import Engine, HeartbeatReply, Peer
from elihu.engines.protocol.signals import Signal, SignalKind
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


@dataclass(frozen=True, slots=True)
class HeartbeatCallbacks:
    """What the heartbeat asks and reports, each called in the heartbeat's event loop: the
    seconds for which to renew the lease (None where the node does not lead), an answer of
    the database with the monotonic time of the call, a new identity, and whether the node
    is cut off from the database.
    """

    lease: Callable[[], float | None]
    replied: Callable[[HeartbeatReply, float], None]
    rejoined: Callable[[str], None]
    cut_off: Callable[[bool], None]


class Heartbeat:
    """Keeps the row of one node alive through an engine of its own."""

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
        callbacks: HeartbeatCallbacks,
    ) -> None:
        self.node = ""
        self._config = config
        self._bus = bus
        self._clock = clock
        self._hub = hub
        self._failure_log = failure_log
        self._name = name
        self._info = info
        self._callbacks = callbacks
        self._detector = FailureDetector(heartbeat=config.heartbeat, dead_after=config.dead_after)
        self._failures = 0
        self._last_reply = 0.0
        self._cut_off = False

    async def register(self, engine: Engine) -> str:
        """Write the row of a node with a new identity and return the identity. Raises
        ``DatabaseError``.
        """
        node = str(uuid4())
        await engine.register_node(node, self._name, self._info)
        self.node = node
        self._replied()
        return node

    async def run(self, engine: Engine, stopping: asyncio.Event) -> None:
        """Beat until ``stopping`` is set."""
        next_beat = self._clock.monotonic()
        while not stopping.is_set():
            now = self._clock.monotonic()
            try:
                if now >= next_beat:
                    next_beat = now + self._config.heartbeat
                    peers = await self._beat(engine)
                else:
                    peers = await engine.peers(self.node)
                self._replied()
                dead = self._detector.observe(self._clock.monotonic(), peers)
                await self._remove_dead(engine, dead)
                delay = min(next_beat, self._detector.next_check()) - self._clock.monotonic()
                self._failure_log.worked(HEARTBEAT)
                self._failures = 0
            except Exception as error:
                self._detector.reset()
                self._failures += 1
                self._failure_log.failed(HEARTBEAT, error)
                delay = self._after_failure()
                next_beat = self._clock.monotonic() + delay
            await pause(stopping, max(delay, 0.001))

    async def deregister(self, engine: Engine) -> None:
        """Remove the node's row, where the database answers."""
        try:
            await engine.deregister_node(self.node)
        except ElihuError as error:
            logger.warning(
                "the row of this node could not be removed; other nodes will remove it: %s", error
            )

    async def _beat(self, engine: Engine) -> list[Peer]:
        if ACTIVE:
            reach("before heartbeat")
        asked = self._clock.monotonic()
        reply = await engine.heartbeat(self.node, lease=self._callbacks.lease())
        if not reply.known:
            removed = self.node
            await self.register(engine)
            logger.warning(
                "this node was removed as %s: it cancels its attempts and continues as %s",
                removed,
                self.node,
            )
            self._callbacks.rejoined(self.node)
        self._callbacks.replied(reply, asked)
        return reply.peers

    def _replied(self) -> None:
        """The database answered."""
        self._last_reply = self._clock.monotonic()
        if self._cut_off:
            self._cut_off = False
            self._callbacks.cut_off(False)

    def _after_failure(self) -> float:
        """Seconds until the next beat. A node without an answer for ``dead_after`` less
        one heartbeat is cut off: others are about to take its jobs.
        """
        cut_off_at = self._last_reply + max(
            self._config.dead_after - self._config.heartbeat, self._config.heartbeat
        )
        left = cut_off_at - self._clock.monotonic()
        if left <= 0 and not self._cut_off:
            self._cut_off = True
            logger.warning(
                "this node is cut off from the database: it fetches nothing, and running attempts "
                "see ctx.cancelled"
            )
            self._callbacks.cut_off(True)
        delay = backoff_after(self._failures)
        return min(delay, left) if left > 0 else delay

    async def _remove_dead(self, engine: Engine, dead: list[Peer]) -> None:
        removed = False
        for peer in dead:
            if peer.id != self.node and await engine.remove_dead_node(peer.id, peer.beat):
                removed = True
                logger.warning("node %s is dead and was removed", peer.id)
                if NodeRemoved in self._bus:
                    self._bus.emit(NodeRemoved(node=self.node, dead=peer.id))
        if removed:
            if ACTIVE:
                reach("before rescue")
            rescued = await rescue_all(
                engine, self._config.lifeline.limit, bus=self._bus, node=self.node
            )
            signals = [Signal(SignalKind.JOBS, queue) for queue in available_queues(rescued)]
            signals += ended_signals(awaited_ends(rescued))
            signals.append(Signal(SignalKind.LEADER))  # the dead node may have led
            self._hub.deliver(signals)
            await engine.notify(signals)
