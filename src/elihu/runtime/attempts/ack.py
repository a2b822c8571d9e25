"""From how an attempt ended to what is written of it, and the outbox in which that
waits for the next exchange.
"""

from asyncio import CancelledError
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from elihu.context import LOG_LIMIT
from elihu.engines.protocol import Ack, ClaimedJob
from elihu.errors import DataRefused, ResultNotRecorded, ResultTooLarge
from elihu.job import JobState, RunOutcome
from elihu.options import backoff_seconds
from elihu.outcome import (
    Cancel,
    Cancelled,
    Complete,
    Discard,
    Ending,
    Failed,
    Killed,
    Retry,
    Returned,
    Snooze,
    TimedOut,
)
from elihu.remote_errors import type_name
from elihu.runtime.attempts.error_text import ERROR_LIMIT, describe, traceback_of
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.runtime.service import logger
from elihu.storable_text import clean

BATCH_BYTES: Final = 4 * 1_048_576
BATCH_ROWS: Final = 1_000

# Names of their own, where every job passes: a member of an enumeration is looked up by
# a call of Python.
_COMPLETED: Final = RunOutcome.COMPLETED
_JOB_COMPLETED: Final = JobState.COMPLETED


def ack_for(execution: Execution, ending: Ending) -> Ack:
    """What this ending means for the job: its next state, when, and what its run says."""
    if type(ending) is Complete and ending.problem is None and execution.context.log_text() is None:
        return Ack(
            execution.claim.id,
            execution.claim.claim,
            _COMPLETED,
            _JOB_COMPLETED,
            value=ending.value,
        )
    log = execution.context.log_text()
    return _forget(execution, ending)._replace(log=None if log is None else clean(log, LOG_LIMIT))


def _forget(execution: Execution, ending: Ending) -> Ack:
    job_id, claim = execution.key
    match ending:
        case Complete(value=value, problem=None):
            return Ack(job_id, claim, RunOutcome.COMPLETED, JobState.COMPLETED, value=value)
        case Complete(problem=problem, too_large=too_large):
            kind = ResultTooLarge if too_large else ResultNotRecorded
            return Ack(
                job_id,
                claim,
                RunOutcome.COMPLETED,
                JobState.COMPLETED,
                reason=_short(problem),
                error_type=type_name(kind),
            )
        case Snooze(delay=delay):
            return Ack(
                job_id, claim, RunOutcome.SNOOZED, JobState.SCHEDULED, delay=delay, refund_attempt=1
            )
        case Cancel(reason=reason):
            return Ack(
                job_id, claim, RunOutcome.CANCELLED, JobState.CANCELLED, reason=_short(reason)
            )
        case Cancelled():
            return Ack(job_id, claim, RunOutcome.CANCELLED, JobState.CANCELLED, reason="cancelled")
        case Killed(raised):
            return _forced(execution, RunOutcome.KILLED, RuntimeError("killed"), raised)
        case TimedOut(limit, raised):
            return _forced(
                execution,
                RunOutcome.TIMED_OUT,
                TimeoutError(f"timeout: ran longer than {limit:g} s"),
                raised,
            )
        case Discard(reason=reason):
            return Ack(job_id, claim, RunOutcome.FAILED, JobState.DISCARDED, reason=_short(reason))
        case Returned(reason=reason, delay=delay):
            return given_back(execution.claim, reason, delay)
        case Retry(reason=reason, delay=delay):
            return _failed(
                execution,
                RuntimeError(reason or "the task asked for a retry"),
                retry=True,
                delay=delay,
                reason=reason,
            )
        case Failed(error=error, retry=retry):
            ack = _failed(execution, error, retry=retry and _is_retried(execution, error))
            return ack._replace(error_type=_short(type_name(type(error))))


def given_back(claim: ClaimedJob, reason: str, delay: float | None = None) -> Ack:
    """The end of an attempt that the node gives back, not counted: at once, or
    ``delay`` seconds from now.
    """
    state = JobState.AVAILABLE if delay is None else JobState.SCHEDULED
    return Ack(
        claim.id,
        claim.claim,
        RunOutcome.RETURNED,
        state,
        delay=delay,
        refund_attempt=1,
        reason=_short(reason),
    )


def _failed(
    execution: Execution,
    error: BaseException,
    *,
    retry: bool,
    delay: float | None = None,
    reason: str | None = None,
) -> Ack:
    job_id, claim = execution.key
    text = reason or describe(error)
    ack = Ack(
        job_id,
        claim,
        RunOutcome.FAILED,
        JobState.DISCARDED,
        reason=_short(text),
        error=_short(describe(error)),
        traceback=traceback_of(error),
    )
    if execution.cause is Cause.CANCEL:
        return ack._replace(
            state=JobState.CANCELLED, outcome=RunOutcome.CANCELLED, reason="cancelled"
        )
    return _tried_again(execution, ack, error, delay) if retry else ack


def _forced(
    execution: Execution, result: RunOutcome, cause: Exception, raised: BaseException | None
) -> Ack:
    """Killed or timed out: tried again whatever ``retry_on`` and ``discard_on`` say;
    the traceback shows where it was.
    """
    job_id, claim = execution.key
    said = (
        None if raised is None or isinstance(raised, CancelledError) else _short(describe(raised))
    )
    traceback = None if raised is None else traceback_of(raised)
    ack = Ack(
        job_id,
        claim,
        result,
        JobState.DISCARDED,
        reason=str(cause),
        error=said,
        traceback=traceback,
    )
    return _tried_again(execution, ack, cause)


def _tried_again(
    execution: Execution, ack: Ack, error: BaseException, delay: float | None = None
) -> Ack:
    """This end with another attempt to come, where one is left."""
    if execution.attempt >= execution.max_attempts:
        return ack
    if delay is None:
        backoff = execution.options.get("backoff", execution.task.options.backoff)
        try:
            delay = backoff_seconds(
                backoff, execution.read_job, execution.attempt, execution.max_attempts, error
            )
        except BaseException as broken:
            delay = backoff_seconds(
                None, execution.read_job, execution.attempt, execution.max_attempts, error
            )
            note = f"backoff of task {execution.task.name!r} failed: {describe(broken)}"
            ack = ack._replace(error=_short(note if ack.error is None else f"{note}\n{ack.error}"))
    return ack._replace(state=JobState.RETRYABLE, delay=delay)


def _is_retried(execution: Execution, error: BaseException) -> bool:
    options = execution.task.options
    return (options.retry_on is None or isinstance(error, options.retry_on)) and not isinstance(
        error, options.discard_on
    )


def report_failure(execution: Execution, ack: Ack) -> None:
    """Log an attempt that failed: a warning while the job is tried again, an error when
    that was its end.
    """
    what = f"job {ack.id} ({execution.task.name}) failed in attempt {execution.attempt} of {execution.max_attempts}"
    why = ack.error or ack.reason
    if ack.state is JobState.RETRYABLE and ack.delay is not None:
        logger.warning("%s and is tried again in %.0f s: %s", what, ack.delay, why)
    else:
        logger.error("%s and is %s: %s", what, ack.state, why)


def _short(text: str | None) -> str | None:
    return None if text is None else clean(str(text), ERROR_LIMIT)


def smaller(acks: Sequence[Ack], error: DataRefused) -> list[Sequence[Ack]]:
    """What to send in place of a batch that the database refused, last piece first: its
    halves, of a single row only that it ended, and in place of that nothing.
    """
    if len(acks) > 1:
        middle = len(acks) // 2
        return [acks[middle:], acks[:middle]]
    (ack,) = acks
    logger.error("job %d: its end cannot be stored as it is: %s", ack.id, error)
    bare = ack._replace(
        value=None,
        error=None,
        traceback=None,
        log=None,
        error_type=None,
        reason="its end could not be stored: DataRefused",
    )
    return [] if ack == bare else [[bare]]


class Outbox:
    """Acknowledgements that wait to be sent, each job at most once in a batch."""

    def __init__(self) -> None:
        self._acks: deque[Ack] = deque()

    def __len__(self) -> int:
        return len(self._acks)

    def put(self, ack: Ack) -> None:
        self._acks.append(ack)

    def put_back(self, acks: Iterable[Ack]) -> None:
        """Those of a batch that failed, to the front and in their order."""
        self._acks.extendleft(reversed(list(acks)))

    def take(self) -> list[Ack]:
        """The next batch: at most ``BATCH_ROWS`` and about ``BATCH_BYTES``."""
        batch: dict[int, Ack] = {}
        later: list[Ack] = []
        size = 0
        while self._acks and len(batch) < BATCH_ROWS and size < BATCH_BYTES:
            ack = self._acks.popleft()
            if ack.id in batch:
                later.append(ack)
                continue
            batch[ack.id] = ack
            size += sum(len(text) for text in ack[6:] if text is not None)
        self.put_back(later)
        return list(batch.values())
