"""Storing jobs."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from elihu.job import JobState, NewJob


class Inserted(NamedTuple):
    """A job stored, or, with ``conflict``, the job that holds the unique key, as it is
    now.

    ``woken`` is its queue where the conflict changed it and it is available.
    """

    id: int
    state: JobState
    inserted_at: datetime
    scheduled_at: datetime
    conflict: bool
    unique_key: str | None
    woken: str | None = None


class Insert(Protocol):
    """The part of ``Engine`` for insert."""

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Store all jobs in one transaction, in order; one ``Inserted`` for each.
        Raises ``IdentifierTaken``, and stores none.
        """
        ...
