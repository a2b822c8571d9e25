"""Rows of a caller's driver as values: one column of text, in which times are whole
microseconds since the epoch.
"""

import json
from collections.abc import Sequence
from typing import Any

from elihu.engines.in_transaction.steps import Rows, Stored
from elihu.engines.protocol import Inserted
from elihu.engines.rows import JobRows
from elihu.errors import IdentifierTaken


def values(row: Sequence[Any]) -> list[Any]:
    """The JSON array in a row's only column."""
    found: list[Any] = json.loads(row[0])
    return found


def holders_of(rows: Rows, jobs: JobRows) -> dict[str, Stored]:
    """The jobs in rows of in_transaction_holders.sql, by their unique keys."""
    holders = [jobs.job(values(row), conflict=True) for row in rows]
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
