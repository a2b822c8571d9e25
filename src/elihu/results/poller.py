"""Polls for the ends of jobs: one listener and one query for all waiters of this loop.
It listens before it queries, so that no end is missed.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, TypeVar

from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.job import FINISHED
from elihu.results.pending import PendingWaits, Waiter, distinct_ids
from elihu.runtime.announcer import Hub
from elihu.runtime.listener import Listener
from elihu.runtime.service import Scope, Service, Tick

T = TypeVar("T")

QUERY_ROWS: Final = 500
"""The most waits in one query."""
QUERY_BYTES: Final = 1_048_576
"""The most bytes of stored results in one answer."""
ATTACH_ROWS: Final = 100
"""The most jobs read by one statement."""
PARTIAL_DELAY: Final = 0.02
"""Seconds until the next query for results that did not fit into the answer."""
BUSY_DELAY: Final = 0.1
"""Seconds until the next try for a job that another transaction has locked."""
SCAN_SHARE: Final = 3
"""When announcements do not name the ended jobs, all waits are queried. After a query
the poller pauses this many times its duration, so that it takes a quarter of the time.
"""


class ResultPoller(Service):
    """Queries new waits at once, others when the end of their job is announced, and all
    at each poll.
    """

    name: ClassVar = "relay"

    def __init__(self, scope: Scope, waits: PendingWaits, hub: Hub) -> None:
        super().__init__(scope)
        self._waits = waits
        self._hubs = (hub, Hub())
        self._listener = Listener(scope, scope.engine.notifier(eager=True), self._hubs[1])
        self._listens = False
        self._leaves = [each.join(self._receive) for each in self._hubs]
        self._changed = False
        self._poll_at = scope.clock.monotonic()
        self._all_at = scope.clock.monotonic()

    async def stop(self) -> None:
        self.leave()
        await super().stop()
        await self._listener.stop()

    def leave(self) -> None:
        """Stop receiving announcements. This suffices when the loop has ended."""
        for leave in self._leaves:
            leave()

    async def tick(self) -> Tick:
        clock = self.scope.clock
        if not self._listens:
            await self._listener.start()
            self._listens = True
        begun = clock.monotonic()
        every = begun >= self._poll_at or (self._changed and begun >= self._all_at)
        if every:
            self._changed = False
            self._waits.mark_all()
        waiters = self._waits.take()
        try:
            ended, again = await self._query(waiters)
        except BaseException:
            self._waits.mark(distinct_ids(waiters))
            raise
        now = clock.monotonic()
        if every:
            self._poll_at = begun + self._poll
            self._all_at = now + SCAN_SHARE * (now - begun)
        delay = min(self._poll_at, self._all_at) - now if self._changed else self._poll_at - now
        return Tick(
            max(0.0, min(delay, again)), {"waiting_count": len(self._waits), "ended_count": ended}
        )

    @property
    def _poll(self) -> float:
        return self.scope.config.poll if self._listener.works else self.scope.config.poll_fallback

    def _receive(self, signal: Signal) -> None:
        match signal:
            case (SignalKind.ENDED, ids) if ids:
                if self._waits.mark(map(int, ids.split(","))):
                    self.wake()
            case (SignalKind.ENDED | SignalKind.CHANGED, _):
                self._changed = True
                self.wake()

    async def _query(self, waiters: Sequence[Waiter]) -> tuple[int, float]:
        """Query the database. Returns how many waits ended, and the seconds until the
        next query for those without an answer.
        """
        await self._attach([waiter for waiter in waiters if waiter.since is None])
        ended, again = 0, self._poll
        for piece in _pieces(waiters, QUERY_ROWS):
            for end in await self.scope.engine.ends([waiter.wait for waiter in piece], QUERY_BYTES):
                waiter = piece[end.place]
                ended += waiter.take(end)
                if not end.whole:
                    self._waits.mark([waiter.watched.id])
                    again = min(again, PARTIAL_DELAY)
                elif end.state is not None and end.state not in FINISHED and end.claim is not None:
                    waiter.watched.since = end.claim
        if held := [
            waiter.watched.id
            for waiter in waiters
            if waiter.since is None and not waiter.future.done()
        ]:
            self._waits.mark(held)
            again = min(again, BUSY_DELAY)
        return ended, again

    async def _attach(self, waiters: Sequence[Waiter]) -> None:
        for ids in _pieces(distinct_ids(waiters), ATTACH_ROWS):
            attached = {job.id: (job, since) for job, since in await self.scope.engine.attach(ids)}
            for waiter in waiters:
                if waiter.watched.id in attached:
                    waiter.watched.job, waiter.since = attached[waiter.watched.id]
                    waiter.watched.since = waiter.since


def _pieces(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
