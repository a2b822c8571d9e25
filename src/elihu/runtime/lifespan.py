"""The app's lifespan around the jobs of one node."""

import asyncio
import contextvars
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]

_UNSET: Final = object()


class LifespanHolder:
    """Enters and leaves a lifespan in one task of its own: a context manager with a
    task group or a cancel scope must be left in the task that entered it, and a stop
    may come from any. A cancellation of that task from outside is ignored meanwhile.
    """

    def __init__(self, lifespan: Lifespan) -> None:
        self._lifespan = lifespan
        self._leave = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def enter(self) -> Any:
        """What the lifespan yields. Its context variables are set here too."""
        entered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        context = contextvars.copy_context()
        self._task = asyncio.create_task(
            self._hold(entered), name="elihu-lifespan", context=context
        )
        self._task.add_done_callback(lambda task: _fail(entered, task))
        state = await entered
        for variable, value in context.items():
            if variable.get(_UNSET) is not value:
                variable.set(value)
        return state

    async def leave(self) -> None:
        """Leave the lifespan; raises what it raises."""
        self._leave.set()
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

    async def _hold(self, entered: "asyncio.Future[Any]") -> None:
        async with self._lifespan() as state:
            if not entered.done():
                entered.set_result(state)
            while not self._leave.is_set():
                try:
                    await self._leave.wait()
                except asyncio.CancelledError:
                    if entered.cancelled():
                        raise


def _fail(entered: "asyncio.Future[Any]", task: "asyncio.Task[None]") -> None:
    """Pass on why the lifespan was not entered."""
    if entered.done():
        return
    if task.cancelled():
        entered.cancel()
    elif (error := task.exception()) is not None:
        entered.set_exception(error)
