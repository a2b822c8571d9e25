"""New jobs as the arrays that insert.sql and insert_unique.sql take, and their answers as values."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from elihu.engines.base import Inserted
from elihu.engines.postgres.rows import Row
from elihu.job import JobState, NewJob


def columns(jobs: Sequence[NewJob]) -> list[list[Any]]:
    """$1 to $11: an array a column, an element a job."""
    return [
        [job.task for job in jobs],
        [job.queue for job in jobs],
        [job.priority for job in jobs],
        [job.max_attempts for job in jobs],
        [job.args for job in jobs],
        [job.options for job in jobs],
        [job.meta for job in jobs],
        [json.dumps(job.tags) if job.tags else None for job in jobs],
        [job.run_at for job in jobs],
        [job.delay for job in jobs],
        [job.hold for job in jobs],
    ]


def unique_columns(jobs: Sequence[NewJob]) -> list[list[Any]]:
    """$12 to $14."""
    return [[job.unique_key for job in jobs], [job.unique_scope for job in jobs], [job.unique_period for job in jobs]]


def stored(row: Row, unique_key: bytes | None = None, *, conflict: bool = False) -> Inserted:
    """The job in a row that begins with id, state, inserted_at and scheduled_at."""
    key = None if unique_key is None else unique_key.hex()
    return Inserted(row[0], JobState(row[1]), row[2], row[3], conflict, key)


def plainly_stored(rows: Iterable[Row]) -> list[Inserted]:
    """The answer of insert.sql: its ids ascend in the order of the jobs, its rows come in none."""
    states = {state.value: state for state in JobState}
    return [Inserted(id_, states[state], inserted_at, scheduled_at, False, None) for id_, state, inserted_at, scheduled_at in sorted(rows)]
