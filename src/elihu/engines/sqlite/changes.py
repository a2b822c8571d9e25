"""What the jobs API changes: bulk verbs in bounded pieces, the update and the stop of
one job.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from elihu.engines.protocol import BulkResult
from elihu.engines.sqlite.filters import is_storable, where
from elihu.engines.sqlite.insert import CLOCK
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.reads import get
from elihu.engines.sqlite.rows import dump, stored_time
from elihu.engines.sqlite.session import Session
from elihu.errors import InvalidTransition, JobNotFound, UniqueConflict
from elihu.job import FINISHED, Job, JobChanges, JobFilter, JobState

PIECE: Final = 1_000
"""Jobs that a bulk verb changes in one transaction."""

_END: Final = statement("piece_end")
_PICK: Final = statement("piece_pick")
_PIECE: Final = statement("piece")
_CANCEL_WAITING: Final = statement("cancel_waiting")
_CANCEL_EXECUTING: Final = statement("cancel_executing")
_KILL: Final = statement("kill")
_STOP_HISTORY: Final = statement("stop_history")
_STOP: Final = statement("stop")
_STOPPED: Final = statement("rescued")
_RETRY_HISTORY: Final = statement("retry_history")
_RETRY: Final = statement("retry")
_RETRY_TWIN: Final = statement("retry_holder")
_DELETE: Final = statement("delete")
_DELETE_RUNS: Final = statement("prune_runs")
_HOLD: Final = statement("hold")
_RELEASE: Final = statement("release")
_UPDATE: Final = statement("update")

NOTHING: Final = BulkResult(0, frozenset(), frozenset())


class Picked(NamedTuple):
    """A piece of what a bulk verb means: ids as JSON, and where the next piece begins."""

    ids: str
    last: int


class Target(NamedTuple):
    """A job under the write lock."""

    id: int
    queue: str
    state: JobState
    node: str | None
    due: bool
    awaited: bool


@dataclass(frozen=True, slots=True)
class BulkVerb:
    """A bulk verb: the states it takes, a further condition, and what it does to a
    piece of jobs, given as JSON of ids.
    """

    states: frozenset[JobState]
    change: Callable[[Session, dict[str, Any], list[Target]], BulkResult]
    unless: str = ""

    def condition(self, filter_: JobFilter) -> tuple[str, dict[str, Any]]:
        """Which jobs the verb means."""
        covered = where(filter_, self.states)
        return covered.sql + self.unless, covered.values


def last_id(session: Session) -> int:
    """The newest id."""
    return int(session.row(_END)[0])


def pick(
    session: Session, verb: BulkVerb, filter_: JobFilter, last: int, end: int
) -> Picked | None:
    """The next piece after ``last``, None where there is none."""
    sql, values = verb.condition(filter_)
    ids, highest = session.row(
        _PICK.replace("{where}", sql), values | {"last": last, "end": end, "limit": PIECE}
    )
    return None if highest is None else Picked(ids, highest)


def change(session: Session, verb: BulkVerb, filter_: JobFilter, picked: Picked) -> BulkResult:
    """Change what the verb still means of a piece."""
    sql, values = verb.condition(filter_)
    with session.write():
        now = session.row(CLOCK)[0]
        found = json.loads(
            session.row(
                _PIECE.replace("{where}", sql), values | {"picked": picked.ids, "now": now}
            )[0]
        )
        targets = [
            Target(id_, queue, JobState(state), node, bool(due), bool(awaited))
            for id_, queue, state, node, due, awaited in found
        ]
        return verb.change(
            session, {"ids": dump([target.id for target in targets]), "now": now}, targets
        )


def joined(one: BulkResult, other: BulkResult) -> BulkResult:
    """Both together."""
    return BulkResult(
        one.changed + other.changed,
        one.queues | other.queues,
        one.nodes | other.nodes,
        one.ended | other.ended,
    )


def _cancel(session: Session, parameters: dict[str, Any], targets: list[Target]) -> BulkResult:
    session.execute(_CANCEL_WAITING, parameters)
    session.execute(_CANCEL_EXECUTING, parameters)
    nodes = frozenset(
        target.node
        for target in targets
        if target.state is JobState.EXECUTING and target.node is not None
    )
    return BulkResult(len(targets), frozenset(), nodes, _ended(targets))


def _ended(targets: list[Target]) -> frozenset[int]:
    return frozenset(
        target.id for target in targets if target.awaited and target.state is not JobState.EXECUTING
    )


def _kill(session: Session, parameters: dict[str, Any], targets: list[Target]) -> BulkResult:
    session.execute(_KILL, parameters)
    return BulkResult(
        len(targets),
        frozenset(),
        frozenset(target.node for target in targets if target.node is not None),
    )


def _retry(session: Session, parameters: dict[str, Any], targets: list[Target]) -> BulkResult:
    session.execute(_RETRY_HISTORY, parameters)
    try:
        session.execute(_RETRY, parameters)
    except sqlite3.IntegrityError as error:
        found = session.row(_RETRY_TWIN, parameters)
        if found is None:
            raise
        job_id, holder = found
        raise UniqueConflict(
            f"expected job {job_id} to be alone with its unique key, got job {holder} with the same",
            job_id=job_id,
            holder=holder,
        ) from error
    return BulkResult(len(targets), frozenset(target.queue for target in targets), frozenset())


def _delete(session: Session, parameters: dict[str, Any], targets: list[Target]) -> BulkResult:
    session.execute(_DELETE, parameters)
    session.execute(_DELETE_RUNS, parameters)
    return BulkResult(len(targets), frozenset(), frozenset(), _ended(targets))


def _hold(session: Session, parameters: dict[str, Any], targets: list[Target]) -> BulkResult:
    session.execute(_HOLD, parameters)
    return BulkResult(len(targets), frozenset(), frozenset())


def _release(session: Session, parameters: dict[str, Any], targets: list[Target]) -> BulkResult:
    session.execute(_RELEASE, parameters)
    return BulkResult(
        len(targets), frozenset(target.queue for target in targets if target.due), frozenset()
    )


WAITING: Final = frozenset(
    {JobState.SUSPENDED, JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE}
)
CANCEL: Final = BulkVerb(
    WAITING | {JobState.EXECUTING}, _cancel, " AND (state <> 'executing' OR intent IS NOT 'cancel')"
)
KILL: Final = BulkVerb(frozenset({JobState.EXECUTING}), _kill, " AND intent IS NULL")
RETRY: Final = BulkVerb(frozenset(JobState) - {JobState.AVAILABLE, JobState.EXECUTING}, _retry)
DELETE: Final = BulkVerb(frozenset(JobState) - {JobState.EXECUTING}, _delete)
HOLD: Final = BulkVerb(WAITING - {JobState.SUSPENDED}, _hold)
RELEASE: Final = BulkVerb(frozenset({JobState.SUSPENDED}), _release)


def update(session: Session, job_id: int, changes: JobChanges) -> tuple[Job, BulkResult]:
    """Change one job. Raises ``JobNotFound`` and ``InvalidTransition``."""
    if not is_storable(job_id):
        raise JobNotFound(job_id)
    with session.write():
        parameters = {
            "id": job_id,
            "now": session.row(CLOCK)[0],
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
            kind = (
                "a job that has not finished"
                if job.state in FINISHED
                else "a job that is not executing"
            )
            raise InvalidTransition(
                f"update: expected {kind}, got job {job_id}, which is {job.state}"
            )
    return job, BulkResult(
        1, frozenset({job.queue} if job.state is JobState.AVAILABLE else ()), frozenset()
    )


def stop(session: Session, job_id: int) -> BulkResult:
    """Give a running job back. Raises ``JobNotFound`` and ``InvalidTransition``."""
    if not is_storable(job_id):
        raise JobNotFound(job_id)
    with session.write():
        parameters = {"id": job_id, "now": session.row(CLOCK)[0]}
        session.execute(_STOP_HISTORY, parameters)
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
    ended = {job_id} if awaited and not available else set()
    return BulkResult(
        1,
        frozenset({queue} if available else ()),
        frozenset({job.node} if job.node else ()),
        frozenset(ended),
    )
