"""A backend for ``TASKS``: Django's tasks as jobs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final

from django.core import checks
from django.db import transaction
from django.db.models import Model

from elihu import ElihuError, InvalidOption
from elihu import Job as StoredJob
from elihu.contrib.django.calls import declare
from elihu.contrib.django.connections import open_elsewhere
from elihu.contrib.django.fields import aware
from elihu.contrib.django.project import project_app
from elihu.contrib.django.results import MARK, result_of_new, set_stored, stored_result
from elihu.contrib.django.tasks_api import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    normalize_json,
    task_backends,
    task_enqueued,
)

LOWEST: Final = -100
HIGHEST: Final = 100
_ONE_ATTEMPT: Final = {"max_attempts": 1}
_OF_JOB: Final = {"backoff", "expires", "max_attempts", "tags", "timeout", "unique"}
_OF_DJANGO: Final = {
    "name": "the path of the function",
    "queue": "queue_name",
    "priority": "priority",
    "aliases": "the path of the function",
    "record": "nothing: results are always stored",
    "template": "@app.task",
    "meta": "@app.task",
}
"""Task options that Django's own attributes, or none, stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElihuTask(Task):
    """A task with options of Elihu's. ``@task(max_attempts=5)`` gives one to this task,
    ``OPTIONS`` to all of a backend.
    """

    backoff: Any = None
    discard_on: Any = None
    expires: Any = None
    max_attempts: int | None = None
    max_orphans: int | None = None
    retry_on: Any = None
    run_in: str | None = None
    tags: Any = None
    timeout: Any = None
    unique: Any = None

    def given_options(self) -> dict[str, Any]:
        """The options of this task that are not None."""
        found = {name: getattr(self, name) for name in _OPTIONS}
        return {name: value for name, value in found.items() if value is not None}


_OPTIONS: Final = tuple({each.name for each in fields(ElihuTask)} - {f.name for f in fields(Task)})


class Backend(BaseTaskBackend):
    """Stores Django's tasks as jobs of the project's app.

    ``OPTIONS`` are task options; without one, a task has a single attempt. A higher
    priority of Django's is a lower one of Elihu's, 0 to 9. The default is 4.
    """

    task_class = ElihuTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        for name in _OF_DJANGO.keys() & self.options.keys():
            raise InvalidOption(
                f"TASKS[{alias!r}]: OPTIONS: expected no {name!r}, got one: use {_OF_DJANGO[name]}"
            )

    def validate_task(self, task: Any) -> None:
        super().validate_task(task)
        try:
            declare(
                task,
                {
                    **self._options_of(task),
                    "queue": task.queue_name,
                    "priority": priority_of(task.priority),
                },
            )
        except ElihuError as error:
            raise InvalidTask(str(error)) from error

    def enqueue(self, task: Any, args: Iterable[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        self.validate_task(task)
        _refuse_records([*args, *kwargs.values()])
        values = {"args": normalize_json(list(args)), "kwargs": normalize_json(dict(kwargs))}
        details = {"backend": self.alias, "priority": task.priority}
        if task.run_after is not None:
            details["run_after"] = task.run_after.isoformat()
        app = project_app()
        configured = app.task_named(task.module_path).using(
            queue=task.queue_name,
            priority=priority_of(task.priority),
            meta={MARK: details},
            **self._options_of_job(task),
        )
        job: StoredJob = configured.enqueue(**values)
        result = result_of_new(task, job)
        self._send_enqueued(result, job)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        result = stored_result(result_id, self.alias)
        if result is None:
            raise TaskResultDoesNotExist(result_id)
        return result

    def check(self, **_options: Any) -> list[checks.CheckMessage]:
        app = project_app()
        if app.refusal is not None or not app.config.require_queues:
            return []
        return [
            checks.Warning(
                f"Queue {queue!r} of TASKS[{self.alias!r}] is served by no node.",
                hint='Add it to "queues" in settings.ELIHU.',
                id="elihu.W001",
            )
            for queue in sorted(self.queues - set(app.config.queues))
        ]

    def _send_enqueued(self, result: TaskResult, job: StoredJob) -> None:
        """Send the signal once the job is stored, if that was not stored before."""
        if not job.id and (other := open_elsewhere(project_app().database)):
            transaction.on_commit(partial(self._send_enqueued, result, job), using=other)
            return
        set_stored(result, job)
        if not job.conflict:
            task_enqueued.send(type(self), task_result=result)

    def _options_of(self, task: Any) -> dict[str, Any]:
        own = task.given_options() if isinstance(task, ElihuTask) else {}
        return {**_ONE_ATTEMPT, **self.options, **own}

    def _options_of_job(self, task: Any) -> dict[str, Any]:
        """What this job has in place of what its task was declared with: the task may be
        used with several backends.
        """
        options = self._options_of(task)
        found = {name: options[name] for name in _OF_JOB & options.keys()}
        if callable(found.get("backoff")):
            del found["backoff"]
        if task.run_after is not None:
            found["run_at"] = aware(task.run_after)
        return found


def priority_of(priority: int) -> int:
    """Elihu's priority for one of Django's: 100 is 0 (first), 0 is 4, -100 is 9 (last)."""
    return (HIGHEST - int(priority)) * 10 // (HIGHEST - LOWEST + 1)


def _refuse_records(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, Model):
            raise TypeError(
                f"expected plain JSON, got {value!r}, a record: pass its key (pk) and fetch the "
                "record inside the task"
            )


def task(
    function: Callable[..., Any] | None = None,
    *,
    priority: int = 0,
    queue_name: str = "default",
    backend: str = "default",
    takes_context: bool = False,
    **options: Any,
) -> Any:
    """Django's ``@task`` with options of Elihu's: ``@task(max_attempts=5,
    unique=Unique())``, for the versions of Django that take no more than their own.
    Raises ``TypeError`` for an unknown option.
    """

    def declare_on(function: Callable[..., Any]) -> Any:
        return task_backends[backend].task_class(
            func=function,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            takes_context=takes_context,
            **options,
        )

    return declare_on if function is None else declare_on(function)
