"""Whether this thread runs an event loop."""

import asyncio

from elihu.errors import WrongLoop


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that this thread runs now."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def in_loop() -> bool:
    """Whether this thread runs an event loop now."""
    return running_loop() is not None


def refuse_in_loop(called: str, instead: str) -> None:
    """Raise ``WrongLoop`` inside a running event loop: the synchronous verb ``called``
    would block it. The message says what to write ``instead``.
    """
    if in_loop():
        raise WrongLoop(f"{called} blocks the event loop that runs in this thread: write {instead}")
