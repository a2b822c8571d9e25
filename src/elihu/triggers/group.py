"""Groups of tasks and triggers that are declared without an app."""

from elihu.task import TaskGroup
from elihu.triggers.declare import Trigger
from elihu.triggers.decorator import DeclaresTriggers
from elihu.triggers.host import TriggerHost
from elihu.triggers.registry import TriggerRegistry
from elihu.triggers.scheduled import ScheduledAction


class Tasks(TaskGroup, DeclaresTriggers):
    """Tasks and triggers declared without an app, as a router's routes are: ``tasks =
    Tasks(prefix="mail.")``, ``@tasks.task``, ``@tasks.trigger(Invoice, …)``.

    ``prefix`` comes before every name, also one given by ``name=``, but not before
    aliases. ``app.include(tasks)`` gives them to an app; those declared afterwards go
    there too. A group belongs to one open app at a time: once that is closed, another
    may include it.
    """

    def __init__(self, prefix: str = "") -> None:
        super().__init__(prefix)
        self._triggers: list[Trigger] = []
        self._scheduled: list[ScheduledAction] = []
        self._trigger_host: tuple[TriggerHost, TriggerRegistry] | None = None

    def join_triggers(self, host: TriggerHost, triggers: TriggerRegistry) -> None:
        """Enter all triggers in the registry of an app that has the group's tasks."""
        self._trigger_host = host, triggers
        for trigger in self._triggers:
            triggers.add(trigger, host)
        for scheduled in self._scheduled:
            triggers.add_scheduled(scheduled, host)

    def _adopt_trigger(self, trigger: Trigger) -> None:
        if self._trigger_host is not None:
            host, triggers = self._trigger_host
            triggers.add(trigger, host)
        self._triggers.append(trigger)

    def _adopt_scheduled(self, scheduled: ScheduledAction) -> None:
        self._adopt(scheduled.task)
        if scheduled.fan_out is not None:
            self._adopt(scheduled.fan_out)
        if scheduled.cron is not None:
            self._adopt_cron(scheduled.cron)
        if self._trigger_host is not None:
            host, triggers = self._trigger_host
            triggers.add_scheduled(scheduled, host)
        self._scheduled.append(scheduled)
