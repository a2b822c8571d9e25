"""Runs the attempts of one queue: from a claimed job to the end that goes to the ledger."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from elihu.attempt_waits import current_attempt
from elihu.engines.protocol import Ack
from elihu.failpoints import ACTIVE, reach
from elihu.outcome import Complete, Ending, Failed, Returned
from elihu.processes.forks import end_forked_child, generation
from elihu.runtime.attempts.ack import ack_for, given_back
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.runtime.attempts.executor import Executor, ended
from elihu.runtime.attempts.progress import Progress
from elihu.runtime.attempts.report import started
from elihu.runtime.queue.abandoned import Abandoned
from elihu.runtime.queue.ledger import Key, Ledger
from elihu.runtime.service import Scope, logger
from elihu.telemetry.events import JobStarted

UNWIND: Final = 1.0
"""Seconds that the cancelled attempts of a stopping queue have to end."""

_tasks: Final[set["asyncio.Task[None]"]] = set()
"""The tasks of attempts that are ended and may still run. A loop refers to a task weakly,
and one that ignores its cancellation outlives its node.
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
        self._node = generation()
        self._scope = scope
        self._ledger = ledger
        self._executor = executor
        self._progress = progress
        self._abandoned = abandoned

    def begin(self, executions: Sequence[Execution]) -> None:
        """Run these attempts."""
        self._ledger.begin(executions)
        loop = asyncio.get_running_loop()
        for execution in executions:
            execution.handle = loop.create_task(self._perform(execution))
        # A loop calls in order: each of them has taken its first step by then.
        loop.call_soon(self._check_begun, executions)

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
            _keep(execution)
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
            _keep(execution)
            self._ledger.ended(execution, ack_for(execution, ended(execution)), None)

    async def _perform(self, execution: Execution) -> None:
        try:
            await self._run(execution)
        except asyncio.CancelledError:
            self._give_back(execution)
            raise
        except BaseException as error:
            self._give_back(execution)
            logger.error("job %d ended unexpectedly", execution.claim.id, exc_info=error)
            if not isinstance(error, Exception):
                raise
        finally:
            execution.handle = None  # its context refers to the attempt: no cycle to collect

    async def _run(self, execution: Execution) -> None:
        bus = self._scope.bus
        execution.begun = True
        current_attempt.set(execution)
        if JobStarted in bus:
            execution.carrier = started(execution, bus)
        if ACTIVE:
            reach("after start")
        try:
            if (limit := execution.timeout) is not None:
                execution.after(limit, partial(self.end, execution.key, Cause.TIMEOUT))
            ending = await self._executor.execute(execution)
            end_forked_child(self._node)
            if type(ending) is Failed and self.stopping:
                ending = _unless_cancelled(ending)
            ack = ack_for(execution, ending)
        except Exception as error:
            ending = Failed(error)
            ack = ack_for(execution, ending)
        if execution.timer is not None:
            execution.disarm()
        if execution.cause is Cause.LOST:
            return
        if execution.reported:
            await self._progress.flush(execution.key)
        raised = None if type(ending) is Complete else getattr(ending, "error", None)
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
        threads = execution.threads or set()
        await asyncio.wait(threads, timeout=self._scope.config.kill_grace)
        if execution.cause is Cause.LOST:
            return
        if threads and self._ledger.running.get(execution.key) is execution:
            self._abandoned.add(execution)
        _keep(execution)
        self._ledger.ended(execution, ack, error)
        if threads:
            await asyncio.wait(threads)

    def _check_begun(self, executions: Sequence[Execution]) -> None:
        """The task of an attempt that was cancelled before its first step has not ended
        it: give it back.
        """
        for execution in executions:
            if not execution.begun:
                self._give_back(execution)

    def _give_back(self, execution: Execution) -> None:
        if self._ledger.running.get(execution.key) is execution:
            ack = given_back(execution.claim, "its task was cancelled from outside")
            self._ledger.ended(execution, ack, None)

    def _abandon(self, execution: Execution) -> None:
        if self._ledger.running.get(execution.key) is execution:
            _keep(execution)
            self._abandoned.add(execution)
            self._ledger.ended(execution, ack_for(execution, ended(execution)), None)


def _keep(execution: Execution) -> None:
    """Refer to the attempt's task until it ends, though the attempt has."""
    if execution.handle is not None and not execution.handle.done():
        _tasks.add(execution.handle)
        execution.handle.add_done_callback(_tasks.discard)


def _unless_cancelled(ending: Failed) -> Ending:
    """The end of an attempt of a node that stops. One whose task was cancelled from
    outside, as ``asyncio.run`` does at its end, has not failed.
    """
    if isinstance(ending.error, asyncio.CancelledError):
        return Returned("the node stopped")
    return ending
