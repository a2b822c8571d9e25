"""The decorator that the app and ``Tasks`` groups share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from elihu.errors import InvalidTask
from elihu.task.declare import Task, declare
from elihu.task.options import TaskKeywords

P = ParamSpec("P")
R = TypeVar("R")


class DeclaresTasks(ABC):
    """Gives ``task``; the subclass says what becomes of each task."""

    prefix: str = ""

    @abstractmethod
    def _adopt(self, task: Task[..., Any]) -> None:
        """Take the task in. Raises ``DuplicateTask``."""

    @overload
    def task(self, fn: Callable[P, R], /, **options: Unpack[TaskKeywords]) -> Task[P, R]: ...
    @overload
    def task(self, fn: None = None, /, **options: Unpack[TaskKeywords]) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(
        self, fn: Callable[P, R] | None = None, /, **options: Unpack[TaskKeywords]
    ) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
        """Make a function a task: ``@task`` or ``@task(queue="mail", …)``.

        ``name`` is the module and qualified name by default, and ``aliases`` are names under which older jobs still come.
        ``queue``, ``priority`` (0 first … 9 last), ``max_attempts`` (1 to 1,000,000), ``unique``, ``tags``, ``meta`` and
        ``record`` (keep the return value) are those of its jobs. ``backoff`` is a duration or a callable of the job and the
        error, the default grows with 2**n. ``retry_on`` are the exception types that are retried (all), ``discard_on`` those that
        end the job at once. ``max_orphans`` (1 to 100) orphaned attempts in a row end it too. ``run_in`` is ``"loop"`` for
        ``async def`` and ``"thread"`` for ``def``. Raises ``InvalidTask``, ``InvalidOption`` and ``DuplicateTask``.
        """
        if fn is not None:
            return self._declare(fn, options)
        return lambda function: self._declare(function, options)

    def _declare(self, fn: Callable[P, R], options: TaskKeywords) -> Task[P, R]:
        if isinstance(fn, str):
            raise InvalidTask(f"expected a function, got {fn!r}; a name is given as name={fn!r}")
        task = declare(fn, options, prefix=self.prefix)
        self._adopt(task)
        return task
