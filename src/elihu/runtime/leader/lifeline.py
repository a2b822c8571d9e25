"""The lifeline: ends the attempts of removed nodes as orphaned, row by row, and cancels
jobs that did not start in time.
"""

from typing import ClassVar

from elihu.engines.protocol import Engine, Expired, Rescued
from elihu.failpoints import ACTIVE, reach
from elihu.job import FINISHED, JobState
from elihu.runtime.leader.election import Leader
from elihu.runtime.service import Scope, Service, Tick, each_duty, logger
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobExpired, JobRescued


async def rescue_all(engine: Engine, limit: int, *, bus: Bus, node: str) -> list[Rescued]:
    """Rescue in batches of ``limit`` until a batch is not full."""
    rescued: list[Rescued] = []
    while True:
        batch = await engine.rescue(limit)
        rescued += batch
        if ACTIVE and batch:
            reach("inside rescue")
        for job in batch:
            if JobRescued in bus:
                bus.emit(JobRescued(node=node, job_id=job.id, queue=job.queue, state=job.state))
        if len(batch) < limit:
            break
    ended = [job for job in rescued if job.state is JobState.DISCARDED]
    if len(rescued) > len(ended):
        logger.warning("rescued jobs of dead nodes: %d", len(rescued) - len(ended))
    for job in ended:
        logger.error("job %d is discarded: its node died and no attempt is left", job.id)
    return rescued


async def expire_all(engine: Engine, limit: int, *, bus: Bus, node: str) -> list[Expired]:
    """Cancel jobs that did not start in time, in batches of ``limit`` until a batch is
    not full.
    """
    expired: list[Expired] = []
    while True:
        batch = await engine.expire(limit)
        expired += batch
        for job in batch:
            if JobExpired in bus:
                bus.emit(JobExpired(node=node, job_id=job.id, queue=job.queue))
        if len(batch) < limit:
            return expired


def available_queues(rescued: list[Rescued]) -> list[str]:
    """The queues in which rescued jobs became available."""
    return sorted({job.queue for job in rescued if job.state is JobState.AVAILABLE})


def awaited_ends(rescued: list[Rescued]) -> list[int]:
    """The awaited jobs that a rescue ended."""
    return [job.id for job in rescued if job.awaited and job.state in FINISHED]


class Lifeline(Service):
    """Rescues and expires on the leader, every ``lifeline.interval``. A node that
    removes a dead one rescues at once.

    The duties do not depend on each other: one that fails is raised after the others.
    """

    name: ClassVar = "lifeline"

    def __init__(self, scope: Scope, leader: Leader) -> None:
        super().__init__(scope)
        self._leader = leader

    async def tick(self) -> Tick:
        interval = self.scope.config.lifeline.interval
        if not self._leader.is_leader:
            return Tick(interval, {"rescued_count": 0, "expired_count": 0})
        rescued, expired = await each_duty(self._rescue, self._expire)
        return Tick(interval, {"rescued_count": rescued, "expired_count": expired})

    async def _rescue(self) -> int:
        scope = self.scope
        rescued = await rescue_all(
            scope.engine, scope.config.lifeline.limit, bus=scope.bus, node=scope.identity.node
        )
        scope.announcer.queues(available_queues(rescued))
        scope.announcer.ended(awaited_ends(rescued))
        return len(rescued)

    async def _expire(self) -> int:
        scope = self.scope
        expired = await expire_all(
            scope.engine, scope.config.lifeline.limit, bus=scope.bus, node=scope.identity.node
        )
        scope.announcer.ended(job.id for job in expired if job.awaited)
        return len(expired)
