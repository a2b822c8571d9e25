"""The decorators ``trigger`` and ``schedule`` that the app and ``Tasks`` groups share."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Unpack

from elihu.schedule import CatchUp
from elihu.task import DeclaresTasks, Task
from elihu.task.options import TaskKeywords
from elihu.triggers.declare import Trigger
from elihu.triggers.options import TriggerKeywords, TriggerState
from elihu.triggers.scheduled import ScheduledAction


class DeclaresTriggers(DeclaresTasks):
    """Gives ``trigger`` and ``schedule`` beside ``task`` and ``cron``."""

    @abstractmethod
    def _adopt_trigger(self, trigger: Trigger) -> None:
        """Take the trigger in. Raises ``DuplicateTask``."""

    @abstractmethod
    def _adopt_scheduled(self, scheduled: ScheduledAction) -> None:
        """Take the scheduled action in. Raises ``DuplicateTask``."""

    def trigger(
        self, model: type[Any], /, **options: Unpack[TriggerKeywords]
    ) -> Callable[[Callable[..., Any]], Trigger]:
        """Run the decorated function for each record of an SQLAlchemy model that
        matches ``where``.

        A scan by ``cron`` (each minute; None: no scan) stores one job a record, in the
        order of ``order_by`` and the primary key. The job locks the record, checks the
        condition again, runs the function in a transaction and completes itself there.
        The guide on triggers describes every option. Raises ``InvalidTrigger``,
        ``InvalidOption``, ``InvalidTask``, ``InvalidCron`` and ``DuplicateTask``.
        """

        def declare_on(function: Callable[..., Any]) -> Trigger:
            trigger = Trigger(model, function, options, self.prefix)
            self._adopt_trigger(trigger)
            return trigger

        return declare_on

    def schedule(
        self,
        text: str,
        /,
        *,
        tz: str = "UTC",
        catch_up: CatchUp = "last",
        action_input: Mapping[str, Any] | None = None,
        tenants: Any = None,
        state: TriggerState = "active",
        **options: Unpack[TaskKeywords],
    ) -> Callable[[Callable[..., Any]], Task[..., Any]]:
        """Run the decorated function at each time of a cron text, once for each of
        ``tenants`` where there are some (``ctx.tenant``).

        ``action_input`` are its arguments by name. ``priority`` is 3 and
        ``max_attempts`` 1 unless given; a ``state`` other than ``"active"`` schedules
        nothing and cancels what is queued when it comes to run. Raises what ``cron``
        raises, and ``InvalidTrigger``.
        """

        def declare_on(function: Callable[..., Any]) -> Task[..., Any]:
            scheduled = ScheduledAction(
                function,
                text,
                tz=tz,
                catch_up=catch_up,
                action_input=action_input,
                tenants=tenants,
                state=state,
                options=options,
                prefix=self.prefix,
            )
            self._adopt_scheduled(scheduled)
            return scheduled.task

        return declare_on
