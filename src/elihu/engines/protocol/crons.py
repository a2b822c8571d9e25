"""Cron entries."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from elihu.job import NewJob


class CronRow(NamedTuple):
    """A cron entry in the database. JSON stays text. ``declared`` is what the code
    declares, None for an entry made at run time. Values in ``changes`` replace those of
    ``declared``. Ticks up to ``last_tick`` are settled. ``live`` is true when a node
    declares the entry.
    """

    name: str
    declared: str | None
    changes: str
    paused: bool
    rev: int
    last_tick: datetime
    fired_at: datetime | None
    job_id: int | None
    created_at: datetime
    updated_at: datetime
    live: bool


class CronDeclaration(NamedTuple):
    """An entry that a node's code declares: its name, its values as JSON, and a digest of
    them, which the node's info has too under ``crons``.
    """

    name: str
    values: str
    digest: str


class CronTable(NamedTuple):
    """Cron entries by name, the database's time, and when a first node last started."""

    now: datetime
    booted_at: datetime | None
    rows: list[CronRow]


class TickJob(NamedTuple):
    """The job of a tick. With ``conflict`` it is the job that holds the unique key."""

    at: datetime
    id: int
    conflict: bool


class Crons(Protocol):
    """Cron entries."""

    async def crons(self, names: Sequence[str] | None = None) -> CronTable:
        """All entries, or those with these names."""
        ...

    async def declare_crons(self, declared: Sequence[CronDeclaration]) -> None:
        """Write the declarations of a node's code. Of two declarations of one name the
        one that appeared first is the older one; it replaces a newer one only if no node
        declares that any more. If the schedule changes, the entry has missed nothing.
        """
        ...

    async def create_cron(self, name: str, changes: str, paused: bool) -> bool:
        """Store an entry made at run time. False where the name is taken."""
        ...

    async def change_cron(
        self, name: str, rev: int, changes: str | None, *, paused: bool, anew: bool
    ) -> bool:
        """Merge ``changes`` into those of an entry (None: remove them) if its revision is
        ``rev``. With ``anew`` the entry has missed no tick. False for another
        revision.
        """
        ...

    async def delete_cron(self, name: str, rev: int) -> bool:
        """Remove an entry and its ticks if its revision is ``rev``. False for another
        revision.
        """
        ...

    async def fire_cron(
        self, row: CronRow, ticks: Sequence[tuple[datetime, NewJob]], until: datetime
    ) -> list[TickJob] | None:
        """Store the jobs of ticks and settle the entry up to ``until``, in one
        transaction. Ticks that were fired before are left out. None, and no change,
        where the entry differs from ``row``.
        """
        ...

    async def prune_ticks(self, age: float, limit: int) -> int:
        """Remove at most ``limit`` ticks that were fired more than ``age`` seconds ago,
        and return the number removed.
        """
        ...
