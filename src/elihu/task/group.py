"""Groups of tasks that are declared without an app and included in one later."""

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from elihu.errors import TaskError
from elihu.task.decorator import DeclaresTasks
from elihu.task.enqueuer import Enqueuer
from elihu.task.options import check_name
from elihu.task.registry import Registry
from elihu.task.task import Task
from elihu.task.timetable import DeclaredCron, Timetable

_groups: "WeakSet[TaskGroup]" = WeakSet()


def tasks_left_out() -> list[str]:
    """The names of the tasks in groups of this process that no app includes, sorted."""
    return sorted(task.name for group in list(_groups) if not group.is_included for task in group)


class TaskGroup(DeclaresTasks):
    """Tasks declared without an app, like the routes of a router.

    ``prefix`` comes before every name, also before one given by ``name=``, but not
    before aliases. ``app.include(tasks)`` adds them to an app, with those declared
    later. A group belongs to one open app at a time. After that app is closed, another
    may include it.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = check_name("Tasks(prefix=)", prefix) if prefix != "" else ""
        self._own = Registry()
        self._enqueuer: Enqueuer | None = None
        self._registry: Registry | None = None
        _groups.add(self)

    def join(self, enqueuer: Enqueuer, registry: Registry) -> None:
        """Add all tasks and cron entries to an app's registry, or none.

        Raises ``DuplicateTask`` for a task name that is taken (for a second inclusion
        too), ``DuplicateCron`` for an entry name that is taken, and ``TaskError`` while
        the group belongs to another open app.
        """
        if (
            self._enqueuer is not None
            and self._enqueuer is not enqueuer
            and not self._enqueuer.closed
        ):
            raise TaskError(
                f"include(): expected tasks that no other open app includes, got {self!r}: close "
                "the other app first"
            )
        tasks = list(self._own)
        registry.timetable.check(*self._own.timetable)
        registry.add(*tasks)
        registry.timetable.add(*self._own.timetable)
        for task in tasks:
            task.bind(enqueuer)
        self._enqueuer, self._registry = enqueuer, registry

    @property
    def is_included(self) -> bool:
        """Whether an app includes the group."""
        return self._enqueuer is not None

    @property
    def timetable(self) -> Timetable:
        """The cron entries of the group."""
        return self._own.timetable

    def __repr__(self) -> str:
        return f"<Tasks {self.prefix!r}: {', '.join(self._own.names()) or 'none'}>"

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return iter(self._own)

    def _adopt(self, task: Task[..., Any]) -> None:
        if self._enqueuer is not None and self._registry is not None:
            self._registry.add(task)
            task.bind(self._enqueuer)
        self._own.add(task)

    def _adopt_cron(self, entry: DeclaredCron) -> None:
        if self._registry is not None:
            self._registry.timetable.add(entry)
        self._own.timetable.add(entry)
