"""Functions of Django's tasks, as tasks of Elihu's."""

import inspect
import logging
from collections.abc import Callable, Mapping
from traceback import format_exception
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.apps import apps
from django.utils.timezone import now

from elihu import Cancel, Context, Discard, Retry, Snooze
from elihu import Task as StoredTask
from elihu.contrib.django.project import project_app
from elihu.contrib.django.results import running_result
from elihu.contrib.django.tasks_api import (
    TaskContext,
    TaskError,
    TaskResult,
    TaskResultStatus,
    normalize_json,
    task_backends,
    task_finished,
    task_started,
)

_OUTCOMES: Final = (Snooze, Cancel, Discard, Retry)

logger = logging.getLogger("elihu")
_declared: Final[dict[str, Any]] = {}
"""Django's tasks by their paths, which are the names of the tasks of the app."""


def declare(task: Any, options: Mapping[str, Any]) -> None:
    """Make a task of the app that calls the function of Django's, once for each path."""
    path = task.module_path
    known = path in _declared
    _declared[path] = task
    if known:
        return
    call = _acall if inspect.iscoroutinefunction(task.func) else _call
    try:
        project_app().task(name=path, record=True, **options)(_named(call(path), task.func))
    except BaseException:
        del _declared[path]
        raise
    if apps.ready:
        logger.warning(
            "task %s is declared after Django was set up: nodes know it only if the module tasks "
            "of an installed application imports %s",
            path,
            task.func.__module__,
        )


def _named(call: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """``call`` under the name of the function, by which child processes import it."""
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(call, name, getattr(function, name))
    return call


def _call(path: str) -> Callable[..., Any]:
    def call(args: list, kwargs: dict, *, ctx: Context) -> Any:  # type: ignore[type-arg]
        task = _declared[path]
        result = running_result(task, ctx)
        sender = type(task_backends[result.backend])
        task_started.send(sender, task_result=result)
        before = (TaskContext(task_result=result),) if task.takes_context else ()
        try:
            value = _normal(task.func(*before, *args, **kwargs))
        except _OUTCOMES:
            raise
        except BaseException as error:
            if _is_last(path, ctx, error):
                task_finished.send(sender, task_result=_failed(result, error))
            raise
        if not isinstance(value, _OUTCOMES):
            task_finished.send(sender, task_result=_succeeded(result, value))
        return value

    return call


def _acall(path: str) -> Callable[..., Any]:
    async def call(args: list, kwargs: dict, *, ctx: Context) -> Any:  # type: ignore[type-arg]
        task = _declared[path]
        result = await sync_to_async(running_result)(task, ctx)
        sender = type(task_backends[result.backend])
        await task_started.asend(sender, task_result=result)
        before = (TaskContext(task_result=result),) if task.takes_context else ()
        try:
            value = _normal(await task.func(*before, *args, **kwargs))
        except _OUTCOMES:
            raise
        except BaseException as error:
            if _is_last(path, ctx, error):
                await task_finished.asend(sender, task_result=_failed(result, error))
            raise
        if not isinstance(value, _OUTCOMES):
            await task_finished.asend(sender, task_result=_succeeded(result, value))
        return value

    return call


def _normal(value: Any) -> Any:
    return value if isinstance(value, _OUTCOMES) else normalize_json(value)


def _is_last(path: str, ctx: Context, error: BaseException) -> bool:
    """Whether the job ends with this error."""
    task: StoredTask[..., Any] = project_app().task_named(path)
    options = task.options
    if isinstance(error, options.discard_on):
        return True
    if options.retry_on is not None and not isinstance(error, options.retry_on):
        return True
    return ctx.is_last_attempt


def _failed(result: TaskResult, error: BaseException) -> TaskResult:
    kind = type(error)
    result.errors.append(
        TaskError(
            exception_class_path=f"{kind.__module__}.{kind.__qualname__}",
            traceback="".join(format_exception(error)),
        )
    )
    return _ended(result, TaskResultStatus.FAILED)


def _succeeded(result: TaskResult, value: Any) -> TaskResult:
    object.__setattr__(result, "_return_value", value)
    return _ended(result, TaskResultStatus.SUCCESSFUL)


def _ended(result: TaskResult, status: Any) -> TaskResult:
    object.__setattr__(result, "status", status)
    object.__setattr__(result, "finished_at", now())
    return result
