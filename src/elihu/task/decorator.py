"""The decorator that the app and ``Tasks`` groups share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, Unpack, cast, overload

from elihu.errors import InvalidTask
from elihu.schedule import CatchUp, Cron
from elihu.task.declare import declare
from elihu.task.options import FunctionKeywords, TaskKeywords, UsingKeywords
from elihu.task.task import Task
from elihu.task.timetable import DeclaredCron, check_has_name, declare_cron

P = ParamSpec("P")
R = TypeVar("R")


class DeclaresTasks(ABC):
    """Provides ``task`` and ``cron``. A subclass registers each task and entry."""

    prefix: str = ""

    @abstractmethod
    def _adopt(self, task: Task[..., Any]) -> None:
        """Register a task. Raises ``DuplicateTask``."""

    @abstractmethod
    def _adopt_cron(self, entry: DeclaredCron) -> None:
        """Register a cron entry. Raises ``DuplicateCron``."""

    @overload
    def task(self, fn: Callable[P, R], /, **options: Unpack[TaskKeywords]) -> Task[P, R]: ...
    @overload
    def task(
        self, fn: None = None, /, **options: Unpack[TaskKeywords]
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(
        self, fn: Callable[P, R] | None = None, /, **options: Unpack[TaskKeywords]
    ) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
        """Make a function a task: ``@task`` or ``@task(queue="mail", …)``.

        ``name`` is the module and qualified name by default; ``aliases`` are former
        names, under which stored jobs still run. ``queue``, ``priority`` (0 first … 9
        last), ``max_attempts`` (1 to 1,000,000), ``unique``, ``tags``, ``meta`` and
        ``record`` (store the return value) apply to its jobs. ``timeout`` limits an
        attempt, ``expires`` the time until the first one. ``backoff`` is a duration or a
        callable of the job and the error; the default grows with 2**n. ``retry_on`` are
        the exception types that are retried (default: all); ``discard_on`` are those
        that end the job at once. ``max_orphans`` (1 to 100) orphaned attempts in a row
        end it too. ``fence="cancel"`` ends an attempt when its node is cut off from the
        database, except in a thread; ``"tell"`` sets ``ctx.cancelled`` alone; the
        default is the setting of that name. ``template`` is a code:
        ``app.templates.sync()`` makes a template from the task. ``run_in`` is ``"loop"``
        for ``async def`` and ``"thread"`` for ``def``; both may have ``"process"``, a
        fresh interpreter that imports the module. Raises ``InvalidTask``,
        ``InvalidOption`` and ``DuplicateTask``.
        """
        if fn is not None:
            return self._declare(fn, options)
        return lambda function: self._declare(function, options)

    def cron(
        self,
        text: str,
        /,
        *,
        tz: str = "UTC",
        catch_up: CatchUp = "last",
        name: str | None = None,
        args: Mapping[str, Any] | None = None,
        **options: Unpack[FunctionKeywords],
    ) -> Callable[[Callable[P, R]], Task[P, R]]:
        """Store a job at each time of a cron text. Decorates a function, which becomes
        a task, or a task.

        Times are in the zone ``tz``. ``catch_up`` sets which of the ticks missed while
        nothing ran are made up for: ``"none"``, the ``"last"`` one or ``"all"`` (at most
        100). ``name`` is the entry's name: the task's by default, required if a task has
        several entries. ``args`` are the job's arguments by name. ``options`` are those
        of ``task`` for a function, and those of ``using`` for a task. Raises
        ``InvalidCron``, ``DuplicateCron``, ``InvalidArguments`` and what ``task``
        raises.
        """
        cron = Cron(text, tz)

        def declare_on(fn: Callable[P, R]) -> Task[P, R]:
            if isinstance(fn, Task):
                task, using = fn, cast(UsingKeywords, options)
            else:
                check_has_name(fn)
                task, using = (
                    declare(fn, cast(TaskKeywords, options), prefix=self.prefix),
                    UsingKeywords(),
                )
            entry = declare_cron(
                task, cron, catch_up=catch_up, name=name, prefix=self.prefix, args=args, using=using
            )
            if task is not fn:
                self._adopt(task)
            self._adopt_cron(entry)
            return task

        return declare_on

    def _declare(self, fn: Callable[P, R], options: TaskKeywords) -> Task[P, R]:
        if isinstance(fn, str):
            raise InvalidTask(f"expected a function, got {fn!r}; a name is given as name={fn!r}")
        task = declare(fn, options, prefix=self.prefix)
        self._adopt(task)
        return task
