"""Runs one attempt and returns how it ended. It never raises, whatever the task does."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from elihu.context import Context
from elihu.errors import NotCommitted
from elihu.outcome import (
    Cancel,
    Cancelled,
    Complete,
    Discard,
    Ending,
    Failed,
    Killed,
    Retry,
    Returned,
    Snooze,
    TimedOut,
)
from elihu.runtime.attempts.exception_groups import agreed
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.runtime.attempts.frameworks import with_frameworks
from elihu.runtime.attempts.middleware import Middleware, compose
from elihu.runtime.attempts.processes.pool import ProcessPool
from elihu.runtime.attempts.surroundings import (
    Around,
    await_inside,
    begin_fresh,
    call_fresh,
    call_inside,
)
from elihu.runtime.attempts.template_check import TemplateCheck
from elihu.runtime.attempts.threads import Threads
from elihu.task import ResultNotStored

_OUTCOMES: Final = (Snooze, Cancel, Discard, Retry)
_COMPLETE: Final = Complete()
_FORCED: Final = {Cause.KILL, Cause.TIMEOUT}
"""Causes that a task cannot evade by a snooze or a retry."""


class Executor:
    """Decodes the arguments, runs the task inside the middleware, and makes an ending of
    the result.
    """

    def __init__(
        self,
        threads: Threads,
        children: ProcessPool,
        middlewares: Sequence[Middleware],
        max_result: int,
        contexts: TemplateCheck,
        arounds: Sequence[Around] = (),
    ) -> None:
        self._threads = threads
        self._children = children
        self._middlewares = middlewares
        self._max_result = max_result
        self._contexts = contexts
        self._arounds = arounds

    async def execute(self, execution: Execution) -> Ending:
        if execution.cause is not None:
            return ended(execution)
        try:
            task = execution.task
            if execution.claim.template is not None and (refusal := await self._refusal(execution)):
                return refusal
            if task.run_in == "process" and not self._middlewares:
                return (await self._children.run(execution, wanted=execution.keeps_value)).ending
            if task.run_in == "loop" and not self._middlewares and not self._all_arounds():
                args, kwargs = task.codec.decode(execution.claim.args)
                if task.context_parameter:
                    kwargs[task.context_parameter] = execution.context
                begin_fresh()
                value = await task.fn(*args, **kwargs)
            elif task.run_in == "thread" and not self._middlewares:
                args, kwargs = task.codec.decode(execution.claim.args)
                value = await self._call_thread(execution, args, kwargs)
            else:
                value = await self._run(execution)
        except _OUTCOMES as outcome:
            value = outcome
        except BaseException as error:
            leaf = agreed(error)
            if not isinstance(leaf, _OUTCOMES):
                return Failed(leaf) if execution.cause is None else ended(execution, leaf)
            value = leaf
        if execution.committed:
            return Complete()
        heeded = execution.heeded
        if isinstance(value, _OUTCOMES) and (
            heeded not in _FORCED or isinstance(value, Cancel | Discard)
        ):
            return value
        if heeded is not None:
            return ended(execution)
        if execution.completing:
            return Failed(
                NotCommitted(
                    f"job {execution.claim.id}: expected the transaction of ctx.complete() to be "
                    "committed, got none"
                )
            )
        if not execution.keeps_value:
            execution.returned = (value,)
            return _COMPLETE
        if value is None and execution.unkept:
            return execution.unkept
        return kept(execution, value, self._max_result)

    async def _refusal(self, execution: Execution) -> Ending | None:
        """How the attempt ends without a run, when its context does not fit its
        template.
        """
        refusal = await self._contexts.refusal(execution.claim)
        return refusal if execution.cause is None else ended(execution)

    async def _run(self, execution: Execution) -> Any:
        task = execution.task
        if task.run_in == "process":
            return await compose(self._middlewares, partial(self._call_child, execution))(
                execution.context
            )
        args, kwargs = task.codec.decode(execution.claim.args)
        return await compose(self._middlewares, partial(self._call, execution, args, kwargs))(
            execution.context
        )

    async def _call(
        self, execution: Execution, args: Sequence[Any], kwargs: dict[str, Any], ctx: Context
    ) -> Any:
        task = execution.task
        if task.run_in == "thread":
            return await self._call_thread(execution, args, kwargs)
        if task.context_parameter:
            kwargs[task.context_parameter] = ctx
        return await await_inside(self._all_arounds(), ctx, partial(task.fn, *args, **kwargs))

    async def _call_thread(
        self, execution: Execution, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        task, arounds = execution.task, self._all_arounds()
        if task.context_parameter:
            kwargs[task.context_parameter] = execution.context
        call = partial(task.fn, *args, **kwargs)
        if arounds:
            call = partial(call_inside, arounds, execution.context, call)
        else:
            call = partial(call_fresh, call)
        if execution.threads is None:
            execution.threads = set()
        return await self._threads.run(call, execution.threads)

    def _all_arounds(self) -> Sequence[Around]:
        return with_frameworks(self._arounds)

    async def _call_child(self, execution: Execution, ctx: Context) -> Any:
        """The task's value for the middlewares, in its declared type. One that cannot be
        encoded is None, and the job's reason says why.
        """
        ending, raised = await self._children.run(execution, wanted=True)
        match ending:
            case Complete(value=str() as value):
                execution.unkept = None
                return execution.task.codec.decode_result(value)
            case Complete():
                execution.unkept = ending
                return None
            case Failed(error=error):
                raise error
            case Snooze() | Cancel() | Discard() | Retry() if raised:
                raise ending
        return ending


def kept(execution: Execution, value: Any, max_result: int) -> Complete:
    """The end of an attempt whose value is stored, or the reason why it cannot be."""
    try:
        return Complete(execution.task.codec.encode_result(value, max_result))
    except ResultNotStored as error:
        return Complete(problem=str(error), too_large=error.too_large)


def ended(execution: Execution, raised: BaseException | None = None) -> Ending:
    """The end of an attempt that the node ended: whatever it raises then, it ends for
    its cause.
    """
    match execution.cause:
        case Cause.CANCEL:
            return Cancelled()
        case Cause.KILL:
            return Killed(raised)
        case Cause.TIMEOUT:
            return TimedOut(execution.timeout or 0.0, raised)
        case Cause.STOP:
            return Returned("its job was taken from the node")
        case Cause.CUT_OFF | Cause.FENCE:
            return Returned("the node was cut off from the database")
    return Returned("the node stopped")
