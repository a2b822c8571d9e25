"""Cron entries as they cross the protocol of engines."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from elihu.job import NewJob


class CronRow(NamedTuple):
    """A cron entry in the database. JSON stays text: ``declared`` is what the code
    declares (None: made at run time), ``changes`` what is laid over it. Ticks up to
    ``last_tick`` are settled; ``live`` when a node declares it.
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


class CronTable(NamedTuple):
    """Cron entries by name, the database's time, and when a first node last started."""

    now: datetime
    booted_at: datetime | None
    rows: list[CronRow]


class TickJob(NamedTuple):
    """The job of a tick: stored, or, with ``conflict``, the one that holds its unique
    key.
    """

    at: datetime
    id: int
    conflict: bool


class Crons(Protocol):
    """The part of ``Engine`` that is about cron entries."""

    async def crons(self, names: Sequence[str] | None = None) -> CronTable:
        """All entries, or those of these names."""
        ...

    async def declare_crons(self, declared: Sequence[tuple[str, str]]) -> None:
        """Write what a node's code declares: (name, JSON text) each. One whose text or
        zone comes to something else begins anew.
        """
        ...

    async def create_cron(self, name: str, changes: str, paused: bool) -> bool:
        """Store an entry made at run time; False where the name is taken."""
        ...

    async def change_cron(
        self, name: str, rev: int, changes: str | None, *, paused: bool, anew: bool
    ) -> bool:
        """Lay ``changes`` over those of an entry (None: leave none) if it is still of
        revision ``rev``; with ``anew`` it has missed nothing. Whether it was.
        """
        ...

    async def delete_cron(self, name: str, rev: int) -> bool:
        """Remove an entry and its ticks if it is still of revision ``rev``; whether it
        was.
        """
        ...

    async def fire_cron(
        self, row: CronRow, ticks: Sequence[tuple[datetime, NewJob]], until: datetime
    ) -> list[TickJob] | None:
        """Store the jobs of ticks and settle the entry up to ``until``, in one
        transaction. None, and nothing, where the entry is no longer as ``row``; ticks
        fired before are left out.
        """
        ...

    async def prune_ticks(self, age: float, limit: int) -> int:
        """Remove at most ``limit`` ticks that were fired more than ``age`` seconds ago;
        how many went.
        """
        ...
