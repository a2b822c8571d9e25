"""The pruner: removes finished jobs whose retention is over, old ticks of cron entries,
and old roll-ups.
"""

from typing import ClassVar, Final

from elihu.runtime.leader.election import Leader
from elihu.runtime.service import Scope, Service, Tick, each_duty

TICKS_KEPT: Final = 7 * 86_400.0
"""Seconds for which it can be seen which job a tick of a cron entry stored."""
MINUTES_KEPT: Final = 2 * 86_400.0
"""Seconds after which the roll-ups of minutes become hours."""
HOURS_KEPT: Final = 90 * 86_400.0
"""Seconds for which the roll-ups of hours are kept."""
REVIEWS: Final = 10
"""Batches that one round reviews after a change of the retention."""


class Pruner(Service):
    """On the leader, every ``pruner.interval``, in batches of ``pruner.limit``."""

    name: ClassVar = "pruner"

    def __init__(self, scope: Scope, leader: Leader) -> None:
        super().__init__(scope)
        self._leader = leader

    async def tick(self) -> Tick:
        pruned: list[int] = []
        if self._leader.is_leader:
            pruned = await each_duty(
                self._review, self._prune, self._prune_ticks, self._thin_rollups
            )
        return Tick(self.scope.config.pruner.interval, {"pruned_count": sum(pruned)})

    async def _review(self) -> int:
        """After a change of the retention, have jobs read again."""
        config = self.scope.config
        for _ in range(REVIEWS):
            if not await self.scope.engine.review_retention(config.retention, config.pruner.limit):
                break
        return 0

    async def _prune(self) -> int:
        config, removed = self.scope.config, 0
        limit = config.pruner.limit
        while self._leader.is_leader:
            batch = await self.scope.engine.prune(config.retention, limit)
            removed += batch.removed
            if batch.removed + batch.deferred < limit:
                break
        return removed

    async def _prune_ticks(self) -> int:
        """Remove old occurrences of cron entries, which are no jobs."""
        limit = self.scope.config.pruner.limit
        while self._leader.is_leader:
            if await self.scope.engine.prune_ticks(TICKS_KEPT, limit) < limit:
                break
        return 0

    async def _thin_rollups(self) -> int:
        limit = self.scope.config.pruner.limit
        while self._leader.is_leader:
            if not await self.scope.engine.thin_rollups(MINUTES_KEPT, HOURS_KEPT, limit):
                break
        return 0
