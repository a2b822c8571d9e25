"""What tells whether the database is well."""

from datetime import datetime
from typing import Final, NamedTuple, Protocol

MOST_WAITING: Final = 100_000
"""Unfinished jobs that ``waiting_tasks`` reads at most."""


class Vitals(NamedTuple):
    """The database's clock; PostgreSQL: connections in use and how many there may be, and
    the dead and living rows of the table of jobs; SQLite: the network file system on
    which the file is, None on a local one.
    """

    now: datetime
    connections: int | None = None
    most_connections: int | None = None
    dead_rows: int | None = None
    live_rows: int | None = None
    network_file_system: str | None = None


class WaitingTask(NamedTuple):
    """Unfinished jobs of one task in one queue."""

    task: str
    queue: str
    jobs: int


class Diagnosis(Protocol):
    """Reads for ``elihu doctor`` and ``elihu check``."""

    async def vitals(self) -> Vitals:
        """The figures of the database as they are now."""
        ...

    async def waiting_tasks(self) -> list[WaitingTask]:
        """The tasks of unfinished jobs, by name. At most ``MOST_WAITING`` jobs are read."""
        ...
