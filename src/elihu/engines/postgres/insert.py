"""New jobs as the statements that insert them take them, and their answers as values."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from elihu.engines.postgres.rows import Row
from elihu.engines.protocol import Inserted
from elihu.engines.replacing import Replacement
from elihu.job import JobState, NewJob


def scalars(job: NewJob) -> tuple[Any, ...]:
    """$1 to $15 of insert_one.sql."""
    return (
        job.task, job.queue, job.priority, job.max_attempts, job.args, job.options, job.meta, job.tags, job.run_at, job.delay, job.hold,
        job.expires, job.awaited, job.template, job.identifier,
    )  # fmt: skip


def columns(jobs: Sequence[NewJob]) -> list[list[Any] | None]:
    """$1 to $15 of insert.sql and insert_unique.sql: an array a column, an element a
    job.

    None in place of an array that would hold nothing else: unnest reads it as NULL for
    each job.
    """
    return [
        [job.task for job in jobs],
        [job.queue for job in jobs],
        [job.priority for job in jobs],
        [job.max_attempts for job in jobs],
        [job.args for job in jobs],
        _unless_empty([job.options for job in jobs]),
        _unless_empty([job.meta for job in jobs]),
        _unless_empty([json.dumps(job.tags) if job.tags else None for job in jobs]),
        _unless_empty([job.run_at for job in jobs]),
        _unless_empty([job.delay for job in jobs]),
        _unless_empty([job.hold or None for job in jobs]),
        _unless_empty([job.expires for job in jobs]),
        _unless_empty([job.awaited or None for job in jobs]),
        _unless_empty([job.template for job in jobs]),
        _unless_empty([job.identifier for job in jobs]),
    ]


def _unless_empty(column: list[Any]) -> list[Any] | None:
    return None if column.count(None) == len(column) else column


def unique_columns(jobs: Sequence[NewJob]) -> list[list[Any]]:
    """$16 to $18 of insert_unique.sql."""
    return [
        [job.unique_key for job in jobs],
        [job.unique_scope for job in jobs],
        [job.unique_period for job in jobs],
    ]


def replaced_columns(given: Mapping[bytes, Replacement]) -> list[list[Any]]:
    """$1 to $11 of replace.sql."""
    each = list(given.values())
    return [
        list(given),
        *([getattr(one, field.name) for one in each] for field in fields(Replacement)),
    ]


def stored(
    row: Row, unique_key: bytes | None = None, *, conflict: bool = False, woken: str | None = None
) -> Inserted:
    """The job in a row that begins with id, state, inserted_at and scheduled_at."""
    key = None if unique_key is None else unique_key.hex()
    return Inserted(row[0], JobState(row[1]), row[2], row[3], conflict, key, woken)


_STATES: Final = {state.value: state for state in JobState}


def plainly_stored(rows: Iterable[Row]) -> list[Inserted]:
    """The answer of insert.sql: its ids ascend in the order of the jobs, its rows come
    in none.
    """
    return [
        Inserted(id_, _STATES[state], inserted_at, scheduled_at, False, None)
        for id_, state, inserted_at, scheduled_at in sorted(rows)
    ]
