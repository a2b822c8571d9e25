"""Cron expressions, time zones, due occurrences and stored entries."""

from elihu.schedule.cron import Cron
from elihu.schedule.due import CATCH_UPS, MOST_MISSED, CatchUp, Due, due_occurrences
from elihu.schedule.entry import (
    CronEntry,
    CronSource,
    CronSpec,
    dump_values,
    job_of,
    load_values,
    plain,
)

__all__ = [
    "CATCH_UPS",
    "MOST_MISSED",
    "CatchUp",
    "Cron",
    "CronEntry",
    "CronSource",
    "CronSpec",
    "Due",
    "due_occurrences",
    "dump_values",
    "job_of",
    "load_values",
    "plain",
]
