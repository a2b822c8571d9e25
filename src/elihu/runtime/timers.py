"""Timers: wait for an event with a time limit, and call repeatedly."""

import asyncio
from collections.abc import Callable
from typing import Protocol


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


class PollTimes(Protocol):
    """When a poll is due."""

    def interval(self) -> float:
        """Seconds between two polls."""
        ...

    def since_look(self) -> float:
        """Seconds since another part of the program found that a poll would find nothing;
        infinite where none did.
        """
        ...


class Poll:
    """Calls ``call`` every ``interval()`` seconds, between ``start`` and ``stop``. A look of
    another part counts as a call.
    """

    def __init__(self, times: PollTimes, call: Callable[[], None]) -> None:
        self._times = times
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._call_in(self._times.interval())

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
        left = self._times.interval() - self._times.since_look()
        if left > 0:
            self._call_in(left)
        else:
            self._call()
            self.start()

    def _call_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._again)
