"""Waiting for ends."""

from collections.abc import Sequence

from elihu.engines.postgres.rows import Row, job_of
from elihu.engines.postgres.session import Session
from elihu.engines.protocol import AwaitedJob, JobEnd, LateResult, Wait
from elihu.job import JobState, RunOutcome


async def attach(session: Session, ids: Sequence[int]) -> list[AwaitedJob]:
    return [
        AwaitedJob(job_of(row), row["since"]) for row in await session.fetch("attach", list(ids))
    ]


async def add_results(session: Session, results: Sequence[LateResult]) -> None:
    await session.fetch("add_results", *([*column] for column in zip(*results, strict=True)))


async def ends(session: Session, pending: Sequence[Wait], room: int) -> list[JobEnd]:
    ids, since, only_job = (
        ([*column] for column in zip(*pending, strict=True)) if pending else ([], [], [])
    )
    return [_end(row) for row in await session.fetch("ends", ids, since, only_job, room)]


def _end(row: Row) -> JobEnd:
    """The end in a row of ends.sql, whose places count from 1."""
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
