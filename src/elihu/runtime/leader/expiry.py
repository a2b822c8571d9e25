"""Cancels jobs that did not start in time, soon after their expiry."""

from typing import ClassVar, Final

from elihu.runtime.leader.election import Leader
from elihu.runtime.leader.lifeline import expire_all
from elihu.runtime.service import Scope, Service, Tick

INTERVAL: Final = 1.0
"""Seconds between two ticks. No node fetches an expired job, so its waiters learn of the
end by this service.
"""


class Expiry(Service):
    """Expires on the leader, every second and at most every ``lifeline.interval``."""

    name: ClassVar = "expiry"

    def __init__(self, scope: Scope, leader: Leader) -> None:
        super().__init__(scope)
        self._leader = leader

    async def tick(self) -> Tick:
        scope = self.scope
        options = scope.config.lifeline
        delay = min(INTERVAL, options.interval)
        if not self._leader.is_leader:
            return Tick(delay, {"expired_count": 0})
        expired = await expire_all(
            scope.engine, options.limit, bus=scope.bus, node=scope.identity.node
        )
        scope.announcer.ended(job.id for job in expired if job.awaited)
        return Tick(delay, {"expired_count": len(expired)})
