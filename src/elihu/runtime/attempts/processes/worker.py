"""The child: imports the app, enters its lifespan, and runs one job after another in
its main thread.

SIGTERM ends the job that runs (an async task is cancelled, in a function
``Interrupted`` is raised) and then the child.
"""

import asyncio
import contextvars
import locale
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, Final
from uuid import uuid4

from elihu.attempt_waits import current_attempt
from elihu.outcome import Cancel, Discard, Outcome, Retry, Snooze
from elihu.processes.forks import end_forked_child, generation, handle
from elihu.processes.guardian import Guardian
from elihu.processes.parent_death import die_with_parent
from elihu.runtime.attempts.exception_groups import agreed
from elihu.runtime.attempts.frameworks import with_frameworks
from elihu.runtime.attempts.processes.channel import Channel
from elihu.runtime.attempts.processes.context import ChildAttempt, ChildContext
from elihu.runtime.attempts.processes.errors import pack
from elihu.runtime.attempts.processes.node_logging import (
    adopt_logging,
    app_imported,
    begin_logging,
)
from elihu.runtime.attempts.processes.task_loader import TaskLoader
from elihu.runtime.attempts.processes.tickets import HeldTickets
from elihu.runtime.attempts.surroundings import await_inside, call_inside
from elihu.storable_text import clean
from elihu.task import ResultNotStored, Task

REASON_LIMIT: Final = 16_384

_OUTCOMES: Final = (Snooze, Cancel, Discard, Retry)


class Interrupted(BaseException):
    """Raised inside a task that is a plain function when its node ends the attempt, so
    that its ``finally`` blocks run.
    """


class Worker:
    """Serves the node at the other end of the channel until an ``end`` message or SIGTERM."""

    def __init__(self, channel: Channel, tickets: HeldTickets, guardian: Guardian) -> None:
        self._channel = channel
        self._tickets = tickets
        self._guardian = guardian
        self._loader: TaskLoader
        self._loop = asyncio.new_event_loop()
        self._state: Any = None
        self._base = contextvars.copy_context()
        self._locale = locale.setlocale(locale.LC_ALL)
        self._context: ChildContext | None = None
        self._async_task: asyncio.Task[Any] | None = None
        self._ending = False
        self._interruptible = False

    def serve(self) -> None:
        """Run jobs until the end."""
        _, setup = self._channel.receive()
        die_with_parent(setup["node"], self._channel.fileno())
        sys.path[:] = setup["path"]
        sys.argv[:] = setup["argv"]
        begin_logging(setup["logging"], self._channel)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop()
            try:
                self._loader = TaskLoader(setup["app"], setup["settings"], first=setup["first"])
                app_imported(setup["logging"], self._channel)
                lifespan = self._loader.lifespan()
                if lifespan:
                    self._state = self._wait(lifespan.__aenter__(), context=self._base)
                self._locale = locale.setlocale(locale.LC_ALL)
                adopt_logging(setup["logging"], self._channel)
            except BaseException as error:
                self._refuse(error)
                return
            handle(signal.SIGTERM, self._on_sigterm)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                handle(signal.SIGINT, signal.default_int_handler)
            try:
                self._serve_jobs()
            finally:
                if lifespan:
                    self._wait(lifespan.__aexit__(None, None, None), context=self._base)

    def _refuse(self, error: BaseException) -> None:
        """Answer the first job with the error that keeps this child from running any."""
        while (kind := self._channel.receive()[0]) != "perform":
            if kind == "end":
                return
        self._channel.send("unable", pack(error))

    def _serve_jobs(self) -> None:
        node = generation()
        while not self._ending:
            try:
                match self._interruptibly(self._channel.receive):
                    case ["perform", number, call] if self._tickets.has(number):
                        began = time.monotonic()
                        self._guardian.job_begins(uuid4().hex)
                        answer = self._base.copy().run(self._perform, number, call)
                        end_forked_child(node)
                        _flush_output()
                        self._restore_locale()
                        if not self._ending:
                            self._guardian.job_ended()
                        self._channel.send(*answer, round(time.monotonic() - began, 6))
                    case ["end"]:
                        return
            except Interrupted:
                return

    def _perform(self, number: int, call: Mapping[str, Any]) -> tuple[Any, ...]:
        try:
            task, is_async = self._loader.task(call["task"], call["module"], call["qualname"])
            args, kwargs = task.codec.decode(call["args"])
            attempt = ChildAttempt(self._channel, number, call)
            current_attempt.set(attempt)
            self._context = ChildContext(attempt, self._channel, number, self._state)
            if task.context_parameter is not None:
                kwargs[task.context_parameter] = self._context
            try:
                function = partial(task.fn, *args, **kwargs)
                return self._answer(task, self._call(is_async, self._context, function), call)
            finally:
                self._context = None
                attempt.close()
        except BaseException as raised:
            error = agreed(raised)
            if isinstance(error, _OUTCOMES):
                return _outcome(error, raised=True)
            return "error", pack(error)

    def _call(self, is_async: bool, ctx: ChildContext, call: "partial[Any]") -> Any:
        arounds = with_frameworks(self._loader.arounds)
        if is_async:
            return self._wait(await_inside(arounds, ctx, call), interruptible=True)
        return self._interruptibly(partial(call_inside, arounds, ctx, call))

    def _restore_locale(self) -> None:
        """Take back a change of the process's locale by a job."""
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)

    def _answer(self, task: Task[..., Any], value: Any, call: Mapping[str, Any]) -> tuple[Any, ...]:
        if isinstance(value, _OUTCOMES):
            return _outcome(value, raised=False)
        if not call["wanted"]:
            return "done", None, None, False
        try:
            return "done", task.codec.encode_result(value, call["max_result"]), None, False
        except ResultNotStored as error:
            return "done", None, clean(str(error), REASON_LIMIT), error.too_large

    def _interruptibly(self, call: Any) -> Any:
        self._interruptible = True
        try:
            if self._ending:
                raise Interrupted
            return call()
        finally:
            self._interruptible = False

    def _wait(
        self,
        coroutine: Any,
        *,
        interruptible: bool = False,
        context: contextvars.Context | None = None,
    ) -> Any:
        """Run the coroutine to its end. Nothing that it or what it starts raises ends
        the loop.
        """
        task = self._loop.create_task(_caught(coroutine), context=context)
        if interruptible:
            self._async_task = task
            if self._ending:
                task.cancel()
        while not task.done():
            with suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_until_complete(task)
        self._async_task = None
        value, error = task.result()
        if error is not None:
            raise error
        return value

    def _on_sigterm(self, number: int, at: FrameType | None) -> None:
        if self._ending:
            return
        self._ending = True
        if self._context:
            self._context.cancel()
        if self._async_task:
            self._loop.call_soon_threadsafe(self._async_task.cancel)
        elif self._interruptible:
            self._channel.between_frames(self._interrupt)

    @staticmethod
    def _interrupt() -> None:
        raise Interrupted


async def _caught(coroutine: Any) -> tuple[Any, BaseException | None]:
    try:
        return await coroutine, None
    except BaseException as error:
        return None, error


def _outcome(outcome: Outcome, *, raised: bool) -> tuple[Any, ...]:
    kind = next(each for each in _OUTCOMES if isinstance(outcome, each))
    reason = getattr(outcome, "reason", None)
    text = None if reason is None else clean(str(reason), REASON_LIMIT)
    return "outcome", kind.__name__, text, getattr(outcome, "delay", None), raised


def _flush_output() -> None:
    """Write out what the task printed before its end is reported."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def main(descriptor: int, tickets: int) -> None:
    """Serve the node at the other end of this socket, which also holds the other end of
    this pipe.
    """
    guardian = Guardian()
    guardian.start()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        Worker(Channel(descriptor), HeldTickets(tickets), guardian).serve()
