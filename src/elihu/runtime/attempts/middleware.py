"""Middleware: what an app wraps around every execution."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from elihu.context import Context

CallNext = Callable[[Context], Awaitable[Any]]
Middleware = Callable[[Context, CallNext], Awaitable[Any]]


def compose(middlewares: Sequence[Middleware], execute: CallNext) -> CallNext:
    """``execute`` inside all of them; the first registered is the outermost."""
    call: CallNext = execute
    for middleware in reversed(middlewares):
        call = partial(_around, middleware, call)
    return call


def _around(middleware: Middleware, call_next: CallNext, ctx: Context) -> Awaitable[Any]:
    return middleware(ctx, call_next)
