"""The app and its tasks, as a child imports them."""

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from importlib import import_module
from typing import Any, Protocol

from elihu.config import Config
from elihu.errors import NotImportable, UnknownTask
from elihu.runtime.attempts.processes.import_guard import importing
from elihu.runtime.attempts.surroundings import Around
from elihu.task import Task


class App(Protocol):
    """The app, as a child uses it."""

    config: Config

    @property
    def arounds(self) -> Sequence[Around]: ...

    def task_named(self, name: str) -> Task[..., Any]: ...
    def lifespan(self) -> AbstractAsyncContextManager[Any] | None: ...


class TaskLoader:
    """Imports the module ``first``, then the app, and finds each task once. The node's
    ``settings`` apply here too, since a task may enqueue. Raises ``NotImportable``.
    """

    def __init__(
        self, app: str | None, settings: Mapping[str, Any], *, first: str | None = None
    ) -> None:
        self._app: App | None = None
        self._tasks: dict[str, tuple[Task[..., Any], bool]] = {}
        if first is not None:
            _module(first)
        if app is not None:
            module, _, path = app.partition(":")
            self._app = _attribute(_module(module), module, path)
            self._app.config = replace(self._app.config, **settings)

    def lifespan(self) -> AbstractAsyncContextManager[Any] | None:
        """What surrounds the jobs of this child."""
        return self._app.lifespan() if self._app else None

    @property
    def arounds(self) -> Sequence[Around]:
        """The context managers that surround each task's function."""
        return self._app.arounds if self._app else ()

    def task(self, name: str, module: str, qualname: str) -> tuple[Task[..., Any], bool]:
        """The task of this name, whose function ``qualname`` is declared in ``module``,
        and whether that is an ``async def``.
        """
        found = self._tasks.get(name)
        if found is None:
            task = self._find(name, module, qualname)
            found = self._tasks[name] = task, inspect.iscoroutinefunction(task.fn)
        return found

    def _find(self, name: str, module: str, qualname: str) -> Task[..., Any]:
        imported = _module(module)
        if self._app is not None:
            try:
                return self._app.task_named(name)
            except UnknownTask:
                pass
        task = _attribute(imported, module, qualname)
        if not isinstance(task, Task):
            raise NotImportable(f"task {name}: expected it at {module}:{qualname}, got {task!r}")
        return task


def _module(name: str) -> Any:
    with importing():
        try:
            return import_module(name)
        except BaseException as error:
            raise NotImportable(
                f"expected a module {name!r} that a fresh interpreter can import, got "
                f"{type(error).__qualname__}: {error}"
            ) from error


def _attribute(found: Any, module: str, path: str) -> Any:
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise NotImportable(
                f"expected {path!r} in the module {module!r} when it is imported, got no such name"
            ) from None
    return found
