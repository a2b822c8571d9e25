"""All who wait for jobs in one loop. The lookout works while somebody does, and a
little longer: the next wait may come soon.
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
"""Seconds for which the lookout goes on when nobody waits any more."""

CLOSED: Final = "expected an open app to wait for jobs with, got one that was closed"


class Waiters:
    """Waits end by themselves: at their time-out, by a cancellation, and when the app
    is closed; none leaves anything behind.
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
        """How many jobs are waited for."""
        return len(self._waits)

    async def ends(
        self, watched: Sequence[Watched], timeout: float | None, *, only_job: bool
    ) -> list[JobEnd | Exception | None]:
        """What each has come to after at most ``timeout`` seconds, in order; None where
        that is nothing yet.

        Raises ``DatabaseUnavailable`` where the app is closed.
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
        """Let go: the loop has ended."""
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
