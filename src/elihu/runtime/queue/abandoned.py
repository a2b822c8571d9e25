"""Attempts that did not end when they were told to: they go on unheard, counted, and so
many of a kind that the node fetches no more.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ClassVar, Final

from elihu.runtime.attempts.execution import Execution
from elihu.runtime.service import Scope, Service, Tick, logger
from elihu.task import Registry
from elihu.telemetry.events import AbandonedEnded, AttemptAbandoned, FetchResumed, FetchSuspended

REAP: Final = 5.0
"""Seconds that a child process which is killed after ``kill_grace`` has to be gone."""


class Abandoned(Service):
    """Keeps count of them; with ``max_abandoned`` that run one way (``run_in``), tasks
    of that kind are left out of all fetches until one ends. Ticks at each change, and
    writes the count into the node's row.

    ``resumed`` is called when jobs of a kind may be fetched again.
    """

    name: ClassVar = "abandoned"

    def __init__(
        self,
        scope: Scope,
        registry: Registry,
        *,
        describe: Callable[..., Awaitable[None]],
        resumed: Callable[[], None],
    ) -> None:
        super().__init__(scope)
        self._registry = registry
        self._describe = describe
        self._resumed = resumed
        self._counts: Counter[str] = Counter()
        self._full: set[str] = set()
        self._reported = 0

    @property
    def count(self) -> int:
        """How many go on."""
        return self._counts.total()

    @property
    def excluded(self) -> tuple[str, ...]:
        """The names of the tasks of which too many attempts go on."""
        if not self._full:
            return ()
        return tuple(
            name
            for task in self._registry
            if task.run_in in self._full
            for name in (task.name, *task.aliases)
        )

    def unless_ended(self, execution: Execution, call: Callable[[Execution], None]) -> None:
        """Call it when the attempt, which was told to end, still goes on ``kill_grace``
        seconds from now.
        """
        reap = REAP if execution.task.run_in == "process" else 0.0
        execution.after(self.scope.config.kill_grace + reap, partial(call, execution))

    def add(self, execution: Execution) -> None:
        """An attempt goes on that was told to end; it is forgotten when its handle is
        done.
        """
        run_in = execution.task.run_in
        self._counts[run_in] += 1
        if execution.handle:
            execution.handle.add_done_callback(
                lambda handle: self._attempt_ended(execution, handle)
            )
        logger.warning(
            "job %d (%s) did not end within %g s of the request: attempt %d is abandoned, and "
            "its outcome is ignored",
            execution.claim.id,
            execution.task.name,
            self.scope.config.kill_grace,
            execution.attempt,
        )
        self._emit(AttemptAbandoned, execution)
        count, most = self._counts[run_in], self.scope.config.max_abandoned
        if count >= most and run_in not in self._full:
            self._full.add(run_in)
            logger.error(
                "%d abandoned attempts go on (run_in=%r): this node fetches no more jobs of that "
                "kind until one ends",
                count,
                run_in,
            )
            if FetchSuspended in self.scope.bus:
                self.scope.bus.emit(
                    FetchSuspended(node=self.scope.identity.node, run_in=run_in, abandoned=count)
                )
        self.wake()

    async def tick(self) -> Tick:
        count = self.count
        if count != self._reported:
            await self._describe(abandoned=count)
            self._reported = count
        return Tick(self.scope.config.heartbeat, {"abandoned_count": count})

    def _attempt_ended(self, execution: Execution, handle: "asyncio.Task[None]") -> None:
        run_in = execution.task.run_in
        self._counts[run_in] -= 1
        if not handle.cancelled():
            logger.info(
                "job %d (%s): abandoned attempt %d has ended",
                execution.claim.id,
                execution.task.name,
                execution.attempt,
            )
        self._emit(AbandonedEnded, execution)
        if run_in in self._full and self._counts[run_in] < self.scope.config.max_abandoned:
            self._full.discard(run_in)
            logger.info("this node fetches jobs of tasks with run_in=%r again", run_in)
            if FetchResumed in self.scope.bus:
                self.scope.bus.emit(FetchResumed(node=self.scope.identity.node, run_in=run_in))
            self._resumed()
        self.wake()

    def _emit(self, kind: type[AttemptAbandoned | AbandonedEnded], execution: Execution) -> None:
        if kind in self.scope.bus:
            self.scope.bus.emit(
                kind(**execution.facts, run_in=execution.task.run_in, abandoned=self.count)
            )
