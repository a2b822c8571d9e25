"""Results of Django's tasks, from jobs and their runs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django.utils.module_loading import import_string

from elihu import Context, JobState, RunOutcome
from elihu import Job as StoredJob
from elihu.contrib.django.fields import as_in_django
from elihu.contrib.django.models import Job, Run
from elihu.contrib.django.tasks_api import InvalidTask, TaskError, TaskResult, TaskResultStatus

MARK: Final = "django_task"
"""The key of a job's meta that holds what only Django knows of its task."""

_STATUS: Final = {
    JobState.COMPLETED: TaskResultStatus.SUCCESSFUL,
    JobState.DISCARDED: TaskResultStatus.FAILED,
    JobState.CANCELLED: TaskResultStatus.FAILED,
}
_UNCOUNTED: Final = {RunOutcome.SNOOZED, RunOutcome.STOPPED, RunOutcome.RETURNED}
_FAILED: Final = {
    RunOutcome.FAILED,
    RunOutcome.KILLED,
    RunOutcome.TIMED_OUT,
    RunOutcome.ORPHANED,
}


def result_of_new(task: Any, job: StoredJob) -> TaskResult:
    """The result of a job that an enqueue returned. Where it is stored at the commit of
    another database, the id is 0 and ``enqueued_at`` None.
    """
    result = _result(task, job, [])
    if not job.id:
        object.__setattr__(result, "enqueued_at", None)
    return result


def set_stored(result: TaskResult, job: StoredJob) -> None:
    """Give a result the id and the time of its job, which is stored now."""
    object.__setattr__(result, "id", str(job.id))
    object.__setattr__(result, "enqueued_at", as_in_django(job.inserted_at))


def running_result(task: Any, ctx: Context) -> TaskResult:
    """The result of the job that runs, as its function sees it."""
    job = ctx.job
    return _result(
        _of_job(task, job),
        replace(job, state=JobState.EXECUTING, attempt=ctx.attempt),
        _runs(job.id) if ctx.attempt > 1 else [],
    )


def stored_result(result_id: str, backend: str) -> TaskResult | None:
    """The result of a stored job. None where there is none of Django's tasks with this
    id in this backend.
    """
    if not (result_id.isascii() and result_id.isdecimal() and len(result_id) < 19):
        return None
    jobs = Job.objects
    job = jobs.filter(pk=int(result_id)).first()
    if job is None or (job.meta or {}).get(MARK, {}).get("backend") != backend:
        return None
    return _result(_of_job(import_string(job.task), job), job, _runs(job.id))


def _runs(job_id: int) -> list[Any]:
    return list(Run.objects.filter(job_id=job_id).order_by("claim"))


def _of_job(task: Any, job: Any) -> Any:
    """The task with the queue, priority and time of the job."""
    details = (job.meta or {}).get(MARK, {})
    after = details.get("run_after")
    with suppress(InvalidTask):  # the settings have changed since
        return task.using(
            queue_name=job.queue,
            priority=details.get("priority"),
            backend=details.get("backend"),
            run_after=None if after is None else datetime.fromisoformat(after),
        )
    return task


def _result(task: Any, job: Any, runs: Sequence[Any]) -> TaskResult:
    counted = [run for run in runs if run.outcome not in _UNCOUNTED]
    starts = [as_in_django(run.started_at) for run in counted]
    if job.started_at is not None:
        starts.append(as_in_django(job.started_at))
    running = job.state == JobState.EXECUTING and job.started_at is not None
    status = _STATUS.get(JobState(job.state), TaskResultStatus.READY)
    result = TaskResult(
        task=task,
        id=str(job.id),
        status=TaskResultStatus.RUNNING if running else status,
        enqueued_at=as_in_django(job.inserted_at),
        started_at=min(starts, default=None),
        last_attempted_at=max(starts, default=None),
        finished_at=None if job.finished_at is None else as_in_django(job.finished_at),
        args=job.args["args"],
        kwargs=job.args["kwargs"],
        backend=task.backend,
        errors=_errors(job, counted),
        worker_ids=_worker_ids(job, counted),
    )
    if job.state == JobState.COMPLETED:
        object.__setattr__(result, "_return_value", job.result)
    return result


def _errors(job: Any, counted: Sequence[Any]) -> list[TaskError]:
    found = [
        TaskError(
            exception_class_path=(run.error_type or "elihu:JobFailed").replace(":", "."),
            traceback=run.traceback or run.error or run.reason or run.outcome,
        )
        for run in counted
        if run.outcome in _FAILED
    ]
    if job.state == JobState.CANCELLED:
        reason = job.reason or "the job was cancelled"
        found.append(TaskError(exception_class_path="elihu.JobCancelled", traceback=reason))
    elif job.state == JobState.DISCARDED and not found:
        reason = job.reason or "the job was discarded"
        found.append(TaskError(exception_class_path="elihu.JobFailed", traceback=reason))
    return found


def _worker_ids(job: Any, counted: Sequence[Any]) -> list[str]:
    """The node of each attempt that counts. A plainly completed one, and one that runs,
    has no row of its own.
    """
    nodes = [run.node or "" for run in counted]
    waits = job.state == JobState.EXECUTING and job.started_at is None
    attempts = job.attempt - waits
    nodes += [job.node or ""] * (attempts - len(nodes))
    return nodes[len(nodes) - attempts :]
