"""Whether an event loop runs here."""

import asyncio

from elihu.errors import WrongLoop


def in_loop() -> bool:
    """Whether this thread runs an event loop at the moment."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def refuse_in_loop(called: str, instead: str) -> None:
    """Raise ``WrongLoop`` inside a running event loop, which ``called``, a synchronous
    verb, would block.
    """
    if in_loop():
        raise WrongLoop(
            f"{called} inside a running event loop: expected {instead}, got the synchronous verb"
        )
