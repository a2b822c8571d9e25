"""The verbs of the jobs API. A verb on many jobs works in pieces, each a transaction with
a deadline of its own.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final, NamedTuple

import asyncpg

from elihu.engines.postgres.connect import Connection
from elihu.engines.postgres.filters import LARGEST_ID, SMALLEST_ID, Where, conditions, storable_ids
from elihu.engines.postgres.rows import ROWS, Row, job_of
from elihu.engines.postgres.session import Session
from elihu.engines.protocol import BulkResult
from elihu.engines.rows import PageOfJobs
from elihu.errors import (
    ChangedMeanwhile,
    DatabaseUnavailable,
    DataRefused,
    InvalidTransition,
    JobNotFound,
    UniqueConflict,
)
from elihu.job import FINISHED, Job, JobChanges, JobFilter, JobPage, JobState, Run, RunOutcome

PIECE: Final = 1_000
PAGE_PIECE: Final = 51
"""Rows of a page in one statement: those of a default page, and the one behind it."""
_KEY_TRIES: Final = 5

_ALL: Final = frozenset(JobState)
_CANCELLABLE: Final = _ALL - FINISHED
_KILLABLE: Final = frozenset({JobState.EXECUTING})
_RETRYABLE: Final = _ALL - {JobState.AVAILABLE, JobState.EXECUTING}
_DELETABLE: Final = _ALL - {JobState.EXECUTING}
_HOLDABLE: Final = frozenset({JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE})
_RELEASABLE: Final = frozenset({JobState.SUSPENDED})


class Piece(NamedTuple):
    """The jobs of one statement of a bulk verb: above id ``after``, up to id ``end``,
    that ``where`` covers.
    """

    after: int
    end: int
    where: Where


async def get(session: Session, job_id: int) -> Job | None:
    if not storable_ids([job_id]):
        return None
    row = await session.fetch_row("get", job_id)
    return None if row is None else job_of(row)


async def get_by_identifier(session: Session, identifier: str) -> Job | None:
    row = await session.fetch_row("get_by_identifier", identifier)
    return None if row is None else job_of(row)


async def find(session: Session, where: JobFilter, after: int | None, limit: int) -> JobPage:
    found = PageOfJobs(ROWS, limit)
    below = LARGEST_ID if after is None else min(max(after, SMALLEST_ID), LARGEST_ID)
    if (covered := conditions(where, _ALL, 3)) is None:
        return JobPage()
    while True:
        asked = min(PAGE_PIECE, found.missing)
        rows = await session.fetch("find", below, asked, *covered.values, where=covered)
        if not all(map(found.add, rows)):
            return found.page(more=True)
        if len(rows) < asked:
            return found.page(more=False)
        below = rows[-1]["id"]


async def count(session: Session, where: JobFilter) -> int:
    if (covered := conditions(where, _ALL, 1)) is None:
        return 0
    return int(await session.fetch_value("count", *covered.values, where=covered))


async def counts(session: Session) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in await session.fetch("counts"):
        found.setdefault(row["queue"], {})[row["state"]] = row["jobs"]
    return found


async def runs(session: Session, job_id: int, after: int, limit: int) -> list[Run]:
    if not storable_ids([job_id]):
        return []
    return [_run(job_id, row) for row in await session.fetch("runs", job_id, after, limit)]


async def cancel(session: Session, where: JobFilter) -> BulkResult:
    return await _change(session, "cancel", where, _CANCELLABLE)


async def kill(session: Session, where: JobFilter) -> BulkResult:
    return await _change(session, "kill", where, _KILLABLE)


async def retry(session: Session, where: JobFilter) -> BulkResult:
    return await _change(session, "retry", where, _RETRYABLE)


async def delete(session: Session, where: JobFilter, expected: Job | None) -> BulkResult:
    if expected is None:
        return await _change(session, "delete", where, _DELETABLE)

    async def work(connection: Connection) -> Row | None:
        await _lock(session, connection, expected)
        return await connection.fetchrow(session.sql["delete_job"], expected.id)

    row = await session.transaction("delete", work)
    ended = frozenset({expected.id} if row is not None and row["awaited"] else ())
    return BulkResult(int(row is not None), frozenset(), frozenset(), ended)


async def hold(session: Session, where: JobFilter) -> BulkResult:
    return await _change(session, "hold", where, _HOLDABLE)


async def release(session: Session, where: JobFilter) -> BulkResult:
    return await _change(session, "release", where, _RELEASABLE)


async def stop(session: Session, job_id: int) -> BulkResult:
    row = await session.fetch_row("stop", job_id, waits=True) if storable_ids([job_id]) else None
    if row is None:
        if (job := await get(session, job_id)) is None:
            raise JobNotFound(job_id)
        raise InvalidTransition(
            f"stop: expected a job that is executing, got job {job_id}, which is {job.state}"
        )
    available = row["state"] == JobState.AVAILABLE
    ended = {job_id} if row["awaited"] and not available else set()
    return BulkResult(
        1,
        frozenset({row["queue"]} if available else ()),
        frozenset({row["node"]}),
        frozenset(ended),
    )


async def update(
    session: Session, job_id: int, changes: JobChanges, expected: Job | None
) -> tuple[Job, BulkResult]:
    if not storable_ids([job_id]):
        raise JobNotFound(job_id)
    values = (
        job_id,
        changes.args,
        changes.queue,
        changes.priority,
        changes.run_at,
        changes.max_attempts,
        None if changes.tags is None else list(changes.tags),
        changes.meta,
    )

    async def work(connection: Connection) -> Row | None:
        if expected is not None:
            await _lock(session, connection, expected)
        return await connection.fetchrow(session.sql["update"], *values)

    row = await session.transaction("update", work)
    if row is None:
        if (found := await get(session, job_id)) is None:
            raise JobNotFound(job_id)
        raise InvalidTransition(
            f"update: expected an unfinished job that is not executing, got job {job_id}, "
            f"which is {found.state}"
        )
    job = job_of(row)
    queues = {job.queue} if job.state is JobState.AVAILABLE else set()
    return job, BulkResult(1, frozenset(queues), frozenset())


async def _lock(session: Session, connection: Connection, expected: Job) -> None:
    """Lock a job. Raises ``JobNotFound``, and ``ChangedMeanwhile`` where it differs."""
    row = await connection.fetchrow(session.sql["get_locked"], expected.id)
    if row is None:
        raise JobNotFound(expected.id)
    if job_of(row) != expected:
        raise ChangedMeanwhile(f"job {expected.id}")


async def position(session: Session, job_id: int) -> int | None:
    if not storable_ids([job_id]):
        raise JobNotFound(job_id)
    row = await session.fetch_row("position", job_id)
    if row is None:
        raise JobNotFound(job_id)
    place: int | None = row["position"]
    return place


async def _change(
    session: Session, verb: str, filter_: JobFilter, states: Collection[JobState]
) -> BulkResult:
    """Piece after piece, up to the id that is the newest when a second piece begins:
    what is inserted meanwhile is left alone.
    """
    changed = 0
    queues: set[str] = set()
    nodes: set[str] = set()
    ended: set[int] = set()
    for part in _parts(filter_):
        covered = conditions(part, states, 4)
        after, end = SMALLEST_ID, LARGEST_ID
        while covered is not None:
            row = await _piece(session, verb, Piece(after, end, covered))
            changed += row["changed"]
            queues.update(row["queues"])
            nodes.update(row["nodes"])
            ended.update(row.get("ended", ()))
            if row["seen"] < PIECE:
                break
            if end == LARGEST_ID:
                end = await session.fetch_value("piece", part="end") or SMALLEST_ID
            after = row["last"]
    return BulkResult(changed, frozenset(queues), frozenset(nodes), frozenset(ended))


async def _piece(session: Session, verb: str, piece: Piece) -> Row:
    where = piece.where
    values: tuple[Any, ...] = (piece.after, piece.end, PIECE, *where.values)
    for _ in range(_KEY_TRIES):
        try:
            return await session.fetch_row(verb, *values, where=where, waits=True)
        except DataRefused as error:
            if not isinstance(error.__cause__, asyncpg.UniqueViolationError):
                raise
        found = await session.fetch_row("retry", *values, part="holder", where=where)
        if found is not None:
            job_id, holder = found["id"], found["holder"]
            raise UniqueConflict(
                f"retry of job {job_id}: expected no other job with its unique key, got job "
                f"{holder}",
                job_id=job_id,
                holder=holder,
            )
    raise DatabaseUnavailable(f"retry: the unique keys changed {_KEY_TRIES} times in a row")


def _parts(filter_: JobFilter) -> list[JobFilter]:
    """A filter with many ids as several with at most a piece of them each."""
    if filter_.ids is None:
        return [filter_]
    ids = storable_ids(filter_.ids)
    return [
        replace(filter_, ids=tuple(ids[start : start + PIECE]))
        for start in range(0, len(ids), PIECE)
    ]


def _run(job_id: int, row: Row) -> Run:
    """The attempt in a row of runs.sql."""
    return Run(
        id=f"{job_id}.{row['claim']}",
        job_id=job_id,
        claim=row["claim"],
        attempt=row["attempt"],
        node=row["node"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        outcome=None if row["outcome"] is None else RunOutcome(row["outcome"]),
        reason=row["reason"],
        error=row["error"],
        traceback=row["traceback"],
        log=row["log"],
    )
