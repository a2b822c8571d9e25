"""The reconciler: gives back what the database believes this node to run and it does
not, since a fetch's answer was lost.
"""

from collections.abc import Callable, Iterable
from typing import ClassVar

from elihu.runtime.leader.lifeline import available_queues, awaited_ends
from elihu.runtime.queue.producer import Producer
from elihu.runtime.service import Scope, Service, Tick, logger


class Reconciler(Service):
    """With each heartbeat; a claim younger than two call deadlines may still be on its
    way here.
    """

    name: ClassVar = "reconciler"

    def __init__(self, scope: Scope, producers: Callable[[], Iterable[Producer]]) -> None:
        super().__init__(scope)
        self._producers = producers

    async def tick(self) -> Tick:
        config = self.scope.config
        held = [key for producer in self._producers() for key in producer.held]
        given_back = await self.scope.engine.reconcile(
            self.scope.identity.node, held, 2 * config.call_timeout
        )
        if given_back:
            logger.warning("gave back %d jobs whose claim never arrived here", len(given_back))
            self.scope.announcer.queues(available_queues(given_back))
            self.scope.announcer.ended(awaited_ends(given_back))
        return Tick(config.heartbeat, {"released_count": len(given_back)})
