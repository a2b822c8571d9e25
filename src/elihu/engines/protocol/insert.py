"""Storing jobs."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from elihu.job import JobState, NewJob


class Inserted(NamedTuple):
    """A stored job. With ``conflict`` it is the job that holds the unique key, as it is
    now.

    ``woken`` is the queue of a holder that the conflict changed and that is available.
    """

    id: int
    state: JobState
    inserted_at: datetime
    scheduled_at: datetime
    conflict: bool
    unique_key: str | None
    woken: str | None = None


class Insert(Protocol):
    """Storing jobs."""

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Store all jobs in one transaction, and return an ``Inserted`` for each, in
        order. Raises ``IdentifierTaken`` and then stores none.
        """
        ...

    async def insert_bulk(self, jobs: Sequence[NewJob]) -> None:
        """Store plain jobs (``NewJob.is_plain``) in one transaction."""
        ...
