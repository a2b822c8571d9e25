"""The event loop of a command that runs jobs, and where it logs."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, TextIO, TypeVar

import click

T = TypeVar("T")

logger = logging.getLogger("elihu")

LAST: Final = 1.0
"""Seconds that tasks which are left over have to end."""


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a loop until the work is done; what it returns."""
    log_to_stderr()
    with _own_loop(loop_factory()) as loop:
        try:
            return _run_to_its_end(loop, work)
        except asyncio.CancelledError:
            raise click.Abort from None


def _run_to_its_end(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the loop until the coroutine ends. ``SystemExit`` of an asyncio task that a
    job made stops a loop: it goes on.
    """
    task = loop.create_task(coroutine)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            logger.warning("a job's asyncio task raised %r; the node goes on", error)
    return task.result()


@contextmanager
def _own_loop(
    factory: Callable[[], asyncio.AbstractEventLoop] | None,
) -> Iterator[asyncio.AbstractEventLoop]:
    """A new loop, closed at the end. Unlike ``asyncio.Runner``'s it ends although a
    task swallows its cancellation.
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
        _, going_on = loop.run_until_complete(asyncio.wait(left, timeout=LAST))
        if going_on:
            loop.set_exception_handler(
                lambda loop, context: None
            )  # that they are destroyed while pending is no news
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes uvloop's event loops where it is installed; None for the standard
    library's.
    """
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    except ModuleNotFoundError:
        return None
    return factory


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is at that moment, which the live display replaces."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def log_to_stderr() -> None:
    """Show log lines, unless the app has set logging up itself."""
    root = logging.getLogger()
    if not root.handlers:
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
        root.setLevel(logging.INFO)
