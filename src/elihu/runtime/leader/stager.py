"""Staging: due jobs become available, and the queues that have available jobs are
announced.
"""

from typing import ClassVar, Final

from elihu.failpoints import ACTIVE, reach
from elihu.runtime.leader.election import Leader
from elihu.runtime.service import Scope, Service, Tick, logger
from elihu.telemetry.events import QueueUnserved

ASK_AGAIN: Final = 60.0
"""Seconds after which an unserved queue is looked up, and reported, again."""


class Stager(Service):
    """On the leader, every ``stager.interval``; a full batch is followed by the next
    one at once.
    """

    name: ClassVar = "stager"

    def __init__(self, scope: Scope, leader: Leader) -> None:
        super().__init__(scope)
        self._leader = leader
        self._looked_up: dict[str, float] = {}

    async def tick(self) -> Tick:
        options = self.scope.config.stager
        if not self._leader.is_leader:
            return Tick(options.interval, {"staged_count": 0, "queues": ()})
        staged = await self.scope.engine.stage(options.limit)
        if ACTIVE and any(staged.values()):
            reach("inside staging")
        self.scope.announcer.queues(staged)
        await self._report_unserved(staged)
        count = sum(staged.values())
        return Tick(
            0 if count >= options.limit else options.interval,
            {"staged_count": count, "queues": tuple(staged)},
        )

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
