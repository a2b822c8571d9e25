"""Tasks that a queue met and this node does not know: their jobs are put back for a
while, and other nodes may know them.
"""

from typing import Final

from elihu.engines.protocol import Ack, ClaimedJob
from elihu.runtime.attempts.ack import given_back
from elihu.runtime.service import Scope, logger
from elihu.telemetry.events import TaskUnknown

UNKNOWN_TASK_DELAY: Final = 30.0
"""Seconds for which a job of an unknown task is put back, and its name left out of this
node's fetches.
"""


class UnknownTasks:
    """Remembers the names for ``UNKNOWN_TASK_DELAY`` seconds each."""

    def __init__(self, scope: Scope, queue: str) -> None:
        self._scope = scope
        self._queue = queue
        self._until: dict[str, float] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Those to be left out of a fetch now."""
        if self._until:
            now = self._scope.clock.monotonic()
            self._until = {task: until for task, until in self._until.items() if until > now}
        return tuple(self._until)

    def put_back(self, claim: ClaimedJob, node: str) -> Ack:
        """Report a job whose task is unknown; the end of its attempt."""
        reason = f"this node knows no task named {claim.task!r}"
        if claim.task not in self._until:
            logger.warning(
                "queue %s: %s; its jobs are put back for %d s",
                self._queue,
                reason,
                UNKNOWN_TASK_DELAY,
            )
        self._until[claim.task] = self._scope.clock.monotonic() + UNKNOWN_TASK_DELAY
        if TaskUnknown in self._scope.bus:
            self._scope.bus.emit(
                TaskUnknown(task=claim.task, queue=self._queue, job_id=claim.id, node=node)
            )
        return given_back(claim, reason, UNKNOWN_TASK_DELAY)
