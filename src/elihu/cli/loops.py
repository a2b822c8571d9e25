"""The event loop of a command that runs a node."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

LAST: Final = 1.0
"""Seconds that tasks which are left over have to end."""


@contextmanager
def own_loop(factory: Callable[[], asyncio.AbstractEventLoop] | None) -> Iterator[asyncio.AbstractEventLoop]:
    """A new loop, closed at the end. Unlike ``asyncio.Runner``'s it ends although a task swallows its cancellation."""
    loop = (factory or asyncio.new_event_loop)()
    asyncio.set_event_loop(loop)
    try:
        try:
            yield loop
        finally:
            _end(loop)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        _, going_on = loop.run_until_complete(asyncio.wait(left, timeout=LAST))
        if going_on:
            loop.set_exception_handler(lambda loop, context: None)  # that they are destroyed while pending is no news
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
