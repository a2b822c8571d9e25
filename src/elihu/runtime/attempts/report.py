"""What is logged and emitted of an attempt's end."""

from typing import Final, NamedTuple

from elihu.engines.protocol import Ack
from elihu.job import JobState, RunOutcome
from elihu.runtime.attempts.execution import Execution
from elihu.runtime.service import logger
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
        """The same attempt, whose completion was committed despite its later error."""
        return self._replace(
            ack=self.ack._replace(outcome=RunOutcome.COMPLETED, state=JobState.COMPLETED),
            error=None,
        )

    def publish(self, bus: Bus) -> None:
        """Emit the event, and log the attempt where it failed."""
        execution, ack, error, duration = self
        if error is not None or ack.outcome in _FORCED:
            log_failure(execution, ack)
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


def log_failure(execution: Execution, ack: Ack) -> None:
    """Log an attempt that failed: a warning when the job is tried again, an error when
    it is not.
    """
    what = (
        f"job {ack.id} ({execution.task.name}) failed in attempt {execution.attempt} "
        f"of {execution.max_attempts}"
    )
    why = ack.error or ack.reason
    options = execution.task.options
    is_final = ack.state is not JobState.RETRYABLE
    if not (options.log_final_error if is_final else options.log_errors):
        return
    if ack.state is JobState.RETRYABLE and ack.delay is not None:
        logger.warning("%s and is tried again in %.0f s: %s", what, ack.delay, why)
    else:
        logger.error("%s and is %s: %s", what, ack.state, why)
