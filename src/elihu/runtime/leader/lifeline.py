"""The lifeline: attempts of nodes that are no more are ended as orphaned, row by row,
again and again; and jobs expire.
"""

from typing import ClassVar

from elihu.engines.protocol import Engine, Expired, Rescued
from elihu.failpoints import ACTIVE, reach
from elihu.job import FINISHED, JobState
from elihu.runtime.leader.election import Leader
from elihu.runtime.service import Scope, Service, Tick, logger
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
    """Cancel what did not start in time, in batches of ``limit`` until a batch is not
    full.
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
    """The queues that have available jobs by a rescue."""
    return sorted({job.queue for job in rescued if job.state is JobState.AVAILABLE})


def awaited_ends(rescued: list[Rescued]) -> list[int]:
    """The awaited jobs that a rescue ended."""
    return [job.id for job in rescued if job.awaited and job.state in FINISHED]


class Lifeline(Service):
    """On the leader, every ``lifeline.interval``; a node that buries another does not
    wait for it.
    """

    name: ClassVar = "lifeline"

    def __init__(self, scope: Scope, leader: Leader) -> None:
        super().__init__(scope)
        self._leader = leader

    async def tick(self) -> Tick:
        scope, options = self.scope, self.scope.config.lifeline
        if not self._leader.is_leader:
            return Tick(options.interval, {"rescued_count": 0, "expired_count": 0})
        rescued = await rescue_all(
            scope.engine, options.limit, bus=scope.bus, node=scope.identity.node
        )
        scope.announcer.queues(available_queues(rescued))
        scope.announcer.ended(awaited_ends(rescued))
        expired = await expire_all(
            scope.engine, options.limit, bus=scope.bus, node=scope.identity.node
        )
        scope.announcer.ended(job.id for job in expired if job.awaited)
        return Tick(
            options.interval, {"rescued_count": len(rescued), "expired_count": len(expired)}
        )
