"""What a task needs of the app it belongs to."""

from typing import Any, Protocol

from elihu.job import Job, NewJob
from elihu.relay import Relay


class Enqueuer(Protocol):
    """Stores jobs: the app, as tasks see it."""

    @property
    def max_args(self) -> int:
        """Bytes of JSON that a job's arguments may have."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the app has ended, so that its tasks may go to another."""
        ...

    def enqueue(self, new: NewJob, /, *, conn: Any = None, notify: bool = True) -> Job:
        """Store ``new`` and wait for the commit, in synchronous code; with ``conn`` in
        that connection's own transaction.
        """
        ...

    async def aenqueue(self, new: NewJob, /, *, conn: Any = None, notify: bool = True) -> Job:
        """Store ``new``; return after the commit, with ``conn`` before that
        connection's own.
        """
        ...

    def submitted(self, job: Job, /) -> Relay[Any]:
        """A relay for a job that was stored as awaited."""
        ...
