"""Rows as the driver gives them, made into the values of ``elihu.job`` and
``elihu.engines.protocol``.
"""

import json
from typing import Any, Final

from elihu.engines.protocol import ClaimedJob
from elihu.engines.protocol.waits import JobEnd
from elihu.engines.rows import COLUMNS_AS_TEXT, JOB_JSON, JOB_TIMES, JobRows, from_microseconds
from elihu.job import JobState, Run, RunOutcome

Row = Any  # the driver's records carry no types


_SELECTED: Final = {
    "unique_key": "encode(unique_key, 'hex') AS unique_key",
    "node": "node::text AS node",
}
_AS_TEXT: Final = {
    "unique_key": "encode(unique_key, 'hex')",
    "tags": "to_json(tags)::text",
    **{name: f"{name}::text" for name in JOB_JSON},
    **{name: f"CAST(extract(epoch FROM {name}) * 1000000 AS bigint)" for name in JOB_TIMES},
}
ROWS: Final = JobRows(expressions=_SELECTED)
"""Jobs in rows of the engine's own connections."""
TEXT_ROWS: Final = JobRows(
    mark=COLUMNS_AS_TEXT, expressions=_AS_TEXT, moment=from_microseconds, tags=json.loads
)
"""Jobs in rows of a caller's connection."""
job_of: Final = ROWS.job


def run_of(job_id: int, row: Row) -> Run:
    """The attempt in a row of runs.sql."""
    return Run(
        id=f"{job_id}.{row['claim']}",
        job_id=job_id,
        claim=row["claim"],
        attempt=row["attempt"],
        node=row["node"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        outcome=None if row["result"] is None else RunOutcome(row["result"]),
        reason=row["reason"],
        error=row["error"],
        traceback=row["traceback"],
        log=row["log"],
    )


def end_of(row: Row) -> JobEnd:
    """What a wait came to, in a row of ends.sql; places count from 0."""
    return JobEnd(
        place=row["place"] - 1,
        state=None if row["state"] is None else JobState(row["state"]),
        claim=row["claim"],
        reason=row["reason"],
        value=row["value"],
        outcome=None if row["outcome"] is None else RunOutcome(row["outcome"]),
        run_reason=row["run_reason"],
        error=row["error"],
        error_type=row["error_type"],
        traceback=row["traceback"],
        whole=row["whole"],
    )


def claim_of(row: Row) -> ClaimedJob:
    """The claim in a row of exchange.sql, whose first columns are the fields of
    ``Claim`` in their order.
    """
    return ClaimedJob(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        row[5],
        row[6],
        row[7],
        row[8],
        row[9],
        row[10],
        tuple(row[11]),
        row[12],
        row[13],
        row[14],
        row[15],
        row[16],
        row[17],
        row[18],
    )
