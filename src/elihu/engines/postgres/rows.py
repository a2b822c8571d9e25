"""Rows as the driver gives them, made into the values of ``elihu.job`` and
``elihu.engines.protocol``.
"""

import json
from typing import Any

from elihu.engines.protocol import ClaimedJob
from elihu.engines.protocol.waits import JobEnd
from elihu.job import Job, JobState, Run, RunOutcome

Row = Any  # the driver's records carry no types


def job_of(row: Row) -> Job:
    """The job in a row of get.sql, find.sql or update.sql."""
    return Job(
        id=row["id"],
        state=JobState(row["state"]),
        queue=row["queue"],
        task=row["task"],
        args=json.loads(row["args"]),
        meta=_json(row["meta"]) or {},
        tags=tuple(row["tags"]),
        priority=row["priority"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        unique_key=row["unique_key"],
        inserted_at=row["inserted_at"],
        scheduled_at=row["scheduled_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        reason=row["reason"],
        result=_json(row["result"]),
        progress=_json(row["progress"]),
        node=row["node"],
        template=row["template"],
        identifier=row["identifier"],
        expires_at=row["expires_at"],
    )


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


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
