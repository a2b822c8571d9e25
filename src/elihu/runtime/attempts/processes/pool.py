"""The child processes of one node: started when needed, kept for further jobs, and
replaced after ``max_jobs_per_child``.
"""

import asyncio
import logging
from functools import partial
from typing import Any, Final, NamedTuple

from elihu.config import Config
from elihu.errors import ProcessDied, ProcessError
from elihu.outcome import Cancel, Complete, Discard, Ending, Failed, Retry, Snooze
from elihu.processes.memory import resident, shown
from elihu.runtime.attempts.error_text import set_traceback
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.runtime.attempts.processes.call import Call, TakenBack
from elihu.runtime.attempts.processes.child import Child
from elihu.runtime.attempts.processes.errors import unpack
from elihu.runtime.attempts.processes.import_path import AppLocation
from elihu.runtime.attempts.processes.protocol import Message
from elihu.runtime.attempts.processes.sharing import Sharing

logger = logging.getLogger("elihu")

STOP_GRACE: Final = 0.6
"""Seconds that an attempt which a stopping node gives back has to clean up: fewer than
the producer waits for its end.
"""

CLOSE_GRACE: Final = 1.5
"""Seconds that children without a job have at least to leave their lifespans, and at
most when the node ends.
"""

LOOK: Final = 1.0
"""Seconds between two looks at the memory of children that run a job."""


class Answer(NamedTuple):
    """How the task ended in the child; an outcome was returned, or ``raised``."""

    ending: Ending
    raised: bool = False


class ProcessPool:
    """At most as many children as jobs that are in them at the same time. Each runs one
    job at a time; short jobs may wait in one child for each other: ``sharing``.
    """

    def __init__(self, config: Config, origin: AppLocation, *, with_context: bool = False) -> None:
        self._config = config
        self._with_context = with_context
        self._origin = origin
        self._all: set[Child] = set()
        self._idle: list[Child] = []
        self._sharing = Sharing(self._idle, config.max_jobs_per_child)
        self._running = 0
        self._closed = False
        self._freed = asyncio.Event()
        self._farewells: set[asyncio.Task[Any]] = set()
        self._memory_timer: asyncio.TimerHandle | None = None

    async def run(self, execution: Execution, *, wanted: bool) -> Answer:
        """Run the task in a child; with ``wanted`` its value is returned. When a kept
        child dies before it begins the job, another one runs it. Cancelling this ends
        the job and the child, after the grace by force; the ``CancelledError`` then has
        the traceback of the task.

        Raises ``NotImportable``, and ``OSError`` where no process can be started.
        """
        fields = self._fields(execution, wanted)
        task, alone = execution.task.name, self._config.max_memory is not None
        self._running += 1
        try:
            while True:
                child = None if alone or self._closed else self._sharing.child_for(task)
                if child is None:
                    child = await self._take()
                child.kept = False
                call = Call(execution, fields)
                try:
                    return await self._perform(child, call, execution)
                except TakenBack:
                    alone = True
                except ProcessDied as error:
                    if call.begun or call.first:
                        return Answer(Failed(error.with_traceback(None)))
                finally:
                    execution.context.on_cancel = execution.waits.on_blocked = None
                    self._put_back(child)
        finally:
            self._running -= 1
            self._freed.set()

    async def close(self) -> None:
        """End every child: those that still run a job by force, the others in good
        order if that takes no more than ``CLOSE_GRACE``.
        """
        self._closed = True
        self._sharing.stop()
        if self._memory_timer:
            self._memory_timer.cancel()
        for child in list(self._all):
            if child.busy:
                child.kill("the node stopped")
            elif not child.leaving:
                self._retire(child)
        if not await self._all_gone(CLOSE_GRACE):
            for child in self._all:
                child.kill()
            if not await self._all_gone(CLOSE_GRACE):
                logger.error(
                    "%d child processes of the node did not end when they were killed",
                    len(self._all),
                )

    async def _all_gone(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while self._all:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            return False
        return True

    async def _perform(self, child: Child, call: Call, execution: Execution) -> Answer:
        execution.context.on_cancel = partial(child.tell_cancelled, call)
        execution.waits.on_blocked = partial(child.tell_blocked, call)
        child.give(call)
        try:
            answer = await call.answer
        except asyncio.CancelledError as cancelled:
            if call in child.calls and self._is_running(child, call):
                given_back = execution.cause in {Cause.RELEASE, Cause.LOST}
                parting = self._interrupt(
                    child, call, STOP_GRACE if given_back else self._config.kill_grace
                )
                await asyncio.wait([parting])
                match parting.result():
                    case ["error", packed, _]:
                        set_traceback(cancelled, packed["traceback"])
            raise
        match answer:
            case [*_, float() as seconds]:
                self._sharing.note(execution.task.name, seconds)
        return _answer_from(answer)

    def _is_running(self, child: Child, call: Call) -> bool:
        """Whether ending the child is what ends this call, after those that wait in the
        child are taken back. The first call of a child is: it may hang in its imports.
        """
        waiting = child.take_back()
        for other in waiting:
            if other is not call:
                other.fail(TakenBack())
        return call.first if call in waiting else child.calls[-1] is call

    def _fields(self, execution: Execution, wanted: bool) -> dict[str, Any]:
        task = execution.task
        module, qualname = self._origin.task(task)
        fields: dict[str, Any] = {
            "task": task.name,
            "module": module,
            "qualname": qualname,
            "args": execution.claim.args,
            "wanted": wanted,
            "max_result": self._config.max_result,
            "log_fields": execution.log_fields,
            "carrier": dict(execution.carrier),
        }
        if task.context_parameter or self._with_context:
            fields |= {
                "attempt": execution.attempt,
                "max_attempts": execution.max_attempts,
                "job": execution.read_job(),
            }
        return fields

    async def _take(self) -> Child:
        while True:
            if self._closed:
                raise ProcessError("expected a running node, got one that has stopped")
            while self._idle:
                child = self._idle.pop()
                if child.ready:
                    return child
            if len(self._all) < self._running:
                return await self._start()
            self._freed.clear()
            await self._freed.wait()

    async def _start(self) -> Child:
        setup = self._origin.setup()
        child = Child(self._gone)
        self._all.add(child)
        try:
            await child.start(setup)
        except BaseException:
            self._gone(child)
            raise
        if self._config.max_memory is not None and self._memory_timer is None:
            self._memory_timer = asyncio.get_running_loop().call_later(LOOK, self._look)
        return child

    def _put_back(self, child: Child) -> None:
        """Keep it for the next job, unless it has others, is kept already, has ended,
        ends, or has run enough jobs.
        """
        if child.calls or child.kept:
            return
        self._sharing.close(child)
        if not child.ready:
            return
        if self._closed or child.jobs >= self._config.max_jobs_per_child or self._excess(child):
            self._retire(child)
        else:
            child.kept = True
            self._idle.append(child)

    def _retire(self, child: Child) -> None:
        """Let it end in good order, in the background."""
        child.leaving = True
        self._farewells.add(
            task := asyncio.get_running_loop().create_task(
                child.retire(max(self._config.kill_grace, CLOSE_GRACE))
            )
        )
        task.add_done_callback(self._farewells.discard)

    def _interrupt(self, child: Child, call: Call, grace: float) -> asyncio.Task[Message | None]:
        """End its job. The task continues when its caller is cancelled."""
        self._farewells.add(
            task := asyncio.get_running_loop().create_task(child.interrupt(call, grace))
        )
        task.add_done_callback(self._farewells.discard)
        return task

    def _gone(self, child: Child) -> None:
        self._all.discard(child)
        self._sharing.close(child)
        if child in self._idle:
            self._idle.remove(child)
        self._freed.set()

    def _excess(self, child: Child) -> str | None:
        """The reason for ending a child that has too much memory, None where it has not."""
        limit = self._config.max_memory
        size = resident(child.pid) if limit is not None else None
        if limit is None or size is None or size <= limit:
            return None
        return (
            f"the process of the task had {shown(size)} of memory, "
            f"more than max_memory ({shown(limit)}), and was ended"
        )

    def _look(self) -> None:
        for child in self._all:
            if child.busy and (excess := self._excess(child)):
                child.kill(excess)
        self._memory_timer = asyncio.get_running_loop().call_later(LOOK, self._look)


def _answer_from(answer: Message) -> Answer:
    match answer:
        case ["done", value, problem, too_large, _]:
            return Answer(Complete(value, problem, too_large))
        case ["outcome", kind, reason, delay, raised, _]:
            return Answer(_outcome(kind, reason, delay), raised)
        case ["error", packed, _] | ["unable", packed]:
            return Answer(Failed(unpack(packed)))
    raise ProcessDied(f"the process of the task sent an unknown message: {answer[0]!r}")


def _outcome(
    kind: str, reason: str | None, delay: float | None
) -> Snooze | Cancel | Discard | Retry:
    match kind:
        case "Snooze":
            return Snooze(delay or 0)
        case "Cancel":
            return Cancel(reason)
        case "Discard":
            return Discard(reason)
    return Retry(reason, delay=delay)
