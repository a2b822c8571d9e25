"""Threads for tasks that are plain functions: reused, started when needed, and never in
the way of the process's end.

``concurrent.futures`` is not used since the interpreter joins its threads at exit: one
task that never returns would keep a stopped node from ending.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

_Work = tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[[], Any]]


class Threads:
    """As many daemon threads as calls were ever under way at once; the slots of the
    queues bound that number.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0

    async def run(self, call: Callable[[], Any]) -> Any:
        """Call it in a thread, with a copy of the context variables, and return what it
        returns or raise what it raises.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._busy == self._threads:
            threading.Thread(
                target=self._serve, name=f"elihu-task-{self._threads + 1}", daemon=True
            ).start()
            self._threads += 1
        self._busy += 1
        context = contextvars.copy_context()
        self._work.put((loop, future, lambda: context.run(call)))
        value, error = await future
        try:
            if error is not None:
                raise error
            return value
        finally:
            del error

    def close(self) -> None:
        """Let the threads end, each after the call it is in."""
        for _ in range(self._threads):
            self._work.put(None)
        self._threads = self._busy = 0

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            loop, future, call = work
            value: Any = None
            error: BaseException | None = None
            try:
                value = call()
            except BaseException as raised:
                error = raised
            try:
                loop.call_soon_threadsafe(self._answer, future, value, error)
            except RuntimeError:
                return
            del work, future, call, value, error

    def _answer(self, future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
        """The error goes as a value: a future cannot carry StopIteration, and one
        thrown into a coroutine by its future closes the coroutines around it where it
        is a GeneratorExit.
        """
        self._busy -= 1
        if not future.done():
            future.set_result((value, error))
