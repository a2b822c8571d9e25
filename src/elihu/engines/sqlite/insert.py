"""Storing jobs."""

import json
from collections.abc import Mapping, Sequence
from math import floor
from typing import Any, Final

from elihu.engines.protocol import Inserted, Signal, SignalKind, queues_to_announce
from elihu.engines.replacing import REPLACEABLE, Replacement, replacements
from elihu.engines.sqlite.datagrams import Datagrams
from elihu.engines.sqlite.queries import LARGEST, flat, portions, statement, with_rows
from elihu.engines.sqlite.rows import MICROSECONDS, dump, moment, nearest, stored_time
from elihu.engines.sqlite.session import Session
from elihu.errors import IdentifierTaken
from elihu.job import JobState, NewJob

KEPT: Final = 30 * 86_400.0
"""Seconds to keep a job whose uniqueness covers finished jobs and has no period."""

DIGEST: Final = 32
"""Bytes of a unique key. A job of another database has the number of its window in 8
more.
"""

_INSERT: Final = statement("insert")
_INSERT_ALIKE: Final = statement("insert_alike")
_HOLDERS: Final = statement("insert_holders")
_REPLACE: Final = statement("insert_replace")
_IDENTIFIERS: Final = statement("insert_identifiers")
_WIDTH: Final = 18
_ARGS, _KEY, _IDENTIFIER = 5, 9, 17


def insert_and_announce(
    session: Session, jobs: Sequence[NewJob], datagrams: Datagrams
) -> list[Inserted]:
    """SQLite: announced in the thread that committed, since the event loop hears of the
    commit a moment later.
    """
    stored = insert(session, jobs) if jobs else []
    signals = [Signal(SignalKind.JOBS, queue) for queue in queues_to_announce(jobs, stored)]
    if signals and datagrams.send_first(signals):
        return [row._replace(announced=True) for row in stored]
    return stored


def insert(session: Session, jobs: Sequence[NewJob]) -> list[Inserted]:
    if (
        len(jobs) <= LARGEST
        and len(jobs).bit_count() == 1
        and all(job.unique_key is None and job.identifier is None for job in jobs)
    ):
        now = session.now()
        return _store(session, [row_of(job, now) for job in jobs])
    with session.write():
        return store(session, jobs)


def insert_bulk(session: Session, jobs: Sequence[NewJob]) -> int:
    with session.write():
        now = session.now()
        if jobs[0].unique_key is not None:
            return _store_alike(session, jobs, now)
        for portion in portions([row_of(job, now) for job in jobs]):
            session.execute(with_rows(_INSERT, len(portion), _WIDTH), flat(portion))
    return len(jobs)


def _store_alike(session: Session, jobs: Sequence[NewJob], now: float) -> int:
    first = row_of(jobs[0], now)
    same = [value for place, value in enumerate(first) if place not in {_ARGS, _KEY}]
    own = [(job.args, _unique(job, now)[0]) for job in jobs]
    return sum(
        session.execute(with_rows(_INSERT_ALIKE, len(portion), 2), same + flat(portion)).rowcount
        for portion in portions(own)
    )


def store(session: Session, jobs: Sequence[NewJob]) -> list[Inserted]:
    """``insert`` inside the caller's transaction."""
    now = session.now()
    rows = [row_of(job, now) for job in jobs]
    if all(job.unique_key is None for job in jobs):
        _check_identifiers(session, rows)
        return _store(session, rows)
    return _store_unique(session, jobs, rows, now)


def _check_identifiers(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    """SQLite: checked under the write lock, so no other connection can store the same
    identifier meanwhile.
    """
    identifiers = [row[_IDENTIFIER] for row in rows if row[_IDENTIFIER] is not None]
    if identifiers and (found := session.row(_IDENTIFIERS, {"identifiers": dump(identifiers)})):
        holder, state, identifier = found
        raise IdentifierTaken(identifier, holder=holder, state=state)


def _store(session: Session, rows: Sequence[tuple[Any, ...]]) -> list[Inserted]:
    stored: list[Inserted] = []
    for portion in portions(rows):
        cursor = session.execute(with_rows(_INSERT, len(portion), _WIDTH), flat(portion))
        assert cursor.lastrowid is not None
        first = cursor.lastrowid - len(portion) + 1
        stored += [_inserted(first + offset, row) for offset, row in enumerate(portion)]
    return stored


def _store_unique(
    session: Session, jobs: Sequence[NewJob], rows: Sequence[tuple[Any, ...]], now: float
) -> list[Inserted]:
    holders = _holders(session, {row[_KEY] for row in rows if row[_KEY] is not None})
    fresh: list[tuple[Any, ...]] = []
    keys = set(holders)
    for row in rows:
        if row[_KEY] is None or row[_KEY] not in keys:
            fresh.append(row)
            keys.add(row[_KEY])
    _check_identifiers(session, fresh)
    answers: list[Inserted] = []
    stored = iter(_store(session, fresh))
    for row in rows:
        if row[_KEY] is None:
            answers.append(next(stored))
        elif row[_KEY] in holders:
            answers.append(holders[row[_KEY]])
        else:
            answers.append(next(stored))
            holders[row[_KEY]] = answers[-1]._replace(conflict=True)
    given = replacements(
        (row[_KEY], job)
        for job, row, answer in zip(jobs, rows, answers, strict=True)
        if answer.conflict
    )
    if given:
        changed = _replaced(session, given, holders, now)
        answers = [
            changed.get(answer.unique_key, answer) if answer.conflict else answer
            for answer in answers
        ]
    return answers


def _replaced(
    session: Session, given: Mapping[str, Replacement], holders: Mapping[str, Inserted], now: float
) -> dict[str | None, Inserted]:
    """The changed holders by key. Only waiting ones are changed."""
    waiting = {key: one for key, one in given.items() if holders[key].state in REPLACEABLE}
    session.execute(
        _REPLACE,
        {
            "given": dump(
                [replaced_values(holders[key].id, one, now) for key, one in waiting.items()]
            ),
            "now": now,
        },
    )
    return {
        key: holder._replace(woken=queue if holder.state is JobState.AVAILABLE else None)
        for key, (holder, queue) in _looked_up(session, set(waiting)).items()
    }


def replaced_values(job_id: int, one: Replacement, now: float) -> dict[str, Any]:
    """The values of insert_replace.sql for a job."""
    at = stored_time(one.run_at) if one.run_at is not None else now + (one.delay or 0.0)
    values = {"id": job_id, "at": round(at * MICROSECONDS) if one.moved else None}
    if one.moved and one.expires is not None:
        values["expires_at"] = round((at + one.expires) * MICROSECONDS)
    return values | {
        name: getattr(one, name)
        for name in ("args", "queue", "priority", "max_attempts", "tags", "meta")
    }


def _holders(session: Session, keys: set[str]) -> dict[str, Inserted]:
    return {key: holder for key, (holder, _) in _looked_up(session, keys).items()}


def _looked_up(session: Session, keys: set[str]) -> dict[str, tuple[Inserted, str]]:
    """The jobs that hold the keys, with their queues."""
    (found,) = session.row(_HOLDERS, {"keys": dump(sorted(keys))})
    return {
        key: (
            Inserted(
                id_,
                JobState(state),
                moment(inserted / MICROSECONDS),
                moment(scheduled / MICROSECONDS),
                True,
                key,
            ),
            queue,
        )
        for key, id_, state, inserted, scheduled, queue in json.loads(found)
    }


def row_of(job: NewJob, now: float) -> tuple[Any, ...]:
    """The values of insert.sql for this job, stored at ``now``."""
    at = stored_time(job.run_at) if job.run_at is not None else nearest(now + (job.delay or 0.0))
    state = (
        JobState.SUSPENDED if job.hold else JobState.SCHEDULED if at > now else JobState.AVAILABLE
    )
    key, keep_until = _unique(job, now)
    return (
        state.value, job.queue, job.task, job.priority, job.max_attempts, job.args, job.options,
        job.meta, dump(job.tags) if job.tags else "[]", key, job.unique_scope, now, at, keep_until,
        None if job.expires is None else nearest(at + job.expires), int(job.awaited),
        job.template, job.identifier,
    )  # fmt: skip


def _unique(job: NewJob, now: float) -> tuple[str | None, float | None]:
    """The stored key, which ends in the number of the period, and the time until which
    the job is kept for it.
    """
    if job.unique_key is None:
        return None, None
    key = job.unique_key[:DIGEST].hex()
    until = now + KEPT
    if moved := job.unique_key[DIGEST:]:
        key = f"{key}:{int.from_bytes(moved, signed=True)}"
    if job.unique_period is not None:
        window = floor(now / job.unique_period)
        key = f"{key}:{window}"
        until = (window + 1) * job.unique_period
    return key, until if job.unique_scope else None


def _inserted(id_: int, row: tuple[Any, ...]) -> Inserted:
    inserted_at = moment(row[11])
    scheduled_at = inserted_at if row[12] == row[11] else moment(row[12])
    return Inserted(id_, JobState(row[0]), inserted_at, scheduled_at, False, row[_KEY])
