"""The canceller: ends the attempts of this node for which an end was requested, and
cancels the context of those whose job was taken from the node.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from elihu.job import Intent
from elihu.runtime.attempts.execution import Cause
from elihu.runtime.queue.producer import Producer
from elihu.runtime.service import Scope, Service, Tick

_CAUSES: Final = {Intent.CANCEL: Cause.CANCEL, Intent.KILL: Cause.KILL}


class Canceller(Service):
    """Ticks on announcement and with each heartbeat. Reads nothing while no job runs or
    waits for a slot.
    """

    name: ClassVar = "canceller"

    def __init__(self, scope: Scope, producers: Callable[[], Iterable[Producer]]) -> None:
        super().__init__(scope)
        self._producers = producers

    async def tick(self) -> Tick:
        engine, node = self.scope.engine, self.scope.identity.node
        running = {key: producer for producer in self._producers() for key in producer.claims}
        counts: Counter[Cause] = Counter()
        if running:
            found = [
                ((job_id, claim), _CAUSES[intent])
                for job_id, claim, intent in await engine.intents(node)
            ]
            found += [(key, Cause.STOP) for key in await engine.lost_claims(node, list(running))]
            for key, cause in found:
                if key in running and running[key].end(key, cause):
                    counts[cause] += 1
        counted = {
            "cancelled_count": counts[Cause.CANCEL],
            "killed_count": counts[Cause.KILL],
            "stopped_count": counts[Cause.STOP],
        }
        return Tick(self.scope.config.heartbeat, counted)
