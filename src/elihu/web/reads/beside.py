"""Two reads of a page at once, each on a connection of its own."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Do this meanwhile, for the caller to await within the block. It is over at the end."""
    task = asyncio.create_task(work, name="elihu-beside")
    try:
        yield task
    finally:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # a caller that fails first does not ask for it
