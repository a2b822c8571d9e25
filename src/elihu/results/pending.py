"""The waits for each job, and which of them are due for a query. Uses no database and
no clock.
"""

import asyncio
from collections.abc import Collection, Iterable

from elihu.engines.protocol.waits import JobEnd, Wait
from elihu.relay import Watched

NEVER = 2**31 - 1
"""Larger than any claim."""


class Waiter:
    """One wait. ``future`` gets the end of the job, or the error that ended the wait.

    Ends of attempts count after the claim ``since``. It is fixed when the wait begins:
    another wait of the same relay does not change it.
    """

    __slots__ = ("future", "only_job", "since", "watched")

    def __init__(self, watched: Watched, *, only_job: bool) -> None:
        self.watched = watched
        self.only_job = only_job
        self.since = watched.since
        self.future: asyncio.Future[JobEnd | Exception] = asyncio.get_running_loop().create_future()

    @property
    def wait(self) -> Wait:
        """The query for this wait. Only the job's absence ends a wait that is not
        attached yet.
        """
        if self.since is None:
            return Wait(self.watched.id, NEVER, True)
        return Wait(self.watched.id, self.since, self.only_job)

    def take(self, end: JobEnd) -> bool:
        """Handle the database's answer. Returns whether it ends the wait."""
        if end.state is not None and self.since is None:
            return False
        if not end.whole:
            return False
        self.finish(end)
        return True

    def finish(self, what: JobEnd | Exception) -> None:
        if not self.future.done():
            self.future.set_result(what)


class PendingWaits:
    """Waiters by job. A new waiter is due at once. An announcement makes the waiters of
    its jobs due, a poll all of them.
    """

    def __init__(self) -> None:
        self._waiters: dict[int, set[Waiter]] = {}
        self._due: set[int] = set()

    def __len__(self) -> int:
        """The number of jobs that have waiters."""
        return len(self._waiters)

    def add(self, waiters: Iterable[Waiter]) -> None:
        for waiter in waiters:
            self._waiters.setdefault(waiter.watched.id, set()).add(waiter)
            self._due.add(waiter.watched.id)

    def remove(self, waiters: Iterable[Waiter]) -> None:
        for waiter in waiters:
            others = self._waiters.get(waiter.watched.id)
            if others is not None:
                others.discard(waiter)
                if not others:
                    del self._waiters[waiter.watched.id]

    def mark(self, ids: Iterable[int]) -> bool:
        """Make the waiters of these jobs due. Returns whether there are any."""
        waited = self._waiters.keys() & ids
        self._due |= waited
        return bool(waited)

    def mark_all(self) -> None:
        self._due.update(self._waiters)

    def take(self) -> list[Waiter]:
        """The due waiters, which stop being due."""
        due, self._due = self._due, set()
        return [
            waiter
            for job_id in due
            for waiter in self._waiters.get(job_id, ())
            if not waiter.future.done()
        ]

    def end_all(self, error: Exception) -> None:
        """End every wait with an error."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.finish(error)


def distinct_ids(waiters: Collection[Waiter]) -> list[int]:
    """The jobs of these waiters, each once."""
    return list(dict.fromkeys(waiter.watched.id for waiter in waiters))
