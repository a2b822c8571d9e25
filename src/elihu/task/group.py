"""Groups of tasks that are declared without an app, and included in one later."""

from collections.abc import Iterator
from typing import Any

from elihu.errors import TaskError
from elihu.task.declare import Task
from elihu.task.decorator import DeclaresTasks
from elihu.task.enqueuer import Enqueuer
from elihu.task.options import check_name
from elihu.task.registry import Registry
from elihu.task.timetable import DeclaredCron, Timetable


class Tasks(DeclaresTasks):
    """Tasks declared without an app, as a router's routes are: ``tasks =
    Tasks(prefix="mail.")``, ``@tasks.task``.

    ``prefix`` comes before every name, also one given by ``name=``, but not before
    aliases. ``app.include(tasks)`` gives them to an app; those declared afterwards go
    there too. A group belongs to one open app at a time: once that is closed, another
    may include it.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = check_name("Tasks(prefix=)", prefix) if prefix != "" else ""
        self._own = Registry()
        self._host: Enqueuer | None = None
        self._registry: Registry | None = None

    def join(self, host: Enqueuer, registry: Registry) -> None:
        """Enter all tasks in the host's registry and let the host store their jobs, or
        neither.

        Raises ``DuplicateTask`` for a name that is taken (so for a second inclusion
        too), ``DuplicateCron`` for that of an entry, and ``TaskError`` while the group
        belongs to another open app.
        """
        if self._host is not None and self._host is not host and not self._host.closed:
            raise TaskError(
                f"include(): expected tasks of no other app, got {self!r}, which an app that is "
                "still open includes: close that first"
            )
        tasks = list(self._own)
        registry.timetable.check(*self._own.timetable)
        registry.add(*tasks)
        registry.timetable.add(*self._own.timetable)
        for task in tasks:
            task.bind(host)
        self._host, self._registry = host, registry

    @property
    def timetable(self) -> Timetable:
        """The cron entries of the group."""
        return self._own.timetable

    def __repr__(self) -> str:
        return f"<Tasks {self.prefix!r}: {', '.join(self._own.names()) or 'none'}>"

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return iter(self._own)

    def _adopt(self, task: Task[..., Any]) -> None:
        if self._host is not None and self._registry is not None:
            self._registry.add(task)
            task.bind(self._host)
        self._own.add(task)

    def _adopt_cron(self, entry: DeclaredCron) -> None:
        if self._registry is not None:
            self._registry.timetable.add(entry)
        self._own.timetable.add(entry)
