"""What surrounds a task's function where it runs: the app's ``@app.around``, and
process-wide settings that begin fresh for each job.
"""

import contextvars
import decimal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from typing import Any, Final

from elihu.context import Context

Around = Callable[[Context], AbstractContextManager[Any]]


def call_inside(arounds: Sequence[Around], ctx: Context, call: Callable[[], Any]) -> Any:
    """Call a function inside the context managers of ``arounds``. The first one is the
    outermost.
    """
    if not arounds:
        return call_fresh(call)
    begin_fresh()
    with ExitStack() as stack:
        for around in arounds:
            stack.enter_context(around(ctx))
        return call()


def call_fresh(call: Callable[[], Any]) -> Any:
    """Call a function that nothing surrounds."""
    begin_fresh()
    return call()


async def await_inside(
    arounds: Sequence[Around], ctx: Context, call: Callable[[], Awaitable[Any]]
) -> Any:
    """``call_inside`` for a coroutine function."""
    begin_fresh()
    if not arounds:
        return await call()
    with ExitStack() as stack:
        for around in arounds:
            stack.enter_context(around(ctx))
        return await call()


def begin_fresh() -> None:
    """Give the current context a decimal context of its own. A copied context shares
    the one object, and a change of its precision would reach other jobs.
    """
    # where the context has none, decimal makes a new one at the first use: reading it
    # here would make one for each job, which costs a fifth of a small job
    if (shared := _decimal_context.get(None)) is not None:
        decimal.setcontext(shared.copy())


def _variable() -> ContextVar[decimal.Context]:
    """The variable in which ``decimal`` keeps its context."""
    scratch = contextvars.Context()
    scratch.run(decimal.getcontext)
    (variable,) = scratch
    return variable


_decimal_context: Final = _variable()
