"""Rows of a caller's driver as values: one column of text, in which times are whole
microseconds since the epoch.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from elihu.engines.in_transaction.steps import Rows, Stored
from elihu.engines.protocol import Inserted
from elihu.errors import IdentifierTaken
from elihu.job import Job, JobState

_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def values(row: Sequence[Any]) -> list[Any]:
    """The JSON array in a row's only column."""
    found: list[Any] = json.loads(row[0])
    return found


def moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def job_of(fields: Sequence[Any]) -> Job:
    """The job in a row of in_transaction_holders.sql."""
    (
        id_, state, queue, task, args, meta, tags, priority, attempt, max_attempts, unique_key,
        inserted_at, scheduled_at, started_at, finished_at, reason, result, progress, node,
        template, identifier, expires_at,
    ) = fields  # fmt: skip
    return Job(
        id=id_,
        state=JobState(state),
        queue=queue,
        task=task,
        args=json.loads(args),
        meta=json.loads(meta) if meta else {},
        tags=tuple(json.loads(tags)),
        priority=priority,
        attempt=attempt,
        max_attempts=max_attempts,
        unique_key=unique_key,
        inserted_at=moment(inserted_at),
        scheduled_at=moment(scheduled_at),
        started_at=None if started_at is None else moment(started_at),
        finished_at=None if finished_at is None else moment(finished_at),
        reason=reason,
        result=None if result is None else json.loads(result),
        progress=None if progress is None else json.loads(progress),
        node=node,
        template=template,
        identifier=identifier,
        expires_at=None if expires_at is None else moment(expires_at),
        conflict=True,
    )


def holders_of(rows: Rows) -> dict[str, Stored]:
    """The holders in rows of in_transaction_holders.sql, by their keys."""
    holders = [job_of(values(row)) for row in rows]
    return {
        str(holder.unique_key): Stored(
            Inserted(
                holder.id,
                holder.state,
                holder.inserted_at,
                holder.scheduled_at,
                True,
                holder.unique_key,
            ),
            holder,
        )
        for holder in holders
    }


def taken(rows: Rows) -> IdentifierTaken | None:
    """The error for the first of the jobs in rows of in_transaction_identifiers.sql."""
    for holder, state, identifier in map(values, rows):
        return IdentifierTaken(identifier, holder=holder, state=state)
    return None
