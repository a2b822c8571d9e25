"""Functions of Django's tasks, as tasks of Elihu's."""

import inspect
import logging
from asyncio import CancelledError
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
    before = _declared.get(path)
    if before is not None and before.func is task.func:
        return
    _declared[path] = task
    if before is not None:
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
            value = _normal(path, task.func(*before, *args, **kwargs))
        except BaseException as error:
            if _ends(path, ctx, error):
                task_finished.send_robust(sender, task_result=_failed(result, error))
            raise
        if _ends(path, ctx, value):
            task_finished.send_robust(sender, task_result=_finished(result, value))
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
            value = _normal(path, await task.func(*before, *args, **kwargs))
        except BaseException as error:
            if _ends(path, ctx, error):
                await task_finished.asend_robust(sender, task_result=_failed(result, error))
            raise
        if _ends(path, ctx, value):
            await task_finished.asend_robust(sender, task_result=_finished(result, value))
        return value

    return call


def _normal(path: str, value: Any) -> Any:
    """The value as it is stored, which is part of the task. Raises ``TypeError`` or
    ``ValueError`` where it cannot be.
    """
    if isinstance(value, _OUTCOMES):
        return value
    value = normalize_json(value)
    app = project_app()
    try:
        app.task_named(path).codec.encode_result(value, app.config.max_result)
    except Exception as error:
        raise ValueError(str(error)) from error
    return value


def _ends(path: str, ctx: Context, end: object) -> bool:
    """Whether the job ends with what its function returned or raised. What ends the
    attempt from outside, such as the stop of its node, may leave the job to be run again.
    """
    if isinstance(end, Snooze) or (isinstance(end, CancelledError) and ctx.cancelled):
        return False
    if isinstance(end, Retry):
        return ctx.is_last_attempt
    if not isinstance(end, BaseException) or isinstance(end, Cancel | Discard):
        return True
    task: StoredTask[..., Any] = project_app().task_named(path)
    options = task.options
    if isinstance(end, options.discard_on):
        return True
    if options.retry_on is not None and not isinstance(end, options.retry_on):
        return True
    return ctx.is_last_attempt


def _finished(result: TaskResult, value: Any) -> TaskResult:
    return _failed(result, value) if isinstance(value, _OUTCOMES) else _succeeded(result, value)


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
