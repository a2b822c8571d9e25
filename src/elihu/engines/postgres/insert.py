"""Storing jobs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from io import BytesIO
from typing import Any, Final

from elihu.engines.postgres.connect import Connection
from elihu.engines.postgres.connections import LOCK_TIMEOUT
from elihu.engines.postgres.errors import is_of_identifiers
from elihu.engines.postgres.rows import Row
from elihu.engines.postgres.session import Session
from elihu.engines.protocol import Inserted
from elihu.engines.replacing import Replacement, replacements
from elihu.errors import DatabaseUnavailable, DataRefused, IdentifierTaken
from elihu.job import JobState, NewJob

_ROUNDS: Final = 10
_LOCK_TIMEOUT: Final = f"{round(LOCK_TIMEOUT * 1_000)}ms"


async def insert(session: Session, jobs: Sequence[NewJob]) -> list[Inserted]:
    if not jobs:
        return []
    identifiers = [job.identifier for job in jobs if job.identifier is not None]
    if not identifiers:
        return await _insert(session, jobs)
    for _ in range(_ROUNDS):
        try:
            return await _insert(session, jobs)
        except DataRefused as error:
            if not is_of_identifiers(error):
                raise
            refusal = error
        for row in await session.fetch("insert", identifiers, part="identifiers"):
            raise IdentifierTaken(row["identifier"], holder=row["id"], state=row["state"])
        if len(set(identifiers)) < len(identifiers):
            raise refusal
    raise DatabaseUnavailable(f"insert: the identifiers changed {_ROUNDS} times in a row")


async def insert_bulk(session: Session, jobs: Sequence[NewJob]) -> int:
    """PostgreSQL: plain jobs by COPY, which costs both sides half of a statement with
    arrays.
    """
    if jobs[0].unique_key is not None:
        return await _insert_alike(session, jobs)
    lines = _copied(jobs)

    async def work(connection: Connection) -> None:
        await connection.copy_to_table(
            "job", schema_name=session.config.schema, columns=_COPIED, source=BytesIO(lines)
        )

    await session.call("insert_bulk", work)
    return len(jobs)


async def _insert_alike(session: Session, jobs: Sequence[NewJob]) -> int:
    """Arrays cost the driver most: what the jobs have in common is sent once."""
    first = jobs[0]
    values = (
        first.task, first.queue, first.priority, first.max_attempts, first.options, first.meta,
        first.tags, first.awaited, first.template, first.unique_scope, first.unique_period,
        [job.args for job in jobs], [job.unique_key for job in jobs], _LOCK_TIMEOUT,
    )  # fmt: skip
    sql = session.sql["insert_alike"]

    async def work(connection: Connection) -> int:
        status = await connection.execute(sql, *values)
        return int(status.removeprefix("INSERT 0 "))

    return await session.call("insert_bulk", work, waits=True)


def _copied(jobs: Sequence[NewJob]) -> bytes:
    """The rows in the text format of COPY. All but the arguments is made once for jobs
    that have it in common. JSON has no control characters but white space.
    """
    args = [job.args for job in jobs]
    if any("\x1f" in text for text in args):
        raise DataRefused("args: expected JSON, got a control character")
    others: dict[tuple[object, ...], str] = {}
    rows = []
    for job, text in zip(jobs, _escaped("\x1f".join(args)).split("\x1f"), strict=True):
        key = (
            job.task, job.queue, job.priority, job.max_attempts, job.awaited, job.options,
            job.meta, job.template, job.tags,
        )  # fmt: skip
        other = others.get(key)
        if other is None:
            other = others[key] = "\t".join(map(_copied_value, key)) + "\t"
        rows.append(f"{other}{text}\n")
    return "".join(rows).encode()


_COPIED: Final = [
    "task", "queue", "priority", "max_attempts", "awaited", "options", "meta", "template", "tags",
    "args",
]  # fmt: skip


def _copied_value(value: object) -> str:
    match value:
        case None:
            return "\\N"
        case tuple():
            quoted = (str(tag).replace("\\", "\\\\").replace('"', '\\"') for tag in value)
            return _escaped("{" + ",".join(f'"{tag}"' for tag in quoted) + "}")
    return _escaped(str(value))


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\\\")
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


async def _insert(session: Session, jobs: Sequence[NewJob]) -> list[Inserted]:
    first = jobs[0]
    if all(job.unique_key is None for job in jobs):
        waits = any(job.identifier is not None for job in jobs)
        rows = await (
            session.fetch("insert", *_scalars(first), part="one", waits=waits)
            if len(jobs) == 1
            else session.fetch("insert", *_columns(jobs), waits=waits)
        )
        return _plainly_stored(rows)

    async def work(connection: Connection) -> list[Inserted]:
        return await insert_unique(session, connection, jobs)

    if len(jobs) == 1 and not first.replace:
        return await session.call("insert", work, waits=True)
    return await session.transaction("insert", work)


async def insert_unique(
    session: Session, connection: Connection, jobs: Sequence[NewJob]
) -> list[Inserted]:
    """Store jobs of which some have a unique key. Several need a transaction. The
    statement sets the lock time-out, so that a single job needs none.

    A holder of a key that is gone when it is read makes room: another round.
    """
    found: dict[int, Inserted] = {}
    waiting = list(range(len(jobs)))
    for _ in range(_ROUNDS):
        sent = [jobs[place] for place in waiting]
        rows = await connection.fetch(
            session.sql["insert_unique"], *_columns(sent), *_unique_columns(sent), _LOCK_TIMEOUT
        )
        answers = list(zip(waiting, rows, strict=True))
        found.update(
            {place: _stored(row, row["ukey"]) for place, row in answers if row["id"] is not None}
        )
        if len(found) == len(jobs):
            break
        met = {place: row["ukey"] for place, row in answers if row["id"] is None}
        holders = await _holders(
            session, connection, [(key, jobs[place]) for place, key in met.items()]
        )
        found.update({place: holders[key] for place, key in met.items() if key in holders})
        waiting = [place for place in waiting if place not in found]
        if not waiting:
            break
    else:
        raise DatabaseUnavailable(f"insert: the unique keys changed {_ROUNDS} times in a row")
    return [found[place] for place in range(len(jobs))]


async def _holders(
    session: Session, connection: Connection, met: Sequence[tuple[bytes, NewJob]]
) -> dict[bytes, Inserted]:
    """The jobs that hold the keys, after the replacements that the new jobs ask for."""
    given = replacements(met)
    rows: list[Row] = []
    if given:
        rows += await connection.fetch(session.sql["insert_replace"], *_replaced_columns(given))
    if others := list({key for key, _ in met} - given.keys()):
        rows += await connection.fetch(session.sql["insert_holders"], others)
    return {
        row["unique_key"]: _stored(row, row["unique_key"], conflict=True, woken=row.get("woken"))
        for row in rows
    }


def _scalars(job: NewJob) -> tuple[Any, ...]:
    """$1 to $15 of insert_one.sql."""
    return (
        job.task, job.queue, job.priority, job.max_attempts, job.args, job.options, job.meta,
        job.tags, job.run_at, job.delay, job.hold, job.expires, job.awaited, job.template,
        job.identifier,
    )  # fmt: skip


def _columns(jobs: Sequence[NewJob]) -> list[list[Any] | None]:
    """$1 to $15 of insert.sql and insert_unique.sql: an array a column, an element a
    job.

    An array of nothing but None is sent as None: unnest reads that as NULL for each job.
    """
    return [
        [job.task for job in jobs],
        [job.queue for job in jobs],
        [job.priority for job in jobs],
        [job.max_attempts for job in jobs],
        [job.args for job in jobs],
        _unless_empty([job.options for job in jobs]),
        _unless_empty([job.meta for job in jobs]),
        _unless_empty([json.dumps(job.tags) if job.tags else None for job in jobs]),
        _unless_empty([job.run_at for job in jobs]),
        _unless_empty([job.delay for job in jobs]),
        _unless_empty([job.hold or None for job in jobs]),
        _unless_empty([job.expires for job in jobs]),
        _unless_empty([job.awaited or None for job in jobs]),
        _unless_empty([job.template for job in jobs]),
        _unless_empty([job.identifier for job in jobs]),
    ]


def _unless_empty(column: list[Any]) -> list[Any] | None:
    return None if column.count(None) == len(column) else column


def _unique_columns(jobs: Sequence[NewJob]) -> list[list[Any]]:
    """$16 to $18 of insert_unique.sql."""
    return [
        [job.unique_key for job in jobs],
        [job.unique_scope for job in jobs],
        [job.unique_period for job in jobs],
    ]


def _replaced_columns(given: Mapping[bytes, Replacement]) -> list[list[Any]]:
    """$1 to $11 of insert_replace.sql."""
    each = list(given.values())
    return [
        list(given),
        *([getattr(one, field.name) for one in each] for field in fields(Replacement)),
    ]


def _stored(
    row: Row, unique_key: bytes | None = None, *, conflict: bool = False, woken: str | None = None
) -> Inserted:
    """The job in a row that begins with id, state, inserted_at and scheduled_at."""
    key = None if unique_key is None else unique_key.hex()
    return Inserted(row[0], _STATES[row[1]], row[2], row[3], conflict, key, woken)


_STATES: Final = {state.value: state for state in JobState}


def _plainly_stored(rows: Iterable[Row]) -> list[Inserted]:
    """The answer of insert.sql: its ids ascend in the order of the jobs, its rows have
    no order.
    """
    return [
        Inserted(id_, _STATES[state], inserted_at, scheduled_at, False, None)
        for id_, state, inserted_at, scheduled_at in sorted(rows)
    ]
