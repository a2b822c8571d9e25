"""From the stored end of a job to the task's value, or to the exception that a waiter
raises.
"""

import json

from elihu.engines.protocol.waits import JobEnd
from elihu.errors import (
    InvalidArguments,
    JobCancelled,
    JobDiscarded,
    JobFailed,
    JobNotFound,
    JobSnoozed,
    ResultNotRecorded,
    ResultTooLarge,
    UnknownTask,
)
from elihu.job import Job, JobState, RunOutcome
from elihu.relay import Answer
from elihu.remote_errors import rebuild, type_name, with_traceback
from elihu.task import Registry

NOT_KEPT = "no wait began before the end, and the task is not declared with record=True"


def answer_of(registry: Registry, job_id: int, job: Job | None, end: JobEnd) -> Answer:
    """The answer to a wait for this job."""
    if end.state is None or job is None:
        return Answer(error=JobNotFound(job_id))
    if end.state is JobState.CANCELLED:
        return Answer(error=JobCancelled(job_id, end.reason))
    if end.state is JobState.COMPLETED:
        return _completed(registry, job, end)
    return Answer(error=_failed(job_id, end))


def _failed(job_id: int, end: JobEnd) -> Exception:
    match end.outcome:
        case RunOutcome.SNOOZED:
            return JobSnoozed(job_id)
        case RunOutcome.TIMED_OUT | RunOutcome.KILLED:
            return with_traceback(
                JobFailed(job_id, end.run_reason or end.outcome.value, traceback=end.traceback),
                end.traceback,
            )
        case RunOutcome.FAILED if end.error is not None:
            own = rebuild(end.error_type, end.error, end.traceback) if end.error_type else None
            return own or with_traceback(
                JobFailed(job_id, end.error, traceback=end.traceback), end.traceback
            )
    return JobDiscarded(job_id, end.reason)


def _completed(registry: Registry, job: Job, end: JobEnd) -> Answer:
    if end.value is None:
        kind = ResultTooLarge if end.error_type == type_name(ResultTooLarge) else ResultNotRecorded
        return Answer(error=kind(job.id, end.reason or NOT_KEPT))
    try:
        codec = registry.get(job.task).codec
    except UnknownTask:
        codec = None
    try:
        return Answer(json.loads(end.value) if codec is None else codec.decode_result(end.value))
    except (InvalidArguments, ValueError, RecursionError) as error:
        return Answer(
            error=_chained(
                ResultNotRecorded(job.id, f"it does not fit the task's return type: {error}"), error
            )
        )


def _chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error
