"""What is logged and emitted of an attempt's end."""

import logging
import sys
from typing import Final, NamedTuple

from pydantic_core import from_json

from elihu.duration import show_duration
from elihu.engines.protocol import Ack
from elihu.job import JobState, RunOutcome
from elihu.runtime.attempts.execution import Execution
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobRaised, JobStarted, JobStopped

logger = logging.getLogger("elihu.attempts")

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
            log_failure(execution, ack, error)
        kind = JobRaised if error is not None else JobStopped
        if kind in bus:
            bus.emit(
                kind(
                    **execution.facts,
                    outcome=ack.outcome,
                    state=ack.state,
                    duration=duration,
                    error=error,
                    traceback=ack.traceback,
                )
            )


def started(execution: Execution, bus: Bus) -> dict[str, str]:
    """Emit that an attempt begins, and return what its handlers let it carry."""
    claim = execution.claim
    event = JobStarted(
        **execution.facts,
        max_attempts=claim.max_attempts,
        waited=max(0.0, (claim.started_at - claim.scheduled_at).total_seconds()),
        meta=from_json(claim.meta) if claim.meta else {},
    )
    bus.emit(event)
    return event.carrier


def log_failure(execution: Execution, ack: Ack, error: BaseException | None) -> None:
    """Log an attempt that failed: in one line when the job is tried again, as an error
    with the traceback when it is not.
    """
    is_retried = ack.state is JobState.RETRYABLE
    options = execution.task.options
    if not (options.log_errors if is_retried else options.log_final_error):
        return
    follows = (
        f"tried again in {show_duration(ack.delay)}"
        if is_retried and ack.delay is not None
        else ack.state
    )
    message = (
        f"job {ack.id} ({execution.task.name}) failed in attempt {execution.attempt} of "
        f"{execution.max_attempts} and is {follows}: "
        f"{' '.join((ack.error or ack.reason or '').split())}"
    )
    level = logging.WARNING if is_retried else logging.ERROR
    if logger.isEnabledFor(level):
        logger.handle(_record(execution, ack, level, message, None if is_retried else error))


def _record(
    execution: Execution, ack: Ack, level: int, message: str, error: BaseException | None
) -> logging.LogRecord:
    """The record, whose traceback is that of the run: an error of another process has no
    other.
    """
    here = sys._getframe()
    record = logger.makeRecord(
        logger.name,
        level,
        here.f_code.co_filename,
        here.f_lineno,
        "%s",
        (message,),
        None if error is None else (type(error), error, error.__traceback__),
        here.f_code.co_name,
        execution.log_fields,
    )
    if level >= logging.ERROR and ack.traceback is not None:
        record.exc_text = ack.traceback.rstrip("\n")
    return record
