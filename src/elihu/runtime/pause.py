"""Waiting for an event, but not for ever."""

import asyncio
from collections.abc import Callable


async def pause(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def when(event: asyncio.Event, call: Callable[[], None]) -> None:
    """Call it once the event is set."""
    await event.wait()
    call()
