"""Threads for tasks that are plain functions: started when needed and reused.

They are daemon threads. ``concurrent.futures`` is not used, since the interpreter joins
its threads at exit: a task that never returns would keep a stopped node from ending.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from elihu.processes.forks import end_forked_child, generation

_Work = tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[[], Any]]


class Threads:
    """As many threads as calls ever ran at the same time; the slots of the queues bound
    that number.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
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
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        live.add(answer)
        answer.add_done_callback(live.discard)
        if self._busy == self._threads:
            threading.Thread(
                target=self._serve, name=f"elihu-task-{self._threads + 1}", daemon=True
            ).start()
            self._threads += 1
        self._busy += 1
        context = contextvars.copy_context()
        self._work.put((loop, answer, lambda: context.run(call)))
        # The error is a value: a future cannot carry StopIteration, and a GeneratorExit
        # that it throws into a coroutine closes that.
        value, error = await asyncio.shield(answer)
        try:
            if error is not None:
                raise error
            return value
        finally:
            del error

    def close(self) -> None:
        """Let each thread end after its present call."""
        for _ in range(self._threads):
            self._work.put(None)
        self._threads = self._busy = 0

    def _serve(self) -> None:
        node = generation()
        while (work := self._work.get()) is not None:
            loop, future, call = work
            value: Any = None
            error: BaseException | None = None
            try:
                value = call()
            except BaseException as raised:
                error = raised
            end_forked_child(node)
            try:
                loop.call_soon_threadsafe(self._answer, future, value, error)
            except RuntimeError:
                return
            del work, future, call, value, error

    def _answer(self, future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
        self._busy -= 1
        if not future.done():
            future.set_result((value, error))
