"""One attempt of a job through Django's connection, for tests: no node is involved."""

import inspect
import json
import logging
from contextlib import ExitStack
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import partial
from traceback import format_exception
from typing import Any

from asgiref.sync import async_to_sync
from django.db import Error, connections, transaction

from elihu import Cancel, Context, Discard, JobState, Retry, Snooze, Task
from elihu import Job as StoredJob
from elihu.contrib.django.fields import Moment, aware
from elihu.contrib.django.models import Job, Run
from elihu.contrib.django.project import project_app
from elihu.contrib.django.tables import table

logger = logging.getLogger("elihu")


class _Attempt:
    """What a ``Context`` needs. Progress is not kept."""

    cause: str | None = None
    committed = False
    on_error_due: str | None = None

    def __init__(self, job: StoredJob) -> None:
        self.attempt = job.attempt
        self.carrier: dict[str, str] = {}
        self.max_attempts = job.max_attempts
        self._job = job

    def read_job(self) -> StoredJob:
        return self._job

    def report(self, progress: str) -> None:
        """Nothing."""

    def complete(self, *_arguments: Any) -> None:
        """Nothing: the job completes when the function returns."""

    async def acomplete(self, *_arguments: Any) -> None:
        """Nothing."""


def perform(job: Job) -> str:
    """Run a job and store how it ended: ``completed failed discarded snoozed
    cancelled``.
    """
    task = project_app().task_named(job.task)
    started = datetime.now(UTC)
    ctx = Context(_Attempt(_as_claimed(job, started)))
    try:
        value = _call(task, job, ctx)
        raised: BaseException | None = value if _is_outcome(value) else None
    except (Exception, SystemExit) as error:
        value, raised = None, error
    return _store(task, job, started, value, raised)


def _call(task: Task[..., Any], job: Job, ctx: Context) -> Any:
    """The function inside a savepoint: after an error of the database the transaction of
    the test can go on.
    """
    args, kwargs = task.codec.decode(json.dumps(job.args))
    if task.context_parameter is not None:
        kwargs[task.context_parameter] = ctx
    call = partial(task.fn, *args, **kwargs)
    inside = partial(_acall_inside, call, ctx)
    run = async_to_sync(inside) if inspect.iscoroutinefunction(task.fn) else None
    alias = project_app().database
    if not connections[alias].in_atomic_block:
        return run() if run else _call_inside(call, ctx)
    kept: Exception | None = None
    with transaction.atomic(using=alias):
        try:
            return run() if run else _call_inside(call, ctx)
        except Exception as error:
            if _is_of_database(error):
                raise
            kept = error
    raise kept


def _call_inside(call: Any, ctx: Context) -> Any:
    with ExitStack() as stack:
        for around in project_app().arounds:
            stack.enter_context(around(ctx))
        return call()


async def _acall_inside(call: Any, ctx: Context) -> Any:
    with ExitStack() as stack:
        for around in project_app().arounds:
            stack.enter_context(around(ctx))
        return await call()


def _store(
    task: Task[..., Any], job: Job, started: datetime, value: Any, raised: BaseException | None
) -> str:
    now = datetime.now(UTC)
    attempt = job.attempt + 1
    changes: dict[str, Any] = {"claim": job.claim + 1, "attempt": attempt, "started_at": started}
    finished = {"finished_at": now}
    outcome = "failed"
    match raised:
        case None:
            end = outcome = "completed"
            changes |= {**finished, "state": JobState.COMPLETED, **_result(task, value)}
        case Snooze():
            end = outcome = "snoozed"
            due = now + timedelta(seconds=raised.delay)
            changes |= {"state": JobState.SCHEDULED, "scheduled_at": due, "attempt": job.attempt}
        case Cancel():
            end = outcome = "cancelled"
            changes |= {**finished, "state": JobState.CANCELLED, "reason": raised.reason}
        case _ if _is_final(task, raised, attempt, job.max_attempts):
            end = "discarded"
            changes |= {**finished, "state": JobState.DISCARDED, "reason": _line(raised)}
        case _:
            end = "failed"
            due = now + timedelta(seconds=_delay(task, raised, attempt))
            changes |= {"state": JobState.RETRYABLE, "scheduled_at": due}
    Job.objects.filter(pk=job.pk).update(**changes)
    if raised is not None:
        _store_run(job, attempt, started, now, outcome, raised)
        if outcome == "failed":
            logger.warning(
                "job %d (%s) failed in attempt %d of %d",
                job.pk,
                job.task,
                attempt,
                job.max_attempts,
                exc_info=raised,
            )
    return end


def _is_outcome(value: Any) -> bool:
    return isinstance(value, Snooze | Cancel | Discard | Retry)


def _is_final(task: Task[..., Any], error: BaseException, attempt: int, most: int) -> bool:
    options = task.options
    if isinstance(error, (Discard, *options.discard_on)):
        return True
    refused = options.retry_on is not None and not isinstance(error, (Retry, *options.retry_on))
    return refused or attempt >= most


def _delay(task: Task[..., Any], error: BaseException, attempt: int) -> float:
    if isinstance(error, Retry) and error.delay is not None:
        return error.delay
    backoff = task.options.backoff
    return backoff if isinstance(backoff, int | float) else float(15 + 2 ** min(attempt, 20))


def _result(task: Task[..., Any], value: Any) -> dict[str, Any]:
    try:
        return {"result": task.codec.encode_result(value, project_app().config.max_result)}
    except Exception as error:  # a value that cannot be stored completes the job too
        return {"reason": str(error)} if task.options.record else {}


def _store_run(
    job: Job, attempt: int, started: datetime, ended: datetime, outcome: str, error: BaseException
) -> None:
    kind = type(error)
    row = {
        "job_id": job.pk,
        "claim": job.claim + 1,
        "attempt": attempt,
        "started_at": started,
        "ended_at": ended,
        "outcome": outcome,
        "error": _line(error),
        "error_type": f"{kind.__module__}:{kind.__qualname__}",
        "traceback": "".join(format_exception(error)),
    }
    connection = connections[project_app().database]
    values = [
        field.get_db_prep_value(row[field.column], connection)
        if isinstance(field := Run._meta.get_field(name), Moment)
        else row[name]
        for name in row
    ]
    columns, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table('run')} ({columns}) VALUES ({marks})", values)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _is_of_database(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, Error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _as_claimed(job: Job, started: datetime) -> StoredJob:
    """The job as its task sees it."""
    names = [field.name for field in fields(StoredJob) if hasattr(job, field.name)]
    values = {name: getattr(job, name) for name in names}
    known: dict[str, Any] = {
        name: aware(value) if isinstance(value, datetime) else value
        for name, value in values.items()
    }
    known |= {
        "state": JobState.EXECUTING,
        "attempt": job.attempt + 1,
        "started_at": started,
        "meta": job.meta or {},
        "tags": tuple(job.tags),
        "unique_key": None,
    }
    return StoredJob(**known)
