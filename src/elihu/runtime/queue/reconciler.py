"""The reconciler: gives back jobs that the database believes this node to run and that
it does not run, since the answer to their fetch was lost.
"""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from elihu.runtime.leader.lifeline import available_queues, awaited_ends
from elihu.runtime.queue.ledger import Key
from elihu.runtime.service import FRESH, Scope, Service, Tick, logger


class Reconciler(Service):
    """Ticks with each heartbeat. ``held`` returns the claims that the node holds, None
    when it cannot say; then nothing is given back. A claim younger than two call
    deadlines may still be on its way here. Where the last heartbeat found no job that
    executes in the node's name, the database is not asked.
    """

    name: ClassVar = "reconciler"

    def __init__(self, scope: Scope, held: Callable[[], Awaitable[list[Key] | None]]) -> None:
        super().__init__(scope)
        self._held = held
        self._none_at = float("-inf")

    def executes(self, jobs: bool) -> None:
        """A heartbeat found whether jobs execute in the node's name."""
        self._none_at = float("-inf") if jobs else self.scope.clock.monotonic()

    async def tick(self) -> Tick:
        config = self.scope.config
        node = self.scope.identity.node
        if self.scope.clock.monotonic() - self._none_at < FRESH * config.heartbeat:
            return Tick(config.heartbeat, {"released_count": 0})
        held = await self._held()
        if held is None or node != self.scope.identity.node:
            return Tick(config.heartbeat, {"released_count": 0})
        given_back = await self.scope.engine.reconcile(node, held, 2 * config.call_timeout)
        if given_back:
            logger.warning(
                "gave back %d jobs: the answers to their fetches never arrived", len(given_back)
            )
            self.scope.announcer.queues(available_queues(given_back))
            self.scope.announcer.ended(awaited_ends(given_back))
        return Tick(config.heartbeat, {"released_count": len(given_back)})
