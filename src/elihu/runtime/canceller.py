"""The canceller: ends attempts of which somebody asked it, on the node that runs them."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from elihu.runtime.producer import Producer
from elihu.runtime.service import Scope, Service, Tick


class Canceller(Service):
    """Looks on announcement and with each heartbeat; while nothing runs here there is nothing to look for."""

    name: ClassVar = "canceller"

    def __init__(self, scope: Scope, producers: Callable[[], Iterable[Producer]]) -> None:
        super().__init__(scope)
        self._producers = producers

    async def tick(self) -> Tick:
        heartbeat = self.scope.config.heartbeat
        if not any(producer.running for producer in self._producers()):
            return Tick(heartbeat, {"cancelled_count": 0})
        wishes = await self.scope.engine.intents(self.scope.identity.node)
        for job_id, claim, _ in wishes:
            for producer in self._producers():
                producer.cancel((job_id, claim))
        return Tick(heartbeat, {"cancelled_count": len(wishes)})
