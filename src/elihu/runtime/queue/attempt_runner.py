"""Runs the attempts of one queue: from a claimed job to the end that goes to the ledger."""

import asyncio
import os
from functools import partial
from typing import Any, Final

from elihu.attempt_waits import current_waits
from elihu.engines.protocol import Ack
from elihu.failpoints import ACTIVE, reach
from elihu.outcome import Ending, Failed, Returned
from elihu.processes.forks import end_forked_child
from elihu.runtime.attempts.ack import ack_for, given_back
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.runtime.attempts.executor import Executor, ended
from elihu.runtime.attempts.progress import Progress
from elihu.runtime.queue.abandoned import Abandoned
from elihu.runtime.queue.ledger import Key, Ledger
from elihu.runtime.service import Scope, logger
from elihu.telemetry.events import JobStarted

UNWIND: Final = 1.0
"""Seconds that the cancelled attempts of a stopping queue have to end."""

_tasks: Final[set["asyncio.Task[None]"]] = set()
"""The tasks of all attempts. A loop refers to a task weakly, and one that ignores its
cancellation outlives its node.
"""


class AttemptRunner:
    """Runs each attempt in a task of its own. ``stopping`` is set when the node stops."""

    def __init__(
        self,
        scope: Scope,
        ledger: Ledger,
        executor: Executor,
        progress: Progress,
        abandoned: Abandoned,
    ) -> None:
        self.stopping = False
        self._pid = os.getpid()
        self._scope = scope
        self._ledger = ledger
        self._executor = executor
        self._progress = progress
        self._abandoned = abandoned

    def begin(self, execution: Execution) -> None:
        """Run this attempt."""
        self._ledger.begin(execution)
        execution.handle = asyncio.create_task(self._perform(execution))
        _tasks.add(execution.handle)
        execution.handle.add_done_callback(partial(self._performed, execution))

    def end(self, key: Key, cause: Cause) -> bool:
        """End the attempt with this key and return whether it runs here. One that still
        runs ``kill_grace`` seconds later is abandoned.
        """
        execution = self._ledger.running.get(key)
        if execution is None:
            return False
        if execution.end(cause):
            self._abandoned.unless_ended(execution, self._abandon)
        return True

    def lose_all(self) -> None:
        """The node was removed from the database: end every attempt and acknowledge
        none. Their slots are free at once, so those that continue are counted.
        """
        for execution in self._ledger.drop_all():
            execution.end(Cause.LOST)
            self._abandoned.unless_ended(execution, self._abandoned.add)

    def cut_off(self) -> None:
        """The node is cut off from the database. Running attempts see ``ctx.cancelled``.
        Those with ``fence="cancel"`` are ended, except threads.
        """
        for execution in list(self._ledger.running.values()):
            fence = execution.task.options.fence or self._scope.config.fence
            self.end(execution.key, Cause.FENCE if fence == "cancel" else Cause.CUT_OFF)

    def execution_of(self, task: "asyncio.Task[Any]") -> Execution | None:
        """The attempt that runs in this task. Callable from any thread."""
        for execution in list(self._ledger.running.values()):
            if execution.handle is task:
                return execution
        return None

    async def end_all(self) -> None:
        """Cancel all running attempts and return those that outlast ``UNWIND``. A
        returned thread may keep running; its outcome is ignored.
        """
        handles = []
        for execution in list(self._ledger.running.values()):
            execution.end(Cause.RELEASE)
            handles.append(execution.handle)
        if handles:
            await asyncio.wait([handle for handle in handles if handle], timeout=UNWIND)
        for execution in list(self._ledger.running.values()):
            self._ledger.ended(execution, ack_for(execution, ended(execution)), None)

    async def _perform(self, execution: Execution) -> None:
        bus = self._scope.bus
        execution.begun = True
        current_waits.set(execution.waits)
        if JobStarted in bus:
            bus.emit(JobStarted(**execution.facts))
        if ACTIVE:
            reach("after start")
        try:
            if (limit := execution.timeout) is not None:
                execution.after(limit, partial(self.end, execution.key, Cause.TIMEOUT))
            ending = await self._executor.execute(execution)
            end_forked_child(self._pid)
            if type(ending) is Failed and self.stopping:
                ending = _unless_cancelled(ending)
            ack = ack_for(execution, ending)
        except Exception as error:
            ending = Failed(error)
            ack = ack_for(execution, ending)
        execution.disarm()
        if execution.cause is Cause.LOST:
            return
        await self._progress.flush(execution.key)
        raised = getattr(ending, "error", None)
        if execution.threads:
            await self._outlast(execution, ack, raised)
        else:
            self._ledger.ended(execution, ack, raised)

    async def _outlast(self, execution: Execution, ack: Ack, error: BaseException | None) -> None:
        """The attempt has ended and its thread runs on, since a middleware gave up
        waiting for it. It keeps its slot for ``kill_grace`` seconds; then it counts as
        abandoned.
        """
        execution.context.cancel()
        await asyncio.wait(execution.threads, timeout=self._scope.config.kill_grace)
        if execution.cause is Cause.LOST:
            return
        if execution.threads and self._ledger.running.get(execution.key) is execution:
            self._abandoned.add(execution)
        self._ledger.ended(execution, ack, error)
        if execution.threads:
            await asyncio.wait(execution.threads)

    def _performed(self, execution: Execution, handle: "asyncio.Task[None]") -> None:
        """The task of an attempt is done. One that was cancelled before it ran, or by a
        handler of events, has not ended its attempt: give it back.
        """
        _tasks.discard(handle)
        if self._ledger.running.get(execution.key) is execution:
            ack = given_back(execution.claim, "its task was cancelled from outside")
            self._ledger.ended(execution, ack, None)
            if not handle.cancelled() and (error := handle.exception()) is not None:
                logger.error("job %d ended unexpectedly", execution.claim.id, exc_info=error)

    def _abandon(self, execution: Execution) -> None:
        if self._ledger.running.get(execution.key) is execution:
            self._abandoned.add(execution)
            self._ledger.ended(execution, ack_for(execution, ended(execution)), None)


def _unless_cancelled(ending: Failed) -> Ending:
    """The end of an attempt of a node that stops. One whose task was cancelled from
    outside, as ``asyncio.run`` does at its end, has not failed.
    """
    if isinstance(ending.error, asyncio.CancelledError):
        return Returned("the node stopped")
    return ending
