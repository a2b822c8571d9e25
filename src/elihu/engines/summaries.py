"""The statements of the views of jobs, and the summary made from a row."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from elihu.engines.protocol.reads import SCANNED, Place, SummaryPage, View
from elihu.engines.rows import STARTED_AT, same
from elihu.job import JobState, JobSummary

REASON: Final = 300
"""Characters of a reason in a summary."""

_COLUMNS: Final = (
    "id", "state", "queue", "task", "tags", "priority", "attempt", "max_attempts", "inserted_at",
    "scheduled_at", "started_at", "finished_at", "reason", "node", "template", "identifier",
    "expires_at", "occurrence", "prune_at",
)  # fmt: skip
_TIMES: Final = frozenset(name for name in _COLUMNS if name.endswith("_at") or name == "occurrence")

Marker = Callable[[str, int], str]


def page_statement(
    view: View, table: str, *, after: bool, marker: Marker, limit: str, filters: str, node: str
) -> str:
    """A page of a view. ``marker(column, number)`` is the parameter of an order column,
    ``node`` the SQL of a node's id as text.
    """
    way = "DESC" if view.descending else "ASC"
    order = ", ".join(f"{name} {way}" for name in view.order)
    columns = ", ".join(
        f"substr(reason, 1, {REASON}) AS reason"
        if name == "reason"
        else f"{node} AS node"
        if name == "node"
        else f"{STARTED_AT} AS started_at"
        if name == "started_at"
        else name
        for name in _COLUMNS
    )
    return (
        f"SELECT * FROM (SELECT {columns} FROM {table} WHERE {view.condition}"
        f"{_beyond(view, marker) if after else ''} ORDER BY {order} LIMIT {SCANNED}) AS job "
        f"WHERE true {filters} ORDER BY {order} LIMIT {limit}"
    )


def horizon_statement(view: View, table: str, *, after: bool, marker: Marker) -> str:
    """The place up to which a page reads; no row at the end of the view."""
    way = "DESC" if view.descending else "ASC"
    order = ", ".join(f"{name} {way}" for name in view.order)
    return (
        f"SELECT {', '.join(view.order)} FROM {table} WHERE {view.condition}"
        f"{_beyond(view, marker) if after else ''} ORDER BY {order} "
        f"LIMIT 1 OFFSET {SCANNED - 1}"
    )


def _beyond(view: View, marker: Marker) -> str:
    places = ", ".join(marker(name, number) for number, name in enumerate(view.order))
    return f" AND ({', '.join(view.order)}) {'<' if view.descending else '>'} ({places})"


def page_of(
    view: View,
    rows: Sequence[Sequence[Any]],
    limit: int,
    horizon: Place | None,
    *,
    moment: Callable[[Any], Any] = same,
    tags: Callable[[Any], Sequence[str]] = same,
) -> SummaryPage:
    """The page in ``rows``, of which one more than ``limit`` was asked for."""
    records = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    for record in records:
        for name in _TIMES:
            if record[name] is not None:
                record[name] = moment(record[name])
    following = (
        tuple(records[limit - 1][name] for name in view.order)
        if len(records) > limit
        else horizon
        and tuple(
            moment(value) if name in _TIMES else value
            for name, value in zip(view.order, horizon, strict=True)
        )
    )
    for record in records:
        del record["prune_at"]
        record["state"] = JobState(record["state"])
        record["tags"] = tuple(tags(record["tags"]))
    return SummaryPage([JobSummary(**record) for record in records[:limit]], following)
