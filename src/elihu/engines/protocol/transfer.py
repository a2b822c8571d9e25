"""Reading unfinished jobs whole, to store them in another database."""

from datetime import datetime
from typing import NamedTuple, Protocol

from elihu.job import JobState


class StoredJob(NamedTuple):
    """An unfinished job as it is stored. JSON stays text. ``unique_key`` is the digest in
    hexadecimal; with a period ``unique_window`` is the number of its window.
    """

    id: int
    state: JobState
    queue: str
    task: str
    priority: int
    attempt: int
    max_attempts: int
    args: str
    options: str | None
    meta: str | None
    tags: tuple[str, ...]
    unique_key: str | None
    unique_window: int | None
    unique_scope: int | None
    scheduled_at: datetime
    expires_at: datetime | None
    awaited: bool
    template: str | None
    identifier: str | None
    occurrence: datetime | None = None


class Transfer(Protocol):
    """Reads for ``elihu jobs export``."""

    async def stored_jobs(self, after: int, limit: int) -> list[StoredJob]:
        """At most ``limit`` unfinished jobs above the id ``after``, oldest first."""
        ...
