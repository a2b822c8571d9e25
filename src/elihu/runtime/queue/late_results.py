"""Values for those who began to wait while the attempt ran: nobody had asked to keep
them when it was claimed.
"""

from collections.abc import Sequence
from typing import Final

from elihu.engines.protocol.waits import LateResult
from elihu.errors import DatabaseError
from elihu.job import RunOutcome
from elihu.runtime.attempts.ack import ack_for
from elihu.runtime.attempts.execution import Execution
from elihu.runtime.attempts.executor import kept
from elihu.runtime.service import Scope, logger

_COMPLETED: Final = RunOutcome.COMPLETED


class LateResults:
    """Holds what a task returned until the end is written, whose answer tells whether
    somebody waits by now.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._returned: dict[int, Execution] = {}

    def put(self, execution: Execution, result: RunOutcome) -> None:
        """An attempt ended so, and is about to be acknowledged."""
        if execution.returned is not None and result is _COMPLETED:
            self._returned[execution.claim.id] = execution

    def drop(self, job_id: int) -> None:
        """The end is written, or refused."""
        self._returned.pop(job_id, None)

    def clear(self) -> None:
        self._returned.clear()

    async def tell(self, awaited: Sequence[int]) -> None:
        """Announce the ends of jobs that somebody awaits, and add their values first.
        Where that fails, those who wait learn that there is none.
        """
        late = [
            self._late(execution) for job_id in awaited if (execution := self._returned.get(job_id))
        ]
        if late:
            try:
                await self._scope.engine.add_results(late)
            except DatabaseError as error:
                logger.warning(
                    "the results of %d jobs could not be kept for those who wait for them: %s",
                    len(late),
                    error,
                )
        self._scope.announcer.ended(awaited)

    def _late(self, execution: Execution) -> LateResult:
        returned: Sequence[object] = execution.returned or ()
        ack = ack_for(execution, kept(execution, returned[0], self._scope.config.max_result))
        return LateResult(*execution.key, ack.value, ack.reason, ack.error_type)
