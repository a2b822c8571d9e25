"""What a task needs from its app."""

from typing import Any, Protocol

from elihu.job import Job, NewJob
from elihu.relay import Relay


class Enqueuer(Protocol):
    """Stores jobs. The app is one.

    A task passes ``conn`` only where ``using`` was given one, None too.
    """

    @property
    def max_args(self) -> int:
        """The most bytes of JSON that a job's arguments may have."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the app is closed, so that another app may include its tasks."""
        ...

    def enqueue(self, new: NewJob, /, *, conn: Any = None, notify: bool = True) -> Job:
        """Store ``new`` from synchronous code and return after the commit. With
        ``conn``, store it in that connection's transaction and do not wait.
        """
        ...

    async def aenqueue(self, new: NewJob, /, *, conn: Any = None, notify: bool = True) -> Job:
        """Store ``new`` and return after the commit. With ``conn``, store it in that
        connection's transaction and do not wait.
        """
        ...

    def submitted(self, job: Job, /) -> Relay[Any]:
        """A relay for a job that was stored as awaited."""
        ...
