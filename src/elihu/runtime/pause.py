"""Waiting for an event, but not for ever."""

import asyncio


async def pause(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
