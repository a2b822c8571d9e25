"""Conditions of the jobs API, joined from constant pieces. Every value is a parameter."""

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from elihu.engines.sqlite.rows import dump, stored_time
from elihu.job import JobFilter, JobState

SMALLEST_ID: Final = -(2**63)
LARGEST_ID: Final = 2**63 - 1

_PIECES: Final = {
    "ids": "id IN (SELECT value FROM json_each(:ids))",
    "queue": "queue IN (SELECT value FROM json_each(:queue))",
    "task": "task IN (SELECT value FROM json_each(:task))",
    "tags": (
        "EXISTS (SELECT 1 FROM json_each(job.tags) t "
        "WHERE t.value IN (SELECT value FROM json_each(:tags)))"
    ),
    "template": "template IN (SELECT value FROM json_each(:template))",
    "node": "node IN (SELECT value FROM json_each(:node))",
    "since": "inserted_at >= :since",
    "not_queue": "queue NOT IN (SELECT value FROM json_each(:not_queue))",
}


class Where(NamedTuple):
    """A condition, and its parameters by name."""

    sql: str
    values: dict[str, Any]


def where(filter_: JobFilter, states: Collection[JobState] = frozenset(JobState)) -> Where:
    """The condition of a filter within ``states``. States are written as constants, since
    only then do partial indexes apply.
    """
    wanted = [
        state
        for state in JobState
        if state in states and (filter_.state is None or state in filter_.state)
    ]
    names = ", ".join(f"'{state.value}'" for state in wanted)
    pieces = ["true" if len(wanted) == len(JobState) else f"state IN ({names})"]
    values: dict[str, Any] = {}
    for field, piece in _PIECES.items():
        allowed = getattr(filter_, field)
        if allowed is not None:
            pieces.append(piece)
            values[field] = stored_time(allowed) if field == "since" else dump(allowed)
    return Where(" AND ".join(pieces), values)


def is_storable(id_: int) -> bool:
    """Whether a job can have this id."""
    return SMALLEST_ID <= id_ <= LARGEST_ID
