"""Records when jobs started that had waited in this node for a slot.

The end of an attempt brings its start. So only those that run for longer are written
here: until then the database shows them as waiting.
"""

from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from elihu.runtime.queue.producer import Producer
from elihu.runtime.service import Scope, Service, Tick

INTERVAL: Final = 1.0
"""Seconds between two writes."""


class StartRecorder(Service):
    """Writes nothing while no such attempt runs."""

    name: ClassVar = "starts"

    def __init__(self, scope: Scope, producers: Callable[[], Iterable[Producer]]) -> None:
        super().__init__(scope)
        self._producers = producers

    async def tick(self) -> Tick:
        begun = {
            execution.claim.id: execution
            for producer in self._producers()
            if producer.prefetch
            for execution in producer.running.values()
            if execution.waited
        }
        if not begun:
            return Tick(INTERVAL, {"recorded_count": 0})
        starts = [(*execution.key, execution.waited) for execution in begun.values()]
        node = self.scope.identity.node
        written = await self.scope.engine.record_starts(node, starts)
        for job_id in written:
            begun[job_id].waited = 0.0
        return Tick(INTERVAL, {"recorded_count": len(written)})
