"""Cron entries as they cross the protocol of engines."""

from datetime import datetime
from typing import NamedTuple


class CronRow(NamedTuple):
    """A cron entry in the database. JSON stays text: ``declared`` is what the code declares (None: made at run time), ``changes`` what is
    laid over it. Ticks up to ``last_tick`` are settled; ``live`` when a node declares it."""

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
