"""Abandoned attempts: they did not end when asked to, continue to run, and their
outcomes are ignored. They are counted, and too many of a kind suspend its fetches.
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
    """Counts them by the way they run (``run_in``). With ``max_abandoned`` of a kind, no
    fetch takes jobs of that kind until one ends. Ticks at each change and writes the
    count into the node's row. ``resumed`` is called when a kind is fetched again.
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
        """How many still run."""
        return self._counts.total()

    @property
    def excluded(self) -> tuple[str, ...]:
        """The names of the tasks whose kind has too many abandoned attempts."""
        if not self._full:
            return ()
        return tuple(
            name
            for task in self._registry
            if task.run_in in self._full
            for name in (task.name, *task.aliases)
        )

    def unless_ended(self, execution: Execution, call: Callable[[Execution], None]) -> None:
        """Call it when the attempt, which was asked to end, still runs ``kill_grace``
        seconds from now.
        """
        reap = REAP if execution.task.run_in == "process" else 0.0
        execution.after(self.scope.config.kill_grace + reap, partial(call, execution))

    def add(self, execution: Execution) -> None:
        """Count an attempt that still runs after it was asked to end, until its handle
        is done.
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
                "%d abandoned attempts still run (run_in=%r): this node fetches no more jobs of "
                "that kind until one ends",
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
