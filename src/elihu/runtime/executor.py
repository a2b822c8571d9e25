"""Runs one attempt and says what it came to; never raises, whatever the task does."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from elihu.context import Context
from elihu.outcome import Cancel, Cancelled, Complete, Discard, Ending, Failed, Released, Retry, Snooze
from elihu.runtime.execution import Cause, Execution
from elihu.runtime.middleware import Middleware, compose
from elihu.runtime.threads import Threads
from elihu.task import ResultNotStored


class Executor:
    """Decodes, runs the task inside the middleware, and turns what came into an ending."""

    def __init__(self, threads: Threads, middlewares: Sequence[Middleware], max_result: int) -> None:
        self._threads = threads
        self._middlewares = middlewares
        self._max_result = max_result

    async def execute(self, execution: Execution) -> Ending:
        if execution.cause is not None:
            return self._ended(execution.cause, asyncio.CancelledError())
        try:
            value = await self._run(execution)
        except (Snooze, Cancel, Discard, Retry) as outcome:
            return outcome
        except BaseException as error:
            return self._ended(execution.cause, error)
        if isinstance(value, Snooze | Cancel | Discard | Retry):
            return value
        if cause := execution.heeded:
            return self._ended(cause, asyncio.CancelledError())
        if not execution.keeps_value:
            return Complete()
        try:
            return Complete(execution.task.codec.encode_result(value, self._max_result))
        except ResultNotStored as error:
            return Complete(problem=str(error), too_large=error.too_large)

    async def _run(self, execution: Execution) -> Any:
        task = execution.task
        args, kwargs = task.codec.decode(execution.claim.args)
        if not self._middlewares:
            return await self._call(execution, args, kwargs, execution.context)
        return await compose(self._middlewares, partial(self._call, execution, args, kwargs))(execution.context)

    async def _call(self, execution: Execution, args: Sequence[Any], kwargs: dict[str, Any], ctx: Context) -> Any:
        task = execution.task
        if task.context_parameter:
            kwargs[task.context_parameter] = ctx
        if task.run_in == "loop":
            return await task.fn(*args, **kwargs)
        return await self._threads.run(partial(task.fn, *args, **kwargs))

    @staticmethod
    def _ended(cause: Cause | None, error: BaseException) -> Ending:
        """An attempt that was asked to end and raises, whatever it raises, ends for that cause."""
        match cause:
            case Cause.CANCEL:
                return Cancelled()
            case Cause.RELEASE | Cause.LOST:
                return Released("the node stopped")
        return Failed(error)
