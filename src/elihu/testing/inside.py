"""Runs the jobs of a caller's open transaction, which no node can see."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from elihu.app import Elihu
from elihu.engines.in_transaction import Session
from elihu.job import Job, JobState
from elihu.outcome import Cancel, Discard, Retry, Snooze
from elihu.testing.drained import Drained
from elihu.testing.performing import perform
from elihu.testing.stored import aunfinished_in, unfinished_in

MOST: Final = 10_000
"""Attempts of one ``drain``: jobs that store jobs for ever end it with an error."""

logger = logging.getLogger("elihu")

Key = tuple[int, datetime]
"""An id can come again after a rollback, at another time."""


@dataclass(slots=True, kw_only=True)
class DrainInside:
    """One drain through a caller's connection. ``performed`` are the jobs that earlier
    ones ran, since nothing is written of it.
    """

    app: Elihu
    session: Session
    performed: set[Key]
    now: Callable[[], datetime]
    queue: str | None
    scheduled: bool
    done: Drained = field(default_factory=Drained)

    def run(self, run: Callable[[Awaitable[None]], None]) -> Drained:
        """Drain from synchronous code: the connection is used in the caller's thread, and
        ``run`` runs a coroutine.
        """
        while waiting := list(self._waiting(unfinished_in(self.session))):
            for job in waiting:
                run(self._perform(job))
        return self.done

    async def arun(self) -> Drained:
        """Drain from a running event loop."""
        while waiting := list(self._waiting(await self._unfinished())):
            for job in waiting:
                await self._perform(job)
        return self.done

    async def _unfinished(self) -> list[Job]:
        session = self.session
        return await aunfinished_in(session) if session.asynchronous else unfinished_in(session)

    def _waiting(self, jobs: list[Job]) -> Iterator[Job]:
        """The jobs to run now, each marked as run. Raises ``RuntimeError`` after
        ``MOST``.
        """
        states = {JobState.AVAILABLE, JobState.SCHEDULED, JobState.RETRYABLE}
        for job in jobs:
            key = job.id, job.inserted_at
            if key in self.performed or self.queue not in {None, job.queue}:
                continue
            due = job.state is JobState.AVAILABLE or job.scheduled_at <= self.now()
            if job.state in states and (due or self.scheduled):
                self.performed.add(key)
                if self.done.total == MOST:
                    raise RuntimeError(f"drain(): expected an end, got {MOST:,} attempts")
                yield job

    async def _perform(self, job: Job) -> None:
        try:
            self._count(job, await perform(self.app, job))
        except Exception as error:
            logger.exception("job %d (%s) failed inside a transaction", job.id, job.task)
            self._count(job, error)

    def _count(self, job: Job, end: Any) -> None:
        match end:
            case Snooze():
                self.done.snoozed += 1
            case Cancel():
                self.done.cancelled += 1
            case Retry() | Exception() if job.attempt + 1 < job.max_attempts and not isinstance(
                end, Discard
            ):
                self.done.failed += 1
            case Exception():
                self.done.discarded += 1
            case _:
                self.done.completed += 1
