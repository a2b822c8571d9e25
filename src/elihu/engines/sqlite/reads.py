"""Reads for people, each bounded."""

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Final

from elihu.engines.protocol.reads import MIXED, SCANNED, VIEWS, Failure, Place, SummaryPage
from elihu.engines.sqlite.filters import where as condition_of
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import moment, stored_time
from elihu.engines.sqlite.session import Session
from elihu.engines.summaries import horizon_statement, page_of, page_statement
from elihu.job import JobFilter

_COUNTS: Final = statement("state_counts")
_FAILURES: Final = statement("failures")
_DURATIONS: Final = statement("durations")


def _marker(_column: str, number: int) -> str:
    return f":place{number}"


def summaries(
    session: Session, view: str, where: JobFilter, after: Place | None, limit: int
) -> SummaryPage:
    shown = VIEWS[view]
    covered = condition_of(where if view in MIXED else replace(where, state=None))
    table = f"job INDEXED BY {shown.served_by}" if shown.served_by else "job"
    places = {
        f"place{number}": stored_time(value) if isinstance(value, datetime) else value
        for number, value in enumerate(after or ())
    }
    rows = session.rows(
        page_statement(
            shown,
            table,
            after=after is not None,
            marker=_marker,
            limit=":limit",
            filters=f"AND {covered.sql}",
            node="node",
        ),
        covered.values | places | {"limit": limit + 1},
    )
    horizon = None
    if len(rows) <= limit:
        horizon = session.row(
            horizon_statement(shown, table, after=after is not None, marker=_marker), places
        )
    return page_of(shown, rows, limit, horizon, moment=moment, tags=json.loads)


def state_counts(session: Session, most: int) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for state, jobs in session.rows(_COUNTS, {"most": most + 1}):
        counts[state] += jobs
    return dict(counts)


def failures(session: Session, limit: int) -> list[Failure]:
    return [
        Failure(id_, task, queue, state, moment(at), kind, error)
        for id_, task, queue, state, at, kind, error in session.rows(_FAILURES, {"limit": limit})
    ]


def durations(session: Session, task: str, limit: int) -> list[float]:
    values = {"task": task, "limit": limit, "scan": SCANNED}
    return [seconds for (seconds,) in session.rows(_DURATIONS, values)]
