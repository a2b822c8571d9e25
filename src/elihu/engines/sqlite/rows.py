"""Rows as values, and times as SQLite stores them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from elihu.engines.protocol import NodeRow
from elihu.engines.rows import (
    COLUMNS_AS_TEXT,
    JOB_TIMES,
    STARTED_AT,
    JobRows,
    from_microseconds,
    info_of,
)
from elihu.job import Run, RunOutcome

MICROSECONDS: Final = 1_000_000


def stored_time(moment: datetime) -> float:
    """A time as Unix seconds: the double nearest to its whole number of microseconds."""
    return moment.timestamp()


def nearest(seconds: float) -> float:
    """The double nearest to a whole number of microseconds, so that a datetime made from
    it has the same value.
    """
    return round(seconds * MICROSECONDS) / MICROSECONDS


def moment(seconds: float) -> datetime:
    """Stored seconds as a datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


def dump(value: object) -> str:
    """JSON text. Lone surrogates stay as they are: the driver then refuses the value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


ROWS: Final = JobRows(expressions={"started_at": STARTED_AT}, moment=moment, tags=json.loads)
"""Jobs in rows of the engine's own connections."""
TEXT_ROWS: Final = JobRows(
    mark=COLUMNS_AS_TEXT,
    expressions={
        **{name: f"CAST({name} * 1000000.0 + 0.5 AS INTEGER)" for name in JOB_TIMES},
        "started_at": f"CAST({STARTED_AT} * 1000000.0 + 0.5 AS INTEGER)",
    },
    moment=from_microseconds,
    tags=json.loads,
)
"""Jobs in rows of a caller's connection."""
job_from: Final = ROWS.job


def run_from(job_id: int, row: Sequence[Any]) -> Run:
    """The attempt in a row of runs.sql."""
    claim, attempt, node, started_at, ended_at, outcome, reason, error, traceback, log = row
    return Run(
        id=f"{job_id}.{claim}",
        job_id=job_id,
        claim=claim,
        attempt=attempt,
        node=node,
        started_at=moment(started_at),
        ended_at=_moment(ended_at),
        outcome=None if outcome is None else RunOutcome(outcome),
        reason=reason,
        error=error,
        traceback=traceback,
        log=log,
    )


def node_from(row: Sequence[Any], leader: str | None, dead: bool) -> NodeRow:
    """The node in a row of nodes.sql."""
    id_, name, started_at, info, running = row
    return NodeRow(id_, name, moment(started_at), None, id_ == leader, running, info_of(info), dead)
