"""Timers: wait for an event with a time limit, and call repeatedly."""

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
    """Call it when the event is set."""
    await event.wait()
    call()


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
        """Use the present interval, where the poll runs."""
        if self._timer:
            self.stop()
            self.start()

    def _again(self) -> None:
        self._call()
        self.start()
