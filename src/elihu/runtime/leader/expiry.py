"""Cancels jobs that did not start in time, soon after their expiry."""

from typing import ClassVar, Final

from elihu.runtime.leader.election import Leader
from elihu.runtime.leader.lifeline import expire_all
from elihu.runtime.service import Scope, Service, Tick

INTERVAL: Final = 1.0
"""Seconds between two ticks. No node fetches an expired job, so its waiters learn of the
end by this service.
"""


FRESH: Final = 1.5
"""Seconds for which the stager's finding that no job is past its expiry saves a call."""


class Expiry(Service):
    """Expires on the leader, every second and at most every ``lifeline.interval``, and at
    once when the stager finds a job past its expiry.
    """

    name: ClassVar = "expiry"

    def __init__(self, scope: Scope, leader: Leader) -> None:
        super().__init__(scope)
        self._leader = leader
        self._none_at = float("-inf")

    def looked(self, at: float, *, found: bool) -> None:
        """The stager looked for jobs past their expiry, ``at`` by the monotonic clock."""
        self._none_at = float("-inf") if found else at
        if found:
            self.wake()

    async def tick(self) -> Tick:
        scope = self.scope
        options = scope.config.lifeline
        delay = min(INTERVAL, options.interval)
        none_is_due = scope.clock.monotonic() - self._none_at < FRESH
        if not self._leader.is_leader or none_is_due:
            return Tick(delay, {"expired_count": 0})
        expired = await expire_all(
            scope.engine, options.limit, bus=scope.bus, node=scope.identity.node
        )
        scope.announcer.ended(job.id for job in expired if job.awaited)
        return Tick(delay, {"expired_count": len(expired)})
