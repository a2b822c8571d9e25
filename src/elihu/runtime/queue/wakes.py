"""When an announced queue is fetched: at once, or a moment later where other nodes take
its jobs.

Every idle node gets the announcement of each job, and one of them gets the job. A node
whose fetches found nothing several times in a row waits a moment before the next one, and
answers all announcements of that time by one fetch. A claim, or a second without
announcements, ends this.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

MISSES: Final = 3
"""Fetches in a row that found nothing, before the next one is put off."""
DELAY: Final = (0.05, 0.1)
"""Seconds, at random, for which a fetch is put off."""
QUIET: Final = 1.0
"""Seconds without announcements after which the next one is answered at once."""


class Wakes:
    """Calls ``fetch`` after announcements, in the loop's thread."""

    def __init__(self, fetch: Callable[[], None]) -> None:
        self._fetch = fetch
        self._misses = 0
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> bool:
        """Whether a fetch is put off."""
        return self._timer is not None

    def announced(self) -> None:
        """The queue has available jobs."""
        loop = asyncio.get_running_loop()
        last, self._last = self._last, loop.time()
        if self._last - last > QUIET:
            self._misses = 0
        if self._misses < MISSES:
            self._fetch()
        elif self._timer is None:
            self._timer = loop.call_later(random.uniform(*DELAY), self.flush)

    def fetched(self, *, claimed: bool) -> None:
        """Note whether a fetch claimed a job."""
        self._misses = 0 if claimed else self._misses + 1

    def flush(self) -> None:
        """Fetch now, if a fetch was put off."""
        if self._timer is not None:
            self.cancel()
            self._fetch()

    def cancel(self) -> None:
        """Drop a fetch that was put off."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
