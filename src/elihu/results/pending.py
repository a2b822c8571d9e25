"""Who waits for which job, and whose turn it is to be looked up: pure, without a
database or a clock.
"""

import asyncio
from collections.abc import Collection, Iterable

from elihu.engines.protocol.waits import JobEnd, Wait
from elihu.relay import Watched

NEVER = 2**31 - 1
"""A claim after which nothing comes."""


class Waiter:
    """One wait under way; ``future`` gets what it came to, or the error that ended it.

    ``since`` is the claim after which ends counted when it began: what another wait of
    the same relay learns meanwhile does not move it.
    """

    __slots__ = ("future", "only_job", "since", "watched")

    def __init__(self, watched: Watched, *, only_job: bool) -> None:
        self.watched = watched
        self.only_job = only_job
        self.since = watched.since
        self.future: asyncio.Future[JobEnd | Exception] = asyncio.get_running_loop().create_future()

    @property
    def wait(self) -> Wait:
        """What to ask the database. Nothing but the job's absence ends a wait that is
        not attached yet.
        """
        if self.since is None:
            return Wait(self.watched.id, NEVER, True)
        return Wait(self.watched.id, self.since, self.only_job)

    def take(self, end: JobEnd) -> bool:
        """Take what the database answered; whether that ends the wait."""
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
    """Waiters by job. A new one is due at once; an announcement makes those of its jobs
    due, a poll all.
    """

    def __init__(self) -> None:
        self._waiters: dict[int, set[Waiter]] = {}
        self._due: set[int] = set()

    def __len__(self) -> int:
        """How many jobs are waited for."""
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
        """Make these due; whether anybody waits for one."""
        waited = self._waiters.keys() & ids
        self._due |= waited
        return bool(waited)

    def mark_all(self) -> None:
        self._due.update(self._waiters)

    def take(self) -> list[Waiter]:
        """Those that are due, and from now on are not."""
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
    """The jobs that these wait for, each once."""
    return list(dict.fromkeys(waiter.watched.id for waiter in waiters))
