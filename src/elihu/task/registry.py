"""The tasks of an app by name, and its cron entries."""

import difflib
from collections.abc import Iterator
from typing import Any, Final

from elihu.errors import DuplicateTask, UnknownTask
from elihu.task.task import Task
from elihu.task.timetable import Timetable


class Registry:
    """Tasks by their names and aliases. A name or alias belongs to one task."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}
        self._by_name: dict[str, Task[..., Any]] = {}
        self.find: Final = self._by_name.get
        """The task of this name or alias, None where this app knows none."""
        self.timetable = Timetable()

    def add(self, *tasks: Task[..., Any]) -> None:
        """Register all of ``tasks``, or none if a name or alias is taken: the
        ``DuplicateTask`` names both functions.
        """
        added: dict[str, Task[..., Any]] = {}
        for task in tasks:
            for name in (task.name, *task.aliases):
                other = self._by_name.get(name) or added.get(name)
                if other is task:
                    raise DuplicateTask(
                        f"task name {name!r}: expected a new task, got {_place(task)} a second time"
                    )
                if other is not None:
                    raise DuplicateTask(
                        f"task name {name!r}: expected one function, got two: {_place(other)} and "
                        f"{_place(task)}"
                    )
                added[name] = task
        self._by_name |= added
        self._tasks |= {task.name: task for task in tasks}

    def get(self, name: str) -> Task[..., Any]:
        """The task of this name or alias. Raises ``UnknownTask``, which suggests the
        nearest name.
        """
        task = self._by_name.get(name)
        if task is None:
            near = difflib.get_close_matches(name, self._by_name, n=1)
            raise UnknownTask(
                f"expected the name of a task that this app knows, got {name!r}"
                + (f" (did you mean {near[0]!r}?)" if near else "")
            )
        return task

    def names(self) -> list[str]:
        """The tasks' names, without aliases, sorted."""
        return sorted(self._tasks)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Task[..., Any]]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)


def _place(task: Task[..., Any]) -> str:
    code = getattr(task.fn, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"{task.fn.__module__}.{getattr(task.fn, '__qualname__', task.name)}{where}"
