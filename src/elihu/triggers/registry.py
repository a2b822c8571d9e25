"""The triggers of an app, by name."""

import difflib
from collections.abc import Callable, Iterator
from typing import Any

from elihu.errors import UnknownTrigger
from elihu.task import Registry
from elihu.triggers.declare import Trigger
from elihu.triggers.host import TriggerHost
from elihu.triggers.scheduled import ScheduledAction


class TriggerRegistry:
    """Triggers by their names; their tasks stand in the app's registry of tasks."""

    def __init__(self, tasks: Registry) -> None:
        self._tasks = tasks
        self._triggers: list[Trigger] = []
        self.scheduled: list[ScheduledAction] = []

    def add(self, trigger: Trigger, host: TriggerHost) -> None:
        """Compile a trigger and take it and its tasks in, or neither. Raises
        ``DuplicateTask`` and ``InvalidTrigger``.
        """
        compiled = trigger.bind(host)
        entries = [] if compiled.cron is None else [compiled.cron]
        self._tasks.timetable.check(*entries)
        self._tasks.add(compiled.task, compiled.scan)
        self._tasks.timetable.add(*entries)
        compiled.task.bind(host)
        compiled.scan.bind(host)
        self._triggers.append(trigger)

    def add_scheduled(self, scheduled: ScheduledAction, host: TriggerHost) -> None:
        """Take in a scheduled action, whose tasks stand in the app's registry."""
        scheduled.bind(host)
        self.scheduled.append(scheduled)

    def __iter__(self) -> Iterator[Trigger]:
        return iter(self._triggers)

    def __len__(self) -> int:
        return len(self._triggers)


class Triggers:
    """``app.triggers``: the triggers that the app's code declares."""

    def __init__(self, registry: Callable[[], TriggerRegistry]) -> None:
        self._registry = registry

    def __iter__(self) -> Iterator[Trigger]:
        return iter(self._registry())

    def __len__(self) -> int:
        return len(self._registry())

    def of(self, model: type[Any]) -> list[Trigger]:
        """The triggers on a model."""
        return [trigger for trigger in self if trigger.model is model]

    def get(self, name: str, model: type[Any] | None = None) -> Trigger:
        """The trigger of this name, or of this name of its task; ``model`` where two
        have the same. Raises ``UnknownTrigger``.
        """
        found = [
            trigger
            for trigger in self
            if name in {trigger.name, trigger.task_name, *trigger.aliases}
            and (model is None or trigger.model is model)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            full = ", ".join(sorted(trigger.task_name for trigger in found))
            raise UnknownTrigger(
                f"expected the name of one trigger, got {name!r}, which several have: {full}"
            )
        names = sorted({each for trigger in self for each in (trigger.name, trigger.task_name)})
        near = difflib.get_close_matches(name, names, n=1)
        raise UnknownTrigger(
            f"expected the name of a trigger of this app, got {name!r}"
            + (f" (did you mean {near[0]!r}?)" if near else "")
        )

    def __getitem__(self, name: str) -> Trigger:
        return self.get(name)
