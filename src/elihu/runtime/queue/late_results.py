"""Results for waits that began after the job was claimed.

The claim did not ask for the value to be stored, so it is held here until the
acknowledgement says whether a caller waits.
"""

from collections.abc import Iterable, Sequence

from elihu.engines.protocol.waits import LateResult
from elihu.errors import DatabaseError
from elihu.runtime.attempts.ack import ack_for
from elihu.runtime.attempts.execution import Execution
from elihu.runtime.attempts.executor import kept
from elihu.runtime.service import Scope, logger


class LateResults:
    """Holds the values of completed attempts until their ends are written."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._returned: dict[int, Execution] = {}

    def put(self, execution: Execution) -> None:
        """Hold the value of an attempt that completed."""
        self._returned[execution.claim.id] = execution

    def drop(self, keys: Iterable[tuple[int, int]]) -> None:
        """The ends of these attempts (id, claim) are written or refused."""
        pop = self._returned.pop
        for job_id, _ in keys:
            pop(job_id, None)

    def clear(self) -> None:
        self._returned.clear()

    async def deliver(self, awaited: Sequence[int]) -> None:
        """Store the values of these awaited jobs, then announce their ends. When
        storing fails the waits end without a value.
        """
        late = [
            self._late(execution) for job_id in awaited if (execution := self._returned.get(job_id))
        ]
        if late:
            try:
                await self._scope.engine.add_results(late)
            except DatabaseError as error:
                logger.warning(
                    "the results of %d awaited jobs were not stored: %s", len(late), error
                )
        self._scope.announcer.ended(awaited)

    def _late(self, execution: Execution) -> LateResult:
        returned: Sequence[object] = execution.returned or ()
        ack = ack_for(execution, kept(execution, returned[0], self._scope.config.max_result))
        return LateResult(*execution.key, ack.value, ack.reason, ack.error_type)
