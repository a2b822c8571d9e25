"""Threads for tasks that are plain functions: started when needed and reused.

They are daemon threads. ``concurrent.futures`` is not used, since the interpreter joins
its threads at exit: a task that never returns would keep a stopped node from ending.

A call wakes no thread while one is awake and looks for work. That one wakes the next
before it begins a call, if more calls wait, and a thread whose call has ended takes the
next one without a wake. So many short calls are made by few threads, one after another,
and calls that wait for something run at the same time. Answers that come while the loop
is busy are delivered together.
"""

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from elihu.processes.forks import end_forked_child, generation


class _Call:
    """A function for a thread, with the context that it runs in. ``answer`` is the
    future that its caller waits for.
    """

    __slots__ = ("answer", "context", "function", "live")

    def __init__(
        self,
        function: Callable[[], Any],
        answer: "asyncio.Future[Any]",
        live: "set[asyncio.Future[Any]]",
    ) -> None:
        self.function = function
        self.answer = answer
        self.live = live
        self.context = contextvars.copy_context()


class Threads:
    """As many threads as calls ever ran at the same time; the slots of the queues bound
    that number.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Call] = deque()
        self._wakes: SimpleQueue[bool] = SimpleQueue()
        self._looking = False
        self._answers: deque[tuple[_Call, Any, BaseException | None]] = deque()
        self._delivering = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = 0
        self._busy = 0

    async def run(
        self, call: Callable[[], Any], live: "set[asyncio.Future[Any]] | None" = None
    ) -> Any:
        """Call it in a thread, with a copy of the context variables, and return what it
        returns or raise what it raises.

        Cancelling this, as a time limit in a middleware does, leaves the thread running
        as a future in ``live``. A call waits for those that are in ``live`` already, so
        they never are two.
        """
        live = set() if live is None else live
        while live:
            await asyncio.wait(live)
        self._loop = loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if self._busy == self._threads:
            threading.Thread(
                target=self._serve, name=f"elihu-task-{self._threads + 1}", daemon=True
            ).start()
            self._threads += 1
        self._busy += 1
        live.add(answer)
        made = _Call(call, answer, live)
        self._waiting.append(made)
        if not self._looking:
            self._wake()
        try:
            # The error is a value: a future cannot carry StopIteration, and a
            # GeneratorExit that it throws into a coroutine closes that.
            value, error = await answer
        except asyncio.CancelledError:
            if answer.cancelled():
                live.discard(answer)
                made.answer = loop.create_future()
                live.add(made.answer)
            raise
        try:
            if error is not None:
                raise error
            return value
        finally:
            del error

    def close(self) -> None:
        """Let each thread end after its present call."""
        for _ in range(self._threads):
            self._wakes.put(False)
        self._threads = self._busy = 0

    def _wake(self) -> None:
        """Let one thread look for work."""
        self._looking = True
        self._wakes.put(True)

    def _serve(self) -> None:
        node = generation()
        goes_on = True
        while goes_on:
            goes_on = self._wakes.get()
            looks = True
            while True:
                try:
                    call = self._waiting.popleft()
                except IndexError:
                    call = None
                if looks:
                    looks = False
                    self._looking = False
                    # also a call that came after the look, and woke nobody
                    if self._waiting and not self._looking:
                        self._wake()
                if call is None:
                    break
                value: Any = None
                error: BaseException | None = None
                try:
                    value = call.context.run(call.function)
                except BaseException as raised:
                    error = raised
                end_forked_child(node)
                self._answers.append((call, value, error))
                del call, value, error
                if not self._delivering and not self._call_deliver():
                    return

    def _call_deliver(self) -> bool:
        """Let the loop deliver the answers. False where it is closed."""
        self._delivering = True
        try:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            self._delivering = False
            return False
        return True

    def _deliver(self) -> None:
        self._delivering = False
        answers = self._answers
        while answers:
            call, value, error = answers.popleft()
            self._busy -= 1
            answer = call.answer
            call.live.discard(answer)
            if not answer.done():
                answer.set_result((value, error))
