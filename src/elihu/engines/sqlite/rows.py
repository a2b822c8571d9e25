"""Rows of the database as values, and times as SQLite stores them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from elihu.engines.protocol import NodeRow
from elihu.job import Job, JobState, Run, RunOutcome

MICROSECONDS: Final = 1_000_000


def stored_time(moment: datetime) -> float:
    """Unix seconds: the double nearest to the whole number of microseconds that
    ``moment`` is.
    """
    return moment.timestamp()


def nearest(seconds: float) -> float:
    """The double nearest to a whole number of microseconds, so that it comes back from
    a datetime as it went in.
    """
    return round(seconds * MICROSECONDS) / MICROSECONDS


def moment(seconds: float) -> datetime:
    """Stored seconds as a datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)


def dump(value: object) -> str:
    """JSON that keeps lone surrogates out of the database: the driver refuses to encode
    them.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def job_from(row: Sequence[Any]) -> Job:
    """A row of ``find.sql`` or ``get.sql``."""
    (
        id_, state, queue, task, args, meta, tags, priority, attempt, max_attempts, unique_key,
        inserted_at, scheduled_at, started_at, finished_at, reason, result, progress, node,
        template, identifier, expires_at,
    ) = row  # fmt: skip
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
        started_at=_moment(started_at),
        finished_at=_moment(finished_at),
        reason=reason,
        result=None if result is None else json.loads(result),
        progress=None if progress is None else json.loads(progress),
        node=node,
        template=template,
        identifier=identifier,
        expires_at=_moment(expires_at),
    )


def run_from(job_id: int, row: Sequence[Any]) -> Run:
    """A row of ``runs.sql``."""
    claim, attempt, node, started_at, ended_at, result, reason, error, traceback, log = row
    return Run(
        id=f"{job_id}.{claim}",
        job_id=job_id,
        claim=claim,
        attempt=attempt,
        node=node,
        started_at=moment(started_at),
        ended_at=_moment(ended_at),
        outcome=None if result is None else RunOutcome(result),
        reason=reason,
        error=error,
        traceback=traceback,
        log=log,
    )


def node_from(row: Sequence[Any], leader: str | None) -> NodeRow:
    """A row of ``nodes.sql``."""
    id_, name, started_at, info, running = row
    return NodeRow(id_, name, moment(started_at), None, id_ == leader, running, json.loads(info))
