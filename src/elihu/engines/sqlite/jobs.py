"""The verbs of the jobs API. A bulk verb changes jobs in bounded pieces, each in a
transaction of its own.
"""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from elihu.engines.protocol import BulkResult
from elihu.engines.rows import PageOfJobs
from elihu.engines.sqlite.database import Database
from elihu.engines.sqlite.filters import LARGEST_ID, is_storable, where
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import ROWS, dump, job_from, run_from, stored_time
from elihu.engines.sqlite.session import Session
from elihu.errors import ChangedMeanwhile, InvalidTransition, JobNotFound, UniqueConflict
from elihu.job import FINISHED, Job, JobChanges, JobFilter, JobPage, JobState, Run

PIECE: Final = 1_000
"""Jobs that a bulk verb changes in one transaction."""
WAITING: Final = frozenset(
    {JobState.SUSPENDED, JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE}
)

_GET: Final = statement("get")
_GET_BY_IDENTIFIER: Final = statement("get_by_identifier")
_FIND: Final = statement("find")
_COUNT: Final = statement("count")
_COUNTS: Final = statement("counts")
_RUNS: Final = statement("runs")
_POSITION: Final = statement("position")
_UPDATE: Final = statement("update")
_STOP_RUNS: Final = statement("stop_runs")
_STOP: Final = statement("stop")
_STOPPED: Final = statement("rescue_read")
_PIECE_END: Final = statement("piece_end")
_PIECE_PICK: Final = statement("piece_pick")
_PIECE: Final = statement("piece")
_CANCEL_WAITING: Final = statement("cancel_waiting")
_CANCEL_EXECUTING: Final = statement("cancel_executing")
_KILL: Final = statement("kill")
_RETRY_RUNS: Final = statement("retry_runs")
_RETRY: Final = statement("retry")
_RETRY_HOLDER: Final = statement("retry_holder")
_DELETE: Final = statement("delete")
_HOLD: Final = statement("hold")
_RELEASE: Final = statement("release")

Parameters = dict[str, Any]


def get(session: Session, job_id: int) -> Job | None:
    row = session.row(_GET, {"id": job_id}) if is_storable(job_id) else None
    return None if row is None else job_from(row)


def get_by_identifier(session: Session, identifier: str) -> Job | None:
    row = session.row(_GET_BY_IDENTIFIER, {"identifier": identifier})
    return None if row is None else job_from(row)


def find(session: Session, filter_: JobFilter, after: int | None, limit: int) -> JobPage:
    found = PageOfJobs(ROWS, limit)
    condition = where(filter_)
    edge = LARGEST_ID if after is None else min(after, LARGEST_ID)
    values = condition.values | {"after": edge, "limit": found.missing}
    with closing(
        session.connection.execute(_FIND.replace("{where}", condition.sql), values)
    ) as rows:
        return found.page(more=not all(map(found.add, rows)))


def count(session: Session, filter_: JobFilter) -> int:
    condition = where(filter_)
    return int(session.row(_COUNT.replace("{where}", condition.sql), condition.values)[0])


def counts(session: Session) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for queue, state, number in session.rows(_COUNTS):
        found.setdefault(queue, {})[state] = number
    return found


def runs(session: Session, job_id: int, after: int, limit: int) -> list[Run]:
    values = {"id": job_id, "after": after, "limit": limit}
    rows = session.rows(_RUNS, values) if is_storable(job_id) else []
    return [run_from(job_id, row) for row in rows]


def position(session: Session, job_id: int) -> int | None:
    row = session.row(_POSITION, {"id": job_id}) if is_storable(job_id) else None
    if row is None:
        raise JobNotFound(job_id)
    place: int | None = row[0]
    return place


def update(
    session: Session, job_id: int, changes: JobChanges, expected: Job | None
) -> tuple[Job, BulkResult]:
    if not is_storable(job_id):
        raise JobNotFound(job_id)
    with session.write():
        if expected is not None:
            _check(session, expected)
        parameters = {
            "id": job_id,
            "now": session.now(),
            "args": changes.args,
            "queue": changes.queue,
            "priority": changes.priority,
            "run_at": None if changes.run_at is None else stored_time(changes.run_at),
            "max_attempts": changes.max_attempts,
            "tags": None if changes.tags is None else dump(changes.tags),
            "meta": changes.meta,
        }
        changed = session.execute(_UPDATE, parameters).rowcount
        job = get(session, job_id)
        if job is None:
            raise JobNotFound(job_id)
        if not changed:
            state = "a job that has not finished" if job.state in FINISHED else "a waiting job"
            raise InvalidTransition(
                f"update: expected {state}, got job {job_id}, which is {job.state}"
            )
    queues = {job.queue} if job.state is JobState.AVAILABLE else set()
    return job, BulkResult(1, frozenset(queues), frozenset())


def _check(session: Session, expected: Job) -> Job:
    """Raises ``JobNotFound``, and ``ChangedMeanwhile`` where the job differs."""
    job = get(session, expected.id)
    if job is None:
        raise JobNotFound(expected.id)
    if job != expected:
        raise ChangedMeanwhile(f"job {expected.id}")
    return job


def stop(session: Session, job_id: int) -> BulkResult:
    if not is_storable(job_id):
        raise JobNotFound(job_id)
    with session.write():
        parameters = {"id": job_id, "now": session.now()}
        session.execute(_STOP_RUNS, parameters)
        stopped = session.execute(_STOP, parameters).rowcount
        job = get(session, job_id)
        if job is None:
            raise JobNotFound(job_id)
        if not stopped:
            raise InvalidTransition(
                f"stop: expected a job that is executing, got job {job_id}, which is {job.state}"
            )
        ((_, queue, state, awaited),) = session.rows(_STOPPED, {"ids": dump([job_id])})
    available = state == JobState.AVAILABLE
    return BulkResult(
        1,
        frozenset({queue} if available else ()),
        frozenset({job.node} if job.node else ()),
        frozenset({job_id} if awaited and not available else ()),
    )


class Picked(NamedTuple):
    """The next piece of a bulk verb: the ids as JSON, and the last of them."""

    ids: str
    last: int


class Target(NamedTuple):
    """A job that a bulk verb changes, read under the write lock."""

    id: int
    queue: str
    state: JobState
    node: str | None
    due: bool
    awaited: bool


Change = Callable[[Session, Parameters, list[Target]], BulkResult]


@dataclass(frozen=True, slots=True)
class BulkVerb:
    """A bulk verb: the states of its jobs, a further condition, and the change of a
    piece of them.
    """

    states: frozenset[JobState]
    change: Change
    unless: str

    def condition(self, filter_: JobFilter) -> tuple[str, Parameters]:
        """Which jobs the verb changes."""
        covered = where(filter_, self.states)
        return covered.sql + self.unless, covered.values


def _bulk(states: frozenset[JobState], unless: str = "") -> Callable[[Change], BulkVerb]:
    return lambda change: BulkVerb(states, change, unless)


async def in_pieces(database: Database, name: str, verb: BulkVerb, where: JobFilter) -> BulkResult:
    """Apply a bulk verb piece by piece. Each piece has its own deadline, and other calls
    are served between two pieces.
    """
    done, last = BulkResult(0, frozenset(), frozenset()), 0
    end = await database.read(name, last_id)
    while (picked := await database.read(name, pick, verb, where, last, end)) is not None:
        done = _joined(done, await database.write(name, change, verb, where, picked))
        last = picked.last
    return done


def last_id(session: Session) -> int:
    """The newest id."""
    return int(session.row(_PIECE_END)[0])


def pick(
    session: Session, verb: BulkVerb, filter_: JobFilter, last: int, end: int
) -> Picked | None:
    """The next piece after the id ``last`` and up to ``end``. None at the end."""
    sql, values = verb.condition(filter_)
    ids, highest = session.row(
        _PIECE_PICK.replace("{where}", sql), values | {"last": last, "end": end, "limit": PIECE}
    )
    return None if highest is None else Picked(ids, highest)


def change(session: Session, verb: BulkVerb, filter_: JobFilter, picked: Picked) -> BulkResult:
    """Change those jobs of a piece that the verb still covers."""
    sql, values = verb.condition(filter_)
    with session.write():
        now = session.now()
        (found,) = session.row(
            _PIECE.replace("{where}", sql), values | {"picked": picked.ids, "now": now}
        )
        targets = [
            Target(id_, queue, JobState(state), node, bool(due), bool(awaited))
            for id_, queue, state, node, due, awaited in json.loads(found)
        ]
        ids = dump([target.id for target in targets])
        return verb.change(session, {"ids": ids, "now": now}, targets)


def _joined(one: BulkResult, other: BulkResult) -> BulkResult:
    return BulkResult(
        one.changed + other.changed,
        one.queues | other.queues,
        one.nodes | other.nodes,
        one.ended | other.ended,
    )


@_bulk(WAITING | {JobState.EXECUTING}, " AND (state <> 'executing' OR intent IS NOT 'cancel')")
def cancel(session: Session, parameters: Parameters, targets: list[Target]) -> BulkResult:
    session.execute(_CANCEL_WAITING, parameters)
    session.execute(_CANCEL_EXECUTING, parameters)
    return BulkResult(len(targets), frozenset(), _nodes(targets), _ended(targets))


@_bulk(frozenset({JobState.EXECUTING}), " AND intent IS NULL")
def kill(session: Session, parameters: Parameters, targets: list[Target]) -> BulkResult:
    session.execute(_KILL, parameters)
    return BulkResult(len(targets), frozenset(), _nodes(targets))


@_bulk(frozenset(JobState) - {JobState.AVAILABLE, JobState.EXECUTING})
def retry(session: Session, parameters: Parameters, targets: list[Target]) -> BulkResult:
    session.execute(_RETRY_RUNS, parameters)
    try:
        session.execute(_RETRY, parameters)
    except sqlite3.IntegrityError as error:
        found = session.row(_RETRY_HOLDER, parameters)
        if found is None:
            raise
        job_id, holder = found
        raise UniqueConflict(
            f"retry of job {job_id}: expected no other job with its unique key, got job {holder}",
            job_id=job_id,
            holder=holder,
        ) from error
    return BulkResult(len(targets), frozenset(target.queue for target in targets), frozenset())


@_bulk(frozenset(JobState) - {JobState.EXECUTING})
def delete(session: Session, parameters: Parameters, targets: list[Target]) -> BulkResult:
    session.execute(_DELETE, parameters)
    return BulkResult(len(targets), frozenset(), frozenset(), _ended(targets))


async def remove(database: Database, where: JobFilter, expected: Job | None) -> BulkResult:
    """Delete the jobs of a filter, or the one that is expected."""
    if expected is None:
        return await in_pieces(database, "delete", delete, where)
    return await database.write("delete", delete_expected, expected)


def delete_expected(session: Session, expected: Job) -> BulkResult:
    with session.write():
        job = _check(session, expected)
        if job.state is JobState.EXECUTING:
            return BulkResult(0, frozenset(), frozenset())
        ids = dump([job.id])
        ((_, _, _, awaited),) = session.rows(_STOPPED, {"ids": ids})
        session.execute(_DELETE, {"ids": ids})
    return BulkResult(1, frozenset(), frozenset(), frozenset({job.id} if awaited else ()))


@_bulk(WAITING - {JobState.SUSPENDED})
def hold(session: Session, parameters: Parameters, targets: list[Target]) -> BulkResult:
    session.execute(_HOLD, parameters)
    return BulkResult(len(targets), frozenset(), frozenset())


@_bulk(frozenset({JobState.SUSPENDED}))
def release(session: Session, parameters: Parameters, targets: list[Target]) -> BulkResult:
    session.execute(_RELEASE, parameters)
    due = frozenset(target.queue for target in targets if target.due)
    return BulkResult(len(targets), due, frozenset())


def _ended(targets: list[Target]) -> frozenset[int]:
    return frozenset(
        target.id for target in targets if target.awaited and target.state is not JobState.EXECUTING
    )


def _nodes(targets: list[Target]) -> frozenset[str]:
    return frozenset(
        target.node
        for target in targets
        if target.state is JobState.EXECUTING and target.node is not None
    )
