"""Staging: due jobs become available, and queues with available jobs are announced."""

from typing import ClassVar, Final, NamedTuple

from elihu.failpoints import ACTIVE, reach
from elihu.runtime.leader.election import Leader
from elihu.runtime.leader.expiry import Expiry
from elihu.runtime.service import Scope, Service, Tick, logger
from elihu.telemetry.events import QueueUnserved

ASK_AGAIN: Final = 60.0
"""Seconds after which an unserved queue is looked up, and reported, again."""
READY_PAUSE: Final = 10.0
"""So many times as long as reading the queues with available jobs took, it is not
repeated: beside many dead entries of the index it is slow.
"""
REFRESH: Final = 2.0
"""Seconds for which the served queues are not read again."""


class Look(NamedTuple):
    """The queues that had available jobs, ``at`` by the monotonic clock."""

    at: float
    queues: frozenset[str]


class Stager(Service):
    """Stages on the leader, every ``stager.interval``. After a full batch the next one
    follows at once. ``look`` is its last look for available jobs.
    """

    name: ClassVar = "stager"

    def __init__(self, scope: Scope, leader: Leader, expiry: Expiry) -> None:
        super().__init__(scope)
        self._leader = leader
        self._expiry = expiry
        self.look: Look | None = None
        self._looked_up: dict[str, float] = {}
        self._fetching: set[str] = set()
        self._ready_at = float("-inf")
        self._fetching_until = float("-inf")

    async def tick(self) -> Tick:
        options = self.scope.config.stager
        if not self._leader.is_leader:
            return Tick(options.interval, {"staged_count": 0, "queues": ()})
        begun = self.scope.clock.monotonic()
        ready = begun >= self._ready_at
        staged, expired = await self.scope.engine.stage(options.limit, ready=ready)
        if expired is not None:
            self._expiry.looked(begun, found=expired)
        if ready:
            took = self.scope.clock.monotonic() - begun
            self._ready_at = begun + READY_PAUSE * took
            self.look = Look(begun, frozenset(staged))
        if ACTIVE and any(staged.values()):
            reach("inside staging")
        self.scope.announcer.queues(await self._fetched_now(staged))
        await self._report_unserved(staged)
        count = sum(staged.values())
        return Tick(
            0 if count >= options.limit else options.interval,
            {"staged_count": count, "queues": tuple(staged)},
        )

    async def _fetched_now(self, staged: dict[str, int]) -> list[str]:
        """The queues to announce: those of jobs staged now, and of the others with
        available jobs those that a node serves and that are not paused.
        """
        others = {queue for queue, count in staged.items() if not count}
        if others:
            now = self.scope.clock.monotonic()
            if now >= self._fetching_until:
                self._fetching = await self._fetching_queues()
                self._fetching_until = now + REFRESH
            others &= self._fetching
        return [queue for queue, count in staged.items() if count or queue in others]

    async def _fetching_queues(self) -> set[str]:
        served: set[str] = set()
        for node in await self.scope.engine.nodes():
            names = node.info.get("queues")
            served.update(map(str, names) if isinstance(names, dict) else ())
        paused = {
            rule.queue
            for rule in await self.scope.engine.queue_overrides()
            if rule.node is None and rule.paused
        }
        return served - paused

    async def _report_unserved(self, queues: dict[str, int]) -> None:
        now = self.scope.clock.monotonic()
        self._looked_up = {queue: until for queue, until in self._looked_up.items() if until > now}
        ask = {queue for queue in queues if now >= self._looked_up.get(queue, now)}
        if not ask:
            return
        served: set[object] = set()
        for node in await self.scope.engine.nodes():
            names = node.info.get("queues")
            served.update(names if isinstance(names, dict) else ())
        self._looked_up |= dict.fromkeys(ask, now + ASK_AGAIN)
        if not (unserved := ask - served):
            return
        stopped = {
            rule.queue for rule in await self.scope.engine.queue_overrides() if rule.served is False
        }
        for queue in sorted(unserved - stopped):
            logger.warning("jobs are available in queue %r, which no node serves", queue)
            if QueueUnserved in self.scope.bus:
                self.scope.bus.emit(QueueUnserved(node=self.scope.identity.node, queue=queue))
