"""What is told of an attempt's end: an event, and a line in the log where it failed."""

from typing import Final, NamedTuple

from elihu.engines.base import Ack
from elihu.job import JobState, RunResult
from elihu.runtime.acker import report_failure
from elihu.runtime.execution import Execution
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobRaised, JobStopped

_FORCED: Final = (RunResult.KILLED, RunResult.TIMEOUT)


class Told(NamedTuple):
    """An attempt, its end as the node saw it, and how many seconds it took."""

    execution: Execution
    ack: Ack
    error: BaseException | None
    duration: float

    def as_completed(self) -> "Told":
        """The same attempt, whose completion was committed whatever came after."""
        return self._replace(ack=self.ack._replace(result=RunResult.COMPLETED, state=JobState.COMPLETED), error=None)

    def tell(self, bus: Bus) -> None:
        """Tell it now."""
        execution, ack, error, duration = self
        if error is not None or ack.result in _FORCED:
            report_failure(execution, ack)
        kind = JobRaised if error is not None else JobStopped
        if kind in bus:
            bus.emit(kind(**execution.facts, result=ack.result, state=ack.state, duration=duration, error=error))
