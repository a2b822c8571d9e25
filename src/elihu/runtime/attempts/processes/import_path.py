"""What a child needs to import the app and its tasks."""

import os
import sys
from collections.abc import Iterator
from dataclasses import fields

from elihu.config import Config
from elihu.errors import NotImportable
from elihu.runtime.attempts.processes.node_logging import describe_logging
from elihu.runtime.attempts.processes.protocol import frame
from elihu.task import Task, importable_name


class AppLocation:
    """``app`` is the node's, None where its tasks need no app; ``needed`` is true for an
    app with a lifespan, which its tasks do need.
    """

    def __init__(self, config: Config, app: object | None, *, needed: bool) -> None:
        self._config = config
        self._app = app
        self._needed = needed
        self._place: str | None = None
        self._sought = False
        self._tasks: dict[str, tuple[str, str]] = {}

    def setup(self) -> bytes:
        """The first message to a child. Raises ``NotImportable``."""
        values = {field.name: getattr(self._config, field.name) for field in fields(Config)}
        return frame(
            "setup",
            {
                "node": os.getpid(),
                "path": sys.path,
                "argv": sys.argv,
                "first": self._first_module(),
                "app": self._place_of_app(),
                "logging": describe_logging(),
                "settings": {
                    name: value
                    for name, value in values.items()
                    if isinstance(value, str | int | float | None)
                },
            },
        )

    def task(self, task: Task[..., object]) -> tuple[str, str]:
        """The module and the qualified name of the task's function. Raises
        ``NotImportable``.
        """
        place = self._tasks.get(task.name)
        if place is None:
            module = importable_name(task.fn.__module__)
            if module is None:
                raise NotImportable(
                    f"task {task.name}: expected a module that a fresh interpreter can import, "
                    f"got {task.fn.__module__!r}"
                )
            place = self._tasks[task.name] = module, task.fn.__qualname__
        return place

    def _first_module(self) -> str | None:
        """The module that ``--app`` or the configuration names, if this process has
        imported it: it may set up what other modules need at their import.
        """
        module = (self._config.app or "").partition(":")[0]
        known = module in sys.modules or module == importable_name("__main__")
        return module if module and known else None

    def _place_of_app(self) -> str | None:
        if not self._sought:
            self._place = next(self._places(), None)
            self._sought = True
        if self._place is None and self._needed:
            raise NotImportable(
                "an app with a lifespan or @app.around must be an attribute of a module that a "
                "fresh interpreter can import"
            )
        return self._place

    def _places(self) -> Iterator[str]:
        """Where an import finds the app: the module that the settings name, any other,
        the program itself only at last.
        """
        if self._app is None:
            return
        module, _, path = (self._config.app or "").partition(":")
        found: object = sys.modules.get(module)
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is self._app:
            yield f"{module}:{path}"
        for name, held in sorted(sys.modules.items(), key=lambda each: each[0] == "__main__"):
            attribute = next(
                (
                    attribute
                    for attribute, value in list(getattr(held, "__dict__", {}).items())
                    if value is self._app
                ),
                None,
            )
            importable = importable_name(name) if attribute else None
            if importable:
                yield f"{importable}:{attribute}"
