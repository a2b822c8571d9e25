"""Jobs stored and completed in a caller's transaction."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, TypeVar

from elihu.config import Config
from elihu.engines.in_transaction.connections import Link
from elihu.engines.in_transaction.errors import first_line, on_postgres, sqlstate
from elihu.engines.in_transaction.rows import holders_of, taken, values
from elihu.engines.in_transaction.steps import (
    Act,
    Answer,
    Completion,
    Statement,
    Steps,
    Stored,
    are_plain,
)
from elihu.engines.postgres.channel import channel_of
from elihu.engines.postgres.queries import queries
from elihu.engines.postgres.rows import TEXT_ROWS
from elihu.engines.postgres.url import database_name
from elihu.engines.protocol import Inserted
from elihu.engines.replacing import replacements
from elihu.engines.rows import from_microseconds
from elihu.engines.sqlstates import NO_TABLES
from elihu.errors import DatabaseUnavailable, ElihuError, SchemaOutdated, WrongDatabase
from elihu.job import Job, JobState, NewJob

T = TypeVar("T")

ROUNDS: Final = 10
_SAVE: Final = Statement("SAVEPOINT elihu")
_FORGET: Final = Statement("RELEASE SAVEPOINT elihu")
_GO_BACK: Final = Statement("ROLLBACK TO SAVEPOINT elihu")
_DATABASE: Final = Statement("SELECT current_database()::text")


def insert(
    link: Link, config: Config, jobs: Sequence[NewJob], *, notify: bool
) -> Steps[list[Stored]]:
    """Store the jobs. A job whose unique key is taken is answered with its holder.

    Without ``notify``, and in a transaction of two-phase commit, which must not notify,
    the stager announces the queues.
    """
    identifiers = [job.identifier for job in jobs if job.identifier is not None]
    loud = notify and not link.is_two_phase()
    return _saved(_insert(config.schema, jobs, notify=loud), config, identifiers)


def complete(
    link: Link, config: Config, completions: Sequence[Completion], *, known: bool
) -> Steps[list[Answer]]:
    """Complete attempts. ``known``: without a savepoint."""
    channel = None if link.is_two_phase() else channel_of(config.schema)
    steps = _complete(config.schema, completions, channel)
    return _translated(steps, config.schema) if known else _saved(steps, config)


def _translated(steps: Steps[T], schema: str) -> Steps[T]:
    """The same work, with the errors of Elihu."""
    try:
        return (yield from steps)
    except Exception as error:
        meaning = on_postgres(error, schema)
        if meaning is error:
            raise
        raise meaning from error


def act_once(link: Link, config: Config, act: Act) -> Steps[set[bytes]]:
    """Write that a trigger acts on records."""
    return _saved(_act_once(config.schema, act), config)


def unfinished(link: Link, config: Config, after: int) -> Steps[list[Job]]:
    """The first jobs above an id that have not ended."""
    return _translated(_unfinished(config.schema, after), config.schema)


def _unfinished(schema: str, after: int) -> Steps[list[Job]]:
    rows = yield Statement(queries(schema)["in_transaction_unfinished"], _dump([after]))
    return [TEXT_ROWS.job(values(row)) for row in rows]


def forget_act(link: Link, config: Config, act: Act) -> Steps[None]:
    """Take back what ``act_once`` wrote in this transaction."""
    return _saved(_forget_act(config.schema, act), config)


def set_occurrences(link: Link, config: Config, times: Mapping[int, datetime]) -> Steps[None]:
    """Set the occurrences of jobs, by id."""
    return _saved(_set_occurrences(config.schema, times), config)


def _set_occurrences(schema: str, times: Mapping[int, datetime]) -> Steps[None]:
    given = [{"id": id_, "at": at.isoformat()} for id_, at in times.items()]
    yield Statement(queries(schema)["in_transaction_occurrences"], _dump(given))


def _act_once(schema: str, act: Act) -> Steps[set[bytes]]:
    sql = queries(schema)["in_transaction_act_once"]
    ((_, digests),) = map(values, (yield Statement(sql, _written(act))))
    return {bytes.fromhex(digest) for digest in digests}


def _forget_act(schema: str, act: Act) -> Steps[None]:
    yield Statement(queries(schema)["in_transaction_forget_act"], _written(act))


def _written(act: Act) -> str:
    return _dump({**act._asdict(), "digests": [digest.hex() for digest in act.digests]})


def _saved(steps: Steps[T], config: Config, identifiers: Sequence[str] = ()) -> Steps[T]:
    """The same work inside a savepoint, so that a failure leaves the caller's transaction
    as it was.

    Every driver and pooler refuses a savepoint outside of a transaction. So no
    transaction is begun on the caller's connection, and none is mistaken for one. Raises
    ``IdentifierTaken`` where a stored job has one of ``identifiers``.
    """
    schema, database = config.schema, None
    try:
        yield _SAVE
        try:
            result = yield from steps
        except Exception as error:
            holder = None
            with suppress(Exception):  # the caller should get the first error
                yield _GO_BACK
                if sqlstate(error) in NO_TABLES:
                    ((database,),) = yield _DATABASE
                if identifiers and '"job_identifier"' in first_line(error):
                    holder = taken(
                        (
                            yield Statement(
                                queries(schema)["in_transaction_identifiers"], _dump(identifiers)
                            )
                        )
                    )
                yield _FORGET
            if holder is not None:
                raise holder from error
            raise
        yield _FORGET
    except Exception as error:
        meaning = on_postgres(error, schema)
        if isinstance(meaning, SchemaOutdated) and database is not None:
            meaning = _without_tables(config, database, meaning)
        if meaning is error:
            raise
        raise meaning from error
    return result


def _without_tables(config: Config, database: str, error: SchemaOutdated) -> ElihuError:
    expected = database_name(config.database_url)
    if expected == database:
        return error
    return WrongDatabase(
        f'conn: expected a connection to database "{expected}", where the jobs of this app are, '
        f'got one to database "{database}", which has no tables of Elihu in schema '
        f'"{config.schema}"'
    )


def _insert(schema: str, jobs: Sequence[NewJob], *, notify: bool) -> Steps[list[Stored]]:
    """A holder that is gone when it is read makes room: another round."""
    sql = queries(schema)
    found: dict[int, Stored] = {}
    waiting = list(range(len(jobs)))
    channel = channel_of(schema) if notify else None
    for _ in range(ROUNDS):
        rows = yield Statement(
            sql["in_transaction_insert"],
            _dump({"channel": channel, "jobs": [_record(jobs[place], place) for place in waiting]}),
        )
        met: dict[int, str] = {}
        for place, (id_, state, inserted_at, scheduled_at, key) in zip(
            waiting, map(values, rows), strict=True
        ):
            if id_ is None:
                met[place] = key
            else:
                found[place] = Stored(
                    Inserted(
                        id_,
                        JobState(state),
                        from_microseconds(inserted_at),
                        from_microseconds(scheduled_at),
                        False,
                        key,
                    )
                )
        if not met:
            break
        if given := _replacements([(key, jobs[place]) for place, key in met.items()]):
            yield Statement(
                sql["in_transaction_replace"], _dump({"channel": channel, "jobs": given})
            )
        holders = holders_of(
            (yield Statement(sql["in_transaction_holders"], _dump(sorted(set(met.values()))))),
            TEXT_ROWS,
        )
        found |= {place: holders[key] for place, key in met.items() if key in holders}
        waiting = [place for place in waiting if place not in found]
        if not waiting:
            break
    else:
        raise DatabaseUnavailable(
            f"conn: expected unique keys to stay as they are, got {ROUNDS} changes in a row"
        )
    return [found[place] for place in range(len(jobs))]


def _complete(
    schema: str, completions: Sequence[Completion], channel: str | None
) -> Steps[list[Answer]]:
    answers: dict[int, Answer] = {}
    if are_plain(completions):
        answers = yield from _complete_plainly(schema, completions, channel)
    if missing := [each for each in completions if each.id not in answers]:
        answers |= yield from _complete_any(schema, missing, channel)
    return [answers[each.id] for each in completions]


def _complete_plainly(
    schema: str, completions: Sequence[Completion], channel: str | None
) -> Steps[dict[int, Answer]]:
    """The answers for those whose ends were written."""
    first = completions[0]
    body = {
        "ids": "{" + ",".join(str(each.id) for each in completions) + "}",
        "claims": {str(each.id): each.claim for each in completions},
        "node": first.node,
        "installation": first.installation,
        "value": first.value,
        "wanted": first.wanted,
        "channel": channel,
    }
    sql = queries(schema)["in_transaction_complete_plain"]
    answer = Answer(True, first.installation, JobState.EXECUTING)
    return {id_: answer for id_, _ in map(values, (yield Statement(sql, _dump(body))))}


def _complete_any(
    schema: str, completions: Sequence[Completion], channel: str | None
) -> Steps[dict[int, Answer]]:
    body = [{**each._asdict(), "channel": channel} for each in completions]
    ((installation, ends, _),) = map(
        values, (yield Statement(queries(schema)["in_transaction_complete"], _dump(body)))
    )
    return {id_: Answer(done, installation, state) for id_, state, done in ends}


def _replacements(met: Sequence[tuple[str, NewJob]]) -> list[dict[str, Any]]:
    loud = {key for key, job in met if job.notify}
    return [
        {
            **asdict(one),
            "run_at": None if one.run_at is None else one.run_at.isoformat(),
            "key": key,
            "notify": key in loud,
        }
        for key, one in replacements(met).items()
    ]


def _record(job: NewJob, place: int) -> dict[str, Any]:
    return {
        "ord": place,
        "task": job.task,
        "queue": job.queue,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "args": job.args,
        "options": job.options,
        "meta": job.meta,
        "tags": job.tags,
        "run_at": None if job.run_at is None else job.run_at.isoformat(),
        "delay": job.delay,
        "hold": job.hold,
        "expires": job.expires,
        "awaited": job.awaited,
        "template": job.template,
        "identifier": job.identifier,
        "digest": None if job.unique_key is None else job.unique_key.hex(),
        "scope": job.unique_scope,
        "period": job.unique_period,
        "notify": job.notify,
    }


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
