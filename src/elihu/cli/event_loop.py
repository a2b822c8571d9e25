"""The event loop of commands that run jobs."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, TypeVar

import click

T = TypeVar("T")

logger = logging.getLogger("elihu")

CANCEL_TIMEOUT: Final = 1.0
"""Seconds that remaining asyncio tasks have to end after they were cancelled."""


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new event loop and return its result."""
    with _own_loop(loop_factory()) as loop:
        try:
            return _run_to_its_end(loop, work)
        except asyncio.CancelledError:
            raise click.Abort from None


def _run_to_its_end(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the loop until the coroutine ends. ``SystemExit`` in an asyncio task of a job
    stops the loop, so the loop is started again.
    """
    task = loop.create_task(coroutine)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            logger.warning("an asyncio task of a job raised %r; the node keeps running", error)
    return task.result()


@contextmanager
def _own_loop(
    factory: Callable[[], asyncio.AbstractEventLoop] | None,
) -> Iterator[asyncio.AbstractEventLoop]:
    """Create a loop and close it at the end. Unlike with ``asyncio.Runner``, closing
    does not wait for a task that ignores its cancellation.
    """
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
        _, unfinished = loop.run_until_complete(asyncio.wait(left, timeout=CANCEL_TIMEOUT))
        if unfinished:
            loop.set_exception_handler(
                lambda loop, context: None
            )  # hides "Task was destroyed but it is pending!"
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The factory of uvloop if it is installed, else None for the standard library's."""
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    except ModuleNotFoundError:
        return None
    return factory
