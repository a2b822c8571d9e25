"""Replacements of fields in a waiting job whose unique key a new job has."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from elihu.job import JobState, NewJob

REPLACEABLE: Final = frozenset(
    {JobState.SUSPENDED, JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE}
)
"""The states in which a job is changed."""


@dataclass(slots=True, kw_only=True)
class Replacement:
    """The fields to write; None leaves a field as it is. With ``moved`` the times are
    taken from ``run_at``, ``delay`` and ``expires``.
    """

    args: str | None = None
    queue: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    tags: str | None = None
    meta: str | None = None
    moved: bool = False
    run_at: datetime | None = None
    delay: float | None = None
    expires: float | None = None


def replacements(met: Iterable[tuple[Any, NewJob]]) -> dict[Any, Replacement]:
    """The replacements by key. Where several jobs have the same key, the last one
    wins.
    """
    found: dict[Any, Replacement] = {}
    for key, job in met:
        for name in job.replace:
            replacement = found.setdefault(key, Replacement())
            match name:
                case "scheduled_at":
                    replacement.moved = True
                    replacement.run_at, replacement.delay, replacement.expires = (
                        job.run_at,
                        job.delay,
                        job.expires,
                    )
                case "tags":
                    replacement.tags = json.dumps(job.tags)
                case "meta":
                    replacement.meta = job.meta or "{}"
                case _:
                    setattr(replacement, name, getattr(job, name))
    return found
