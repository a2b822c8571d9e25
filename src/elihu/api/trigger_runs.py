"""``app.schedule_and_run_triggers``: scan at once, and run what the scans stored."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from elihu.api.draining import Draining
from elihu.errors import InvalidOption
from elihu.job import JobState, RunOutcome
from elihu.options import check_range
from elihu.runtime.queue.start_budget import StartBudget
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobStopped
from elihu.triggers import Trigger, TriggerRegistry
from elihu.triggers.scheduled import ScheduledAction
from elihu.triggers.tenants import store_actor

if TYPE_CHECKING:
    from elihu.runtime.node import Node


@dataclass(slots=True, kw_only=True)
class TriggerRunCounts:
    """How many attempts ended in which way, those of scans included. ``success`` are
    completed, ``discard`` discarded, ``failure`` to be tried again.
    ``queues_not_drained`` are the queues that hold jobs for later nodes.
    """

    success: int = 0
    failure: int = 0
    discard: int = 0
    cancelled: int = 0
    snoozed: int = 0
    queues_not_drained: list[str] = field(default_factory=list)

    def count(self, event: JobStopped) -> None:
        """Count the end of an attempt."""
        match event.outcome, event.state:
            case RunOutcome.COMPLETED, _:
                self.success += 1
            case RunOutcome.SNOOZED, _:
                self.snoozed += 1
            case _, JobState.CANCELLED:
                self.cancelled += 1
            case _, JobState.DISCARDED:
                self.discard += 1
            case RunOutcome.FAILED | RunOutcome.KILLED | RunOutcome.TIMED_OUT, _:
                self.failure += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRuns:
    """Runs triggers of one app at once."""

    app: Any
    registry: TriggerRegistry
    scheduled: Callable[[], Iterable[ScheduledAction]]
    bus: Bus
    running: "Callable[[Mapping[str, int], StartBudget | None], AbstractAsyncContextManager[Node]]"

    async def run(
        self,
        what: tuple[Any, ...],
        *,
        drain: bool,
        triggers: bool,
        scheduled_actions: bool,
        actor: Any,
        queue: str | None,
        with_limit: int | None,
        with_recursion: bool,
        with_scheduled: bool,
    ) -> TriggerRunCounts:
        """Store the scans of the triggers chosen, and with ``drain`` run them and the
        jobs that they store.
        """
        if with_limit is not None:
            check_range("schedule_and_run_triggers(): with_limit", with_limit, 1, 2**31)
        chosen = self._chosen(what) if triggers else []
        counts = TriggerRunCounts()
        queues: set[str] = set()
        for trigger in chosen:
            if queue is not None and queue not in {
                trigger.options.queue,
                trigger.options.scheduler_queue,
            }:
                continue
            stored = None
            if actor is not None:
                stored = await store_actor(trigger.options, self.app.trigger_defaults, actor)
            await self.app.aenqueue(trigger.scan_task.build(actor=stored))
            queues |= {trigger.options.queue, trigger.options.scheduler_queue}
        if scheduled_actions:
            for each in self.scheduled():
                task = each.task if each.fan_out is None else each.fan_out
                if each.state == "active" and queue in {None, task.options.queue}:
                    await self.app.aenqueue(each.new_job())
                    queues |= {task.options.queue, each.task.options.queue}
        if not drain:
            counts.queues_not_drained = sorted(queues)
            return counts
        if queues:
            draining = Draining(jobs=self.app.jobs, bus=self.bus, running=self.running)
            counts.queues_not_drained = await draining.run(
                queues,
                StartBudget(with_limit),
                count=counts.count,
                recursion=with_recursion,
                scheduled=with_scheduled,
            )
        return counts

    def _chosen(self, what: tuple[Any, ...]) -> list[Trigger]:
        if not what:
            return list(self.registry)
        found: dict[int, Trigger] = {}
        for each in what:
            for trigger in self._of(each):
                found[id(trigger)] = trigger
        return list(found.values())

    def _of(self, what: Any) -> list[Trigger]:
        match what:
            case Trigger():
                return [what]
            case str():
                return [self.app.triggers.get(what)]
            case (type() as model, str() as name):
                return [self.app.triggers.get(name, model)]
            case list() | tuple():
                return [trigger for each in what for trigger in self._of(each)]
            case ModuleType():
                return [each for each in self.registry if each.function.__module__ == what.__name__]
            case type():
                return [each for each in self.registry if each.model is what]
            case _ if what is self.app:
                return list(self.registry)
        raise InvalidOption(
            "schedule_and_run_triggers(): expected triggers, their names, models, modules, "
            f"(model, name) or the app, got {what!r}"
        )
