"""Calling again and again, should nobody announce."""

import asyncio
from collections.abc import Callable


class Poll:
    """Calls ``call`` every ``interval()`` seconds, between ``start`` and ``stop``."""

    def __init__(self, interval: Callable[[], float], call: Callable[[], None]) -> None:
        self._interval = interval
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval(), self._again)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def restart(self) -> None:
        """Where it runs, go by the interval that holds now."""
        if self._timer:
            self.stop()
            self.start()

    def _again(self) -> None:
        self._call()
        self.start()
