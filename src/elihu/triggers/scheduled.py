"""Scheduled actions: functions that run by a cron text, once for each tenant."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, cast, get_args

from elihu.errors import InvalidTrigger
from elihu.job import NewJob
from elihu.options import Unique
from elihu.outcome import Cancel
from elihu.schedule import CatchUp, Cron
from elihu.task import DeclaredCron, Task
from elihu.task.declare import declare
from elihu.task.options import TaskKeywords, UsingKeywords
from elihu.task.timetable import declare_cron
from elihu.triggers.host import TriggerHost
from elihu.triggers.options import TriggerOptions, TriggerState
from elihu.triggers.tenants import tenants_of

FAN_OUT: Final = ".tenants"
"""What the name of the task that stores a job for each tenant ends with."""

TENANT: Final = "tenant"
"""The key in ``meta`` that holds a job's tenant."""


class ScheduledAction:
    """``task`` runs the function, ``fan_out`` stores a job of it for each tenant."""

    def __init__(
        self,
        function: Callable[..., Any],
        text: str,
        *,
        tz: str,
        catch_up: CatchUp,
        action_input: Mapping[str, Any] | None,
        tenants: Any,
        state: TriggerState,
        options: TaskKeywords,
        prefix: str,
    ) -> None:
        if state not in get_args(TriggerState):
            raise InvalidTrigger(
                f"schedule: state: expected one of {', '.join(get_args(TriggerState))}, got "
                f"{state!r}"
            )
        given = cast(TaskKeywords, {"priority": 3, "max_attempts": 1, **options})
        active = function if state == "active" else _refusing(function, state)
        self.task: Task[..., Any] = declare(active, given, prefix=prefix)
        self.state = state
        self.tenants = tenants
        self.fan_out: Task[..., Any] | None = None
        self._input = dict(action_input or {})
        self._host: TriggerHost | None = None
        scheduled = self.task
        if tenants is not None:
            self.task.build(**self._input)
            scheduled = self.fan_out = self._fan_out(given)
        self.cron: DeclaredCron | None = None
        if state == "active":
            self.cron = declare_cron(
                scheduled,
                Cron(text, tz),
                catch_up=catch_up,
                name=None,
                prefix="",
                args=self._input if tenants is None else None,
                using=cast(UsingKeywords, {}),
            )

    def bind(self, host: TriggerHost) -> None:
        """Store jobs through this app."""
        self._host = host

    def new_job(self) -> NewJob:
        """The job that each occurrence stores."""
        if self.fan_out is not None:
            return self.fan_out.build()
        return self.task.build(**self._input)

    def _fan_out(self, given: TaskKeywords) -> Task[..., Any]:
        async def each_tenant() -> dict[str, int]:
            assert self._host is not None
            what = f"schedule {self.task.name}"
            tenants = await tenants_of(
                TriggerOptions(tenants=self.tenants), self._host.trigger_defaults, what
            )
            jobs = [
                self.task.using(
                    meta={TENANT: tenant}, unique=Unique(by=("task", "args", "meta"))
                ).build(**self._input)
                for tenant in tenants
            ]
            done = await self._host.enqueue_many(jobs)
            return {"enqueued": done.inserted, "conflicts": done.conflicts}

        queue = given.get("queue")
        options = TaskKeywords(
            name=self.task.name + FAN_OUT, priority=3, max_attempts=1, record=True
        )
        if queue is not None:
            options["queue"] = queue
        return declare(each_tenant, options)


def _refusing(function: Callable[..., Any], state: str) -> Callable[..., Any]:
    """A function of the same signature whose every job is cancelled."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def refuse(*_args: Any, **_kwargs: Any) -> Any:
            return Cancel(f"the scheduled action is {state}")

        return refuse

    @functools.wraps(function)
    def refuse_in_thread(*_args: Any, **_kwargs: Any) -> Any:
        return Cancel(f"the scheduled action is {state}")

    return refuse_in_thread
