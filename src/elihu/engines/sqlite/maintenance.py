"""The verbs of a node's services."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from elihu.config import RetentionConfig
from elihu.engines.protocol import Expired, Pruned, Rescued, Staged
from elihu.engines.retention import FinishedJob, Retention
from elihu.engines.sqlite.filters import SMALLEST_ID
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import MICROSECONDS, dump
from elihu.engines.sqlite.session import Session
from elihu.failpoints import ACTIVE, reach
from elihu.job import Intent, JobState

_STAGE_DUE: Final = statement("stage_due")
_STAGE: Final = statement("stage")
_STAGE_READY: Final = statement("stage_ready")
_RESCUE_LOST: Final = statement("rescue_lost")
_RESCUE_RUNS: Final = statement("rescue_runs")
_RESCUE: Final = statement("rescue")
_RESCUE_READ: Final = statement("rescue_read")
_RECONCILE_LOST: Final = statement("reconcile_lost")
_RECONCILE_RUNS: Final = statement("reconcile_runs")
_RECONCILE: Final = statement("reconcile")
_EXPIRE_DUE: Final = statement("expire_due")
_EXPIRE: Final = statement("expire")
_LOST_CLAIMS: Final = statement("lost_claims")
_INTENTS: Final = statement("intents")
_STARTS: Final = statement("record_starts")
_PROGRESS: Final = statement("record_progress")
_PRUNE_PICK: Final = statement("prune_pick")
_PRUNE: Final = statement("prune")
_PRUNE_DEFER: Final = statement("prune_defer")
_REVIEW: Final = statement("review_retention")
_REVIEW_GET: Final = statement("review_retention_get")
_REVIEW_PUT: Final = statement("review_retention_put")
_REVIEW_END: Final = statement("review_retention_end")

_ALL: Final = -1
_KNOWN: Final = frozenset(Intent)


def stage(session: Session, limit: int, *, ready: bool = True) -> Staged:
    staged: dict[str, int] = {}
    if session.rows(_STAGE_DUE, {"now": session.now(), "limit": 1}):
        with session.write():
            due = {"now": session.now(), "limit": limit}
            staged = dict(session.rows(_STAGE_DUE, due))
            session.execute(_STAGE, due)
            if ACTIVE and staged:
                reach("inside staging")
    if not ready:
        return Staged(staged, None)
    queues = {queue for (queue,) in session.rows(_STAGE_READY)}
    return Staged(dict.fromkeys(queues, 0) | staged, _is_any_expired(session))


def rescue(session: Session, limit: int) -> list[Rescued]:
    """All in one statement. Where one row makes that fail, one row at a time."""
    if session.row(_RESCUE_LOST, {"limit": 1})[0] == "[]":
        return []
    try:
        with session.write():
            return _rescue(session, session.row(_RESCUE_LOST, {"limit": limit})[0])
    except sqlite3.IntegrityError:
        with session.write():
            return _rescue_singly(session, limit)


def _rescue(session: Session, ids: str) -> list[Rescued]:
    now = session.now()
    session.execute(_RESCUE_RUNS, {"ids": ids, "now": now})
    if ACTIVE:
        reach("inside rescue")
    session.execute(_RESCUE, {"ids": ids, "now": now})
    return [
        Rescued(id_, queue, JobState(state), bool(awaited))
        for id_, queue, state, awaited in session.rows(_RESCUE_READ, {"ids": ids})
    ]


def _rescue_singly(session: Session, limit: int) -> list[Rescued]:
    rescued: list[Rescued] = []
    for id_ in json.loads(session.row(_RESCUE_LOST, {"limit": _ALL})[0]):
        session.execute("SAVEPOINT one")
        try:
            rescued += _rescue(session, dump([id_]))
        except sqlite3.IntegrityError:
            session.execute("ROLLBACK TO one")
        session.execute("RELEASE one")
        if len(rescued) >= limit:
            break
    return rescued


def reconcile(
    session: Session, node: str, held: Sequence[tuple[int, int]], older_than: float
) -> list[Rescued]:
    asked = {"node": node, "held": dump(held), "older_than": older_than}
    if not session.rows(_RECONCILE_LOST, asked):
        return []
    with session.write():
        lost = [
            Rescued(id_, queue, JobState(state), bool(awaited))
            for id_, queue, state, awaited in session.rows(_RECONCILE_LOST, asked)
        ]
        given_back: dict[str, Any] = {
            "ids": dump([job.id for job in lost]),
            "now": session.now(),
        }
        session.execute(_RECONCILE_RUNS, given_back)
        session.execute(_RECONCILE, given_back)
    return lost


def intents(session: Session, node: str) -> list[tuple[int, int, Intent]]:
    return [
        (id_, claim, Intent(intent))
        for id_, claim, intent in session.rows(_INTENTS, {"node": node})
        if intent in _KNOWN
    ]


def lost_claims(
    session: Session, node: str, held: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    return session.rows(_LOST_CLAIMS, {"node": node, "held": dump(held)})


def expire(session: Session, limit: int) -> list[Expired]:
    if not _is_any_expired(session):
        return []
    with session.write():
        now = session.now()
        due = [
            Expired(id_, queue, bool(awaited))
            for id_, queue, awaited in session.rows(_EXPIRE_DUE, {"now": now, "limit": limit})
        ]
        session.execute(_EXPIRE, {"ids": dump([job.id for job in due]), "now": now})
    return sorted(due)


def _is_any_expired(session: Session) -> bool:
    return bool(session.rows(_EXPIRE_DUE, {"now": session.now(), "limit": 1}))


def record_starts(
    session: Session, node: str, starts: Sequence[tuple[int, int, float]]
) -> list[int]:
    guarded = [
        (id_, claim, node, JobState.EXECUTING.value, waited) for id_, claim, waited in starts
    ]
    with session.write():
        return [id_ for (id_,) in session.rows(_STARTS, {"starts": dump(guarded)})]


def record_progress(session: Session, node: str, progress: Sequence[tuple[int, int, str]]) -> None:
    guarded = [(id_, claim, node, JobState.EXECUTING.value, text) for id_, claim, text in progress]
    with session.write():
        session.execute(_PROGRESS, {"progress": dump(guarded)})


def prune(session: Session, config: RetentionConfig, limit: int) -> Pruned:
    """SQLite: jobs are picked without the write lock, and checked again under it."""
    retention = Retention(config)
    now = session.now()
    picked = session.rows(_PRUNE_PICK, {**retention.shortest, "now": now, "limit": limit})
    due: list[tuple[int, int]] = []
    later: list[tuple[int, int]] = []
    for id_, state, queue, task, finished_at, keep_until, awaited in picked:
        kept = None if keep_until is None else keep_until - now
        job = FinishedJob(id_, state, queue, task, now - finished_at, kept, bool(awaited))
        if (left := retention.due_in(job)) <= 0:
            due.append((id_, round(finished_at * MICROSECONDS)))
        else:
            later.append((id_, round((now + left) * MICROSECONDS)))
    if not picked:
        return Pruned(0, 0)
    with session.write():
        removed = session.execute(_PRUNE, {"due": dump(due), "now": now}).rowcount
        session.execute(_PRUNE_DEFER, {"later": dump(later)})
    return Pruned(removed, len(later))


def review_retention(session: Session, config: RetentionConfig, limit: int) -> bool:
    rules = Retention(config).rules
    stored, reviewed = session.row(_REVIEW_GET) or (None, None)
    if stored == rules and reviewed is None:
        return False
    with session.write():
        if stored is None:
            session.execute(_REVIEW_PUT, {"rules": rules, "reviewed": None})
            return False
        after = reviewed if stored == rules else SMALLEST_ID
        (end,) = session.row(_REVIEW_END, {"after": after, "limit": limit})
        if end is not None:
            session.execute(_REVIEW, {"after": after, "end": end})
        session.execute(_REVIEW_PUT, {"rules": rules, "reviewed": end})
    return end is not None
