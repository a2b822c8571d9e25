"""The lifeline: attempts of nodes that are no more are ended as orphaned, row by row, again and again."""

from typing import ClassVar

from elihu.engines.base import Engine, Rescued
from elihu.failpoints import ACTIVE, reach
from elihu.job import FINISHED, JobState
from elihu.runtime.leader import Leader
from elihu.runtime.service import Scope, Service, Tick, logger
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobRescued


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


def available_queues(rescued: list[Rescued]) -> list[str]:
    """The queues that have available jobs by a rescue."""
    return sorted({job.queue for job in rescued if job.state is JobState.AVAILABLE})


def awaited_ends(rescued: list[Rescued]) -> list[int]:
    """The awaited jobs that a rescue ended."""
    return [job.id for job in rescued if job.awaited and job.state in FINISHED]


class Lifeline(Service):
    """On the leader, every ``lifeline.interval``; a node that buries another does not wait for it."""

    name: ClassVar = "lifeline"

    def __init__(self, scope: Scope, leader: Leader) -> None:
        super().__init__(scope)
        self._leader = leader

    async def tick(self) -> Tick:
        options = self.scope.config.lifeline
        if not self._leader.is_leader:
            return Tick(options.interval, {"rescued_count": 0})
        rescued = await rescue_all(self.scope.engine, options.limit, bus=self.scope.bus, node=self.scope.identity.node)
        self.scope.announcer.queues(available_queues(rescued))
        self.scope.announcer.ended(awaited_ends(rescued))
        return Tick(options.interval, {"rescued_count": len(rescued)})
