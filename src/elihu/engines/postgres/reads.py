"""Reads for people, each bounded."""

from collections import Counter
from dataclasses import replace
from typing import Final

from elihu.engines.postgres.filters import conditions
from elihu.engines.postgres.queries import in_schema
from elihu.engines.postgres.session import Session
from elihu.engines.protocol.reads import MIXED, SCANNED, VIEWS, Failure, Place, SummaryPage
from elihu.engines.summaries import horizon_statement, page_of, page_statement
from elihu.job import JobFilter, JobState

_TYPES: Final = {"id": "bigint", "priority": "smallint", "queue": "text"}
_STATES: Final = frozenset(JobState)


def _marker(column: str, number: int) -> str:
    return f"${number + 1}::{_TYPES.get(column, 'timestamptz')}"


async def summaries(
    session: Session, view: str, where: JobFilter, after: Place | None, limit: int
) -> SummaryPage:
    shown = VIEWS[view]
    place = after or ()
    covered = conditions(
        where if view in MIXED else replace(where, state=None),
        _STATES,
        len(place) + 2,
    )
    if covered is None:
        return SummaryPage([], None)
    table = in_schema("elihu.job", session.config.schema)
    # A filter of nodes compares ids; the view has them as texts.
    filters = covered.sql.replace("AND node = ANY(", "AND node::uuid = ANY(")
    rows = await session.fetch_text(
        "summaries",
        page_statement(
            shown,
            table,
            after=bool(place),
            marker=_marker,
            limit=f"${len(place) + 1}::integer",
            filters=filters,
            node="node::text",
        ),
        *place,
        limit + 1,
        *covered.values,
    )
    horizon = None
    if len(rows) <= limit:
        found = await session.fetch_text(
            "summaries",
            horizon_statement(shown, table, after=bool(place), marker=_marker),
            *place,
        )
        horizon = tuple(found[0]) if found else None
    return page_of(shown, [tuple(row) for row in rows], limit, horizon)


async def state_counts(session: Session, most: int) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in await session.fetch("state_counts", most + 1):
        counts[row["state"]] += row["jobs"]
    return dict(counts)


async def failures(session: Session, limit: int) -> list[Failure]:
    return [Failure(*row) for row in await session.fetch("failures", limit)]


async def durations(session: Session, task: str, limit: int) -> list[float]:
    return [row["seconds"] for row in await session.fetch("durations", task, limit, SCANNED)]
