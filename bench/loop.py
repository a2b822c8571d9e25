"""The event loop of the measurements: uvloop where it is installed, as in `elihu
start`.
"""

import asyncio
from collections.abc import Coroutine
from importlib import import_module
from typing import Any


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it to its end."""
    try:
        factory = import_module("uvloop").new_event_loop
    except ModuleNotFoundError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(coroutine)
