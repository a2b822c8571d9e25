"""From how an attempt ended to the acknowledgement that is written of it."""

from asyncio import CancelledError

from elihu.context import LOG_LIMIT
from elihu.endings import CANCELLED_REASON, End, after
from elihu.engines.protocol import Ack, ClaimedJob
from elihu.engines.protocol.exchange import plain_ack
from elihu.errors import OnErrorFailed, ResultNotRecorded, ResultTooLarge
from elihu.job import JobState
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
from elihu.runtime.attempts.exception_groups import all_are
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.storable_text import clean


def ack_for(execution: Execution, ending: Ending) -> Ack:
    """What this ending means for the job: its next state, when, and the texts of its
    run.
    """
    log = execution.log_text
    if type(ending) is Complete and ending.problem is None and log is None:
        return plain_ack(execution.key, ending.value)
    return _ack(execution, ending)._replace(log=None if log is None else clean(log, LOG_LIMIT))


def given_back(claim: ClaimedJob, reason: str, delay: float | None = None) -> Ack:
    """The end of an attempt that the node gives back, not counted: at once, or
    ``delay`` seconds from now.
    """
    end = End.RETURNED if delay is None else End.POSTPONED
    return _of(claim, end)._replace(delay=delay, reason=_short(reason))


def _ack(execution: Execution, ending: Ending) -> Ack:
    claim = execution.claim
    match ending:
        case Complete(value=value, problem=None):
            return _of(claim, End.COMPLETED)._replace(value=value)
        case Complete(problem=problem, too_large=too_large):
            kind = ResultTooLarge if too_large else ResultNotRecorded
            return _of(claim, End.COMPLETED)._replace(
                reason=_short(problem), error_type=type_name(kind)
            )
        case Snooze(delay=delay):
            return _of(claim, End.SNOOZED)._replace(delay=delay)
        case Cancel(reason=reason):
            return _of(claim, End.CANCELLED)._replace(reason=_short(reason))
        case Cancelled():
            return _of(claim, End.CANCELLED)._replace(reason=CANCELLED_REASON)
        case Killed(raised):
            return _forced(execution, End.KILLED, RuntimeError("killed"), raised)
        case TimedOut(limit, raised):
            cause = TimeoutError(f"timeout: ran longer than {limit:g} s")
            return _forced(execution, End.TIMED_OUT, cause, raised)
        case Discard(reason=reason):
            return _of(claim, End.DISCARDED)._replace(reason=_short(reason))
        case Returned(reason=reason, delay=delay):
            return given_back(claim, reason, delay)
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


def _of(claim: ClaimedJob, end: End, *, on_error_pending: bool = False) -> Ack:
    """What the table of endings says of this end."""
    following = after(
        end,
        attempts_left=claim.attempt < claim.max_attempts,
        on_error_pending=on_error_pending,
    )
    return Ack(
        claim.id,
        claim.claim,
        following.outcome,
        following.state,
        refund_attempt=0 if following.counted else 1,
    )


def _failed(
    execution: Execution,
    error: BaseException,
    *,
    retry: bool,
    delay: float | None = None,
    reason: str | None = None,
) -> Ack:
    cancel = execution.cause is Cause.CANCEL
    end = End.CANCELLED if cancel else End.FAILED if retry else End.DISCARDED
    pending = execution.on_error_pending and not isinstance(error, OnErrorFailed)
    ack = _of(execution.claim, end, on_error_pending=pending)._replace(
        reason=CANCELLED_REASON if cancel else _short(reason or describe(error)),
        error=_short(describe(error)),
        traceback=traceback_of(error),
    )
    return _with_delay(execution, ack, error, delay)


def _forced(execution: Execution, end: End, cause: Exception, raised: BaseException | None) -> Ack:
    """Killed or timed out: tried again whatever ``retry_on`` and ``discard_on`` say.
    The traceback shows where the attempt was.
    """
    is_cancelled = raised is None or isinstance(raised, CancelledError)
    ack = _of(execution.claim, end, on_error_pending=execution.on_error_pending)._replace(
        reason=str(cause),
        error=None if raised is None or is_cancelled else _short(describe(raised)),
        traceback=None if raised is None else traceback_of(raised),
    )
    return _with_delay(execution, ack, cause)


def _with_delay(
    execution: Execution, ack: Ack, error: BaseException, delay: float | None = None
) -> Ack:
    """The same end with the seconds until the next attempt, where one follows."""
    if ack.state is not JobState.RETRYABLE:
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
    return ack._replace(delay=delay)


def _is_retried(execution: Execution, error: BaseException) -> bool:
    options = execution.task.options
    return (options.retry_on is None or all_are(error, options.retry_on)) and not all_are(
        error, options.discard_on
    )


def _short(text: str | None) -> str | None:
    return None if text is None else clean(str(text), ERROR_LIMIT)
