"""What the jobs API asks of the database. Verbs that take many work in pieces, each a
transaction with a deadline of its own.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final, NamedTuple

import asyncpg

from elihu.engines.postgres.filters import LARGEST_ID, SMALLEST_ID, Where, conditions, storable_ids
from elihu.engines.postgres.rows import Row, job_of, run_of
from elihu.engines.postgres.session import Calls
from elihu.engines.protocol import BulkResult
from elihu.errors import (
    DatabaseUnavailable,
    DataRefused,
    InvalidTransition,
    JobNotFound,
    UniqueConflict,
)
from elihu.job import FINISHED, Job, JobChanges, JobFilter, JobState, Run

PIECE: Final = 1_000
_TWIN_TRIES: Final = 5

_ALL: Final = frozenset(JobState)
_CANCELLABLE: Final = _ALL - FINISHED
_KILLABLE: Final = frozenset({JobState.EXECUTING})
_RETRYABLE: Final = _ALL - {JobState.AVAILABLE, JobState.EXECUTING}
_DELETABLE: Final = _ALL - {JobState.EXECUTING}
_HOLDABLE: Final = frozenset({JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE})
_RELEASABLE: Final = frozenset({JobState.SUSPENDED})


class Piece(NamedTuple):
    """What a bulk verb takes at once: jobs above id ``after``, up to id ``end``, that
    ``where`` covers.
    """

    after: int
    end: int
    where: Where


class Jobs(Calls):
    """The verbs of the jobs API."""

    async def get(self, job_id: int) -> Job | None:
        """The job of that id."""
        if not storable_ids([job_id]):
            return None
        row = await self._fetch_row("get", self._sql["get"], job_id)
        return None if row is None else job_of(row)

    async def get_by_identifier(self, identifier: str) -> Job | None:
        """The job that has this identifier."""
        row = await self._fetch_row("get_by_identifier", self._sql["get_by_identifier"], identifier)
        return None if row is None else job_of(row)

    async def find(self, where: JobFilter, after: int | None, limit: int) -> list[Job]:
        """At most ``limit`` jobs below the id ``after``, newest first."""
        below = LARGEST_ID if after is None else min(max(after, SMALLEST_ID), LARGEST_ID)
        if (covered := conditions(where, _ALL, 3)) is None:
            return []
        return [
            job_of(row)
            for row in await self._fetch(
                "find", self._sql.filtered("find", covered), below, limit, *covered.values
            )
        ]

    async def count(self, where: JobFilter) -> int:
        """How many jobs ``where`` covers."""
        if (covered := conditions(where, _ALL, 1)) is None:
            return 0
        return int(
            await self._fetch_value("count", self._sql.filtered("count", covered), *covered.values)
        )

    async def counts(self) -> dict[str, dict[str, int]]:
        """queue → state → number."""
        found: dict[str, dict[str, int]] = {}
        for row in await self._fetch("counts", self._sql["counts"]):
            found.setdefault(row["queue"], {})[row["state"]] = row["jobs"]
        return found

    async def runs(self, job_id: int) -> list[Run]:
        """All attempts by claim; none for an unknown job."""
        if not storable_ids([job_id]):
            return []
        return [run_of(job_id, row) for row in await self._fetch("runs", self._sql["runs"], job_id)]

    async def cancel(self, where: JobFilter) -> BulkResult:
        """Cancel what waits, mark what executes."""
        return await self._change("cancel", where, _CANCELLABLE)

    async def kill(self, where: JobFilter) -> BulkResult:
        """Mark what executes."""
        return await self._change("kill", where, _KILLABLE)

    async def stop(self, job_id: int) -> BulkResult:
        """Give a running job back. Raises ``JobNotFound`` and ``InvalidTransition``."""
        row = (
            await self._fetch_row("stop", self._sql["stop"], job_id)
            if storable_ids([job_id])
            else None
        )
        if row is None:
            if (job := await self.get(job_id)) is None:
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

    async def retry(self, where: JobFilter) -> BulkResult:
        """Make available. Raises ``UniqueConflict``, and changes nothing of the piece,
        when another job holds the key.
        """
        return await self._change("retry", where, _RETRYABLE)

    async def delete(self, where: JobFilter) -> BulkResult:
        """Remove with their runs."""
        return await self._change("delete", where, _DELETABLE)

    async def hold(self, where: JobFilter) -> BulkResult:
        """Suspend."""
        return await self._change("hold", where, _HOLDABLE)

    async def release(self, where: JobFilter) -> BulkResult:
        """Let suspended jobs go."""
        return await self._change("release", where, _RELEASABLE)

    async def update(self, job_id: int, changes: JobChanges) -> tuple[Job, BulkResult]:
        """Change an unfinished job that is not executing. Raises ``JobNotFound`` and
        ``InvalidTransition``.
        """
        if not storable_ids([job_id]):
            raise JobNotFound(job_id)
        row = await self._fetch_row(
            "update",
            self._sql["update"],
            job_id,
            changes.args,
            changes.queue,
            changes.priority,
            changes.run_at,
            changes.max_attempts,
            None if changes.tags is None else list(changes.tags),
            changes.meta,
        )
        if row is None:
            if (job := await self.get(job_id)) is None:
                raise JobNotFound(job_id)
            raise InvalidTransition(
                f"update: expected an unfinished job that is not executing, got job {job_id}, "
                f"which is {job.state}"
            )
        job = job_of(row)
        queues = {job.queue} if job.state is JobState.AVAILABLE else set()
        return job, BulkResult(1, frozenset(queues), frozenset())

    async def position(self, job_id: int) -> int | None:
        """1 for the next of its queue; None unless available. Raises ``JobNotFound``."""
        if not storable_ids([job_id]):
            raise JobNotFound(job_id)
        row = await self._fetch_row("position", self._sql["position"], job_id)
        if row is None:
            raise JobNotFound(job_id)
        position: int | None = row["position"]
        return position

    async def _change(
        self, verb: str, filter_: JobFilter, states: Collection[JobState]
    ) -> BulkResult:
        count = 0
        queues: set[str] = set()
        nodes: set[str] = set()
        ended: set[int] = set()
        for part in _parts(filter_):
            covered = conditions(part, states, 4)
            after, end = SMALLEST_ID, LARGEST_ID
            while covered is not None:
                row = await self._piece(verb, Piece(after, end, covered))
                count += row["changed"]
                queues.update(row["queues"])
                nodes.update(row["nodes"])
                ended.update(row.get("ended", ()))
                if row["seen"] < PIECE:
                    break
                if end == LARGEST_ID:
                    end = await self._fetch_value(verb, self._sql["newest"]) or SMALLEST_ID
                after = row["last"]
        return BulkResult(count, frozenset(queues), frozenset(nodes), frozenset(ended))

    async def _piece(self, verb: str, piece: Piece) -> Row:
        values: tuple[Any, ...] = (piece.after, piece.end, PIECE, *piece.where.values)
        for _ in range(_TWIN_TRIES):
            try:
                return await self._fetch_row(verb, self._sql.filtered(verb, piece.where), *values)
            except DataRefused as error:
                if not isinstance(error.__cause__, asyncpg.UniqueViolationError):
                    raise
            found = await self._fetch_row(
                verb, self._sql.filtered("retry_holder", piece.where), *values
            )
            if found is not None:
                job_id, holder = found["id"], found["twin"]
                message = f"retry of job {job_id}: expected no other job with its unique key, got job {holder}"
                raise UniqueConflict(message, job_id=job_id, holder=holder)
        raise DatabaseUnavailable(
            f"retry: expected unique keys to stay as they are, got {_TWIN_TRIES} changes in a row"
        )


def _parts(filter_: JobFilter) -> list[JobFilter]:
    """A filter with many ids as several with at most a piece of them each."""
    if filter_.ids is None:
        return [filter_]
    ids = storable_ids(filter_.ids)
    return [
        replace(filter_, ids=tuple(ids[start : start + PIECE]))
        for start in range(0, len(ids), PIECE)
    ]
