"""What is told of an attempt's end: an event, and a line in the log where it failed."""

from typing import Final, NamedTuple

from elihu.engines.protocol import Ack
from elihu.job import JobState, RunOutcome
from elihu.runtime.attempts.ack import report_failure
from elihu.runtime.attempts.execution import Execution
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobRaised, JobStopped

_FORCED: Final = (RunOutcome.KILLED, RunOutcome.TIMED_OUT)


class AttemptReport(NamedTuple):
    """An attempt, its end as the node saw it, and how many seconds it took."""

    execution: Execution
    ack: Ack
    error: BaseException | None
    duration: float

    def as_completed(self) -> "AttemptReport":
        """The same attempt, whose completion was committed whatever came after."""
        return self._replace(
            ack=self.ack._replace(outcome=RunOutcome.COMPLETED, state=JobState.COMPLETED),
            error=None,
        )

    def tell(self, bus: Bus) -> None:
        """Tell it now."""
        execution, ack, error, duration = self
        if error is not None or ack.outcome in _FORCED:
            report_failure(execution, ack)
        kind = JobRaised if error is not None else JobStopped
        if kind in bus:
            bus.emit(
                kind(
                    **execution.facts,
                    outcome=ack.outcome,
                    state=ack.state,
                    duration=duration,
                    error=error,
                )
            )
