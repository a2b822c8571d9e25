"""Cron entries."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from elihu.engines.protocol.crons import CronDeclaration, CronRow, CronTable, TickJob
from elihu.engines.sqlite.insert import store
from elihu.engines.sqlite.locks import Locks
from elihu.engines.sqlite.nodes import dead_nodes
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import dump, moment, stored_time
from elihu.engines.sqlite.session import Session
from elihu.failpoints import ACTIVE, reach
from elihu.job import NewJob

_CRONS: Final = statement("crons")
_BOOTED: Final = statement("crons_booted")
_DECLARE: Final = statement("declare_crons")
_CREATE: Final = statement("create_cron")
_CHANGE: Final = statement("change_cron")
_DELETE: Final = statement("delete_cron")
_DELETE_TICKS: Final = statement("delete_cron_ticks")
_TAKE: Final = statement("fire_cron_take")
_FIRED: Final = statement("fire_cron_fired")
_TICK: Final = statement("fire_cron_tick")
_OCCURRENCE: Final = statement("fire_cron_occurrence")
_FIRE: Final = statement("fire_cron_settle")
_PRUNE: Final = statement("prune_ticks")


def crons(session: Session, locks: Locks, names: Sequence[str] | None) -> CronTable:
    booted = session.row(_BOOTED)
    wanted = None if names is None else dump(list(names))
    dead = dump(dead_nodes(session, locks))
    rows = [_cron(row) for row in session.rows(_CRONS, {"names": wanted, "dead": dead})]
    return CronTable(moment(session.now()), moment(booted[0]) if booted else None, rows)


def declare_crons(session: Session, locks: Locks, declared: Sequence[CronDeclaration]) -> None:
    with session.write():
        shared = {"now": session.now(), "dead": dump(dead_nodes(session, locks))}
        for name, values, digest in declared:
            session.execute(_DECLARE, shared | {"name": name, "declared": values, "digest": digest})


def create_cron(session: Session, name: str, changes: str, paused: bool) -> bool:
    return bool(
        session.execute(
            _CREATE, {"name": name, "changes": changes, "paused": paused, "now": session.now()}
        ).rowcount
    )


def change_cron(
    session: Session, name: str, rev: int, changes: str | None, *, paused: bool, anew: bool
) -> bool:
    values = {
        "name": name,
        "rev": rev,
        "changes": changes,
        "paused": paused,
        "anew": anew,
        "now": session.now(),
    }
    return bool(session.execute(_CHANGE, values).rowcount)


def delete_cron(session: Session, name: str, rev: int) -> bool:
    with session.write():
        deleted = bool(session.execute(_DELETE, {"name": name, "rev": rev}).rowcount)
        session.execute(_DELETE_TICKS, {"name": name})
    return deleted


def fire_cron(
    session: Session, row: CronRow, ticks: Sequence[tuple[datetime, NewJob]], until: datetime
) -> list[TickJob] | None:
    with session.write():
        values = {
            "name": row.name,
            "rev": row.rev,
            "last_tick": stored_time(row.last_tick),
            "until": stored_time(until),
        }
        if session.row(_TAKE, values) is None:
            return None
        fired = {at for (at,) in session.rows(_FIRED, values)}
        fresh = [(at, job) for at, job in ticks if stored_time(at) not in fired]
        stored = store(session, [replace(job, run_at=at) for at, job in fresh])
        for job in stored:
            if not job.conflict:
                session.execute(_OCCURRENCE, {"id": job.id})
        if ACTIVE:
            reach("inside cron")
        values |= {"now": session.now(), "fired_at": None, "job_id": None}
        for (at, _), job in zip(fresh, stored, strict=True):
            session.execute(_TICK, values | {"at": stored_time(at), "job_id": job.id})
            values |= {"fired_at": stored_time(at), "job_id": job.id}
        session.execute(_FIRE, values)
    return [TickJob(at, job.id, job.conflict) for (at, _), job in zip(fresh, stored, strict=True)]


def prune_ticks(session: Session, age: float, limit: int) -> int:
    return session.execute(_PRUNE, {"age": age, "limit": limit, "now": session.now()}).rowcount


def _cron(row: Sequence[Any]) -> CronRow:
    (
        name,
        declared,
        changes,
        paused,
        rev,
        last_tick,
        fired_at,
        job_id,
        created_at,
        updated_at,
        live,
    ) = row
    fired = None if fired_at is None else moment(fired_at)
    return CronRow(
        name,
        declared,
        changes,
        bool(paused),
        rev,
        moment(last_tick),
        fired,
        job_id,
        moment(created_at),
        moment(updated_at),
        bool(live),
    )
