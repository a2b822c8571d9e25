"""Waiting with a bound."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

POLL: Final = 0.05


class WaitTimeout(Exception):
    """What the experiment waited for did not happen in time."""


async def until(
    done: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within: float, what: str
) -> None:
    """Poll until ``done`` returns true. Raises ``WaitTimeout``."""
    deadline = time.monotonic() + within
    while True:
        found = done()
        if found if isinstance(found, bool) else await found:
            return
        if time.monotonic() > deadline:
            raise WaitTimeout(f"expected {what} within {within:g} s")
        await asyncio.sleep(POLL)
