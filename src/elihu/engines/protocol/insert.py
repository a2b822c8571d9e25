"""Storing jobs."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

from elihu.job import JobState, NewJob


class Inserted(NamedTuple):
    """A stored job. With ``conflict`` it is the job that holds the unique key, as it is
    now.

    ``woken`` is the queue of a holder that the conflict changed and that is available.
    ``announced`` is true where the engine has announced its queue to other processes.
    """

    id: int
    state: JobState
    inserted_at: datetime
    scheduled_at: datetime
    conflict: bool
    unique_key: str | None
    woken: str | None = None
    announced: bool = False


class Counts(NamedTuple):
    """How many jobs were stored, and how many met a job that has their unique key."""

    inserted: int
    conflicts: int


_ALL_BUT_TWO: Final = attrgetter(
    *(field.name for field in fields(NewJob) if field.name not in {"args", "unique_key"})
)


def are_alike(jobs: Sequence[NewJob]) -> bool:
    """Whether these jobs are due at once, have unique keys, change no other job, and
    differ in their arguments and keys alone.
    """
    first = jobs[0]
    if first.replace or not replace(first, unique_key=None).is_plain:
        return False
    same = _ALL_BUT_TWO(first)
    return all(job.unique_key is not None and _ALL_BUT_TWO(job) == same for job in jobs)


def queues_to_announce(jobs: Iterable[NewJob], stored: Iterable[Inserted]) -> set[str]:
    """The queues that have available jobs after ``jobs`` were stored."""
    return {
        row.woken or new.queue
        for new, row in zip(jobs, stored, strict=True)
        if new.notify and (row.woken or (row.state is JobState.AVAILABLE and not row.conflict))
    }


class Insert(Protocol):
    """Storing jobs."""

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Store all jobs in one transaction, and return an ``Inserted`` for each, in
        order. Raises ``IdentifierTaken`` and then stores none.
        """
        ...

    async def insert_bulk(self, jobs: Sequence[NewJob]) -> int:
        """Store jobs in one transaction: plain ones (``NewJob.is_plain``), or ones that are
        alike (``are_alike``), of which those are left out whose unique key another job
        has. Returns how many were stored.
        """
        ...
