"""All waits for jobs in one loop. The poller runs while there are waits, and a little
longer, since the next wait may begin soon.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from elihu.engines.protocol.waits import JobEnd
from elihu.errors import DatabaseUnavailable
from elihu.relay import Watched
from elihu.results.pending import PendingWaits, Waiter
from elihu.results.poller import ResultPoller
from elihu.runtime.announcer import Hub
from elihu.runtime.service import Scope

LINGER: Final = 5.0
"""Seconds for which the poller runs on after the last wait."""

CLOSED: Final = "the app was closed during the wait"


class Waiters:
    """Waits end with their job, at their time-out, when they are cancelled, and when the
    app is closed.
    """

    def __init__(self, scope: Scope, hub: Hub, *, linger: float = LINGER) -> None:
        self._scope = scope
        self._hub = hub
        self._linger = linger
        self._waits = PendingWaits()
        self._poller: ResultPoller | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        """The number of jobs that have waiters."""
        return len(self._waits)

    async def ends(
        self, watched: Sequence[Watched], timeout: float | None, *, only_job: bool
    ) -> list[JobEnd | Exception | None]:
        """The end of each job, in order, after at most ``timeout`` seconds; None for a
        job without an end.

        Raises ``DatabaseUnavailable`` if the app is closed.
        """
        if self._closed:
            raise DatabaseUnavailable(CLOSED)
        if not watched:
            return []
        waiters = [Waiter(each, only_job=only_job) for each in watched]
        self._waits.add(waiters)
        try:
            await self._wake()
            await asyncio.wait([waiter.future for waiter in waiters], timeout=timeout)
        finally:
            self._waits.remove(waiters)
            self._rest_later()
        return [waiter.future.result() if waiter.future.done() else None for waiter in waiters]

    async def close(self) -> None:
        """End every wait with ``DatabaseUnavailable``."""
        self._closed = True
        self._waits.end_all(DatabaseUnavailable(CLOSED))
        self._rest()
        if self._stopping:
            await asyncio.wait(self._stopping)

    def abandon(self) -> None:
        """Drop everything: the loop has ended."""
        if self._poller:
            self._poller.leave()

    async def _wake(self) -> None:
        if self._rest_timer:
            self._rest_timer.cancel()
            self._rest_timer = None
        if self._poller is None:
            self._poller = ResultPoller(self._scope, self._waits, self._hub)
            await self._poller.start()
        self._poller.wake()

    def _rest_later(self) -> None:
        if not self._waits and self._poller and self._rest_timer is None:
            self._rest_timer = asyncio.get_running_loop().call_later(self._linger, self._rest)

    def _rest(self) -> None:
        if self._rest_timer:
            self._rest_timer.cancel()
            self._rest_timer = None
        poller, self._poller = self._poller, None
        if poller:
            task = asyncio.create_task(poller.stop(), name="elihu-relay-stop")
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
