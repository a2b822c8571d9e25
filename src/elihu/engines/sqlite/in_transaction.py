"""Jobs stored and completed in a caller's transaction."""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from elihu.clock import TEST_FILES
from elihu.config import Config
from elihu.engines.in_transaction.connections import Link
from elihu.engines.in_transaction.errors import alone, on_sqlite
from elihu.engines.in_transaction.rows import holders_of, taken, values
from elihu.engines.in_transaction.steps import Act, Answer, Completion, Statement, Steps, Stored
from elihu.engines.protocol import Inserted
from elihu.engines.replacing import REPLACEABLE, replacements
from elihu.engines.sqlite.connection import MEMORY, database_path
from elihu.engines.sqlite.insert import replaced_values, row_of
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import MICROSECONDS, TEXT_ROWS, dump, moment
from elihu.errors import WrongDatabase
from elihu.job import Job, JobState, NewJob, RunOutcome

T = TypeVar("T")

_CLOCK: Final = Statement(statement("in_transaction_clock"))
_INSERT: Final = statement("in_transaction_insert")
_REPLACE: Final = statement("in_transaction_replace")
_HOLDERS: Final = statement("in_transaction_holders")
_IDENTIFIERS: Final = statement("in_transaction_identifiers")
_COMPLETE: Final = statement("in_transaction_complete")
_RUNS: Final = statement("in_transaction_complete_runs")
_ACT_ONCE: Final = statement("in_transaction_act_once")
_UNFINISHED: Final = statement("in_transaction_unfinished")
_FORGET_ACT: Final = statement("in_transaction_forget_act")
_OCCURRENCES: Final = statement("in_transaction_occurrences")
_WHY: Final = statement("in_transaction_complete_why")
_KEY: Final = 9
_TIMES: Final = slice(11, 15)


def insert(
    link: Link, config: Config, jobs: Sequence[NewJob], *, notify: bool
) -> Steps[list[Stored]]:
    """Store the jobs. A job whose unique key is taken is answered with its holder.
    SQLite: every commit is noticed, with and without ``notify``.
    """
    identifiers = [job.identifier for job in jobs if job.identifier is not None]
    return _translated(_insert(link, config, jobs), identifiers)


def complete(
    link: Link, config: Config, completions: Sequence[Completion], *, known: bool
) -> Steps[list[Answer]]:
    """Complete attempts. ``known``: without a look at the file and the clock."""
    return _translated(_complete(link, config, completions, known=known))


def _translated(steps: Steps[T], identifiers: Sequence[str] = ()) -> Steps[T]:
    """The same work, with the errors of Elihu.

    A failure leaves the transaction as it was without a savepoint, since SQLite undoes
    the statement. A savepoint outside of a transaction would begin one. Raises
    ``IdentifierTaken`` where a stored job has one of ``identifiers``.
    """
    try:
        return (yield from steps)
    except Exception as error:
        if (
            identifiers
            and "job.identifier" in str(error)
            and (holder := taken((yield Statement(_IDENTIFIERS, dump(identifiers)))))
        ):
            raise holder from error
        meaning = on_sqlite(error)
        if meaning is error:
            raise
        raise meaning from error


def _insert(link: Link, config: Config, jobs: Sequence[NewJob]) -> Steps[list[Stored]]:
    now = yield from _begin(link, config)
    rows = [row_of(job, now / MICROSECONDS) for job in jobs]
    inserted = sorted(
        map(values, (yield Statement(_INSERT, dump([_in_microseconds(row) for row in rows]))))
    )
    plain = deque(id_ for id_, key in inserted if key is None)
    keyed = {key: id_ for id_, key in inserted if key is not None}
    answers: list[Stored | None] = []
    for row in rows:
        id_ = plain.popleft() if row[_KEY] is None else keyed.pop(row[_KEY], None)
        answers.append(None if id_ is None else _stored(id_, row))
    met = [
        (row[_KEY], job)
        for row, job, answer in zip(rows, jobs, answers, strict=True)
        if answer is None
    ]
    holders = (yield from _holders(met, now)) if met else {}
    return [answer or holders[row[_KEY]] for row, answer in zip(rows, answers, strict=True)]


def _holders(met: Sequence[tuple[str, NewJob]], now: int) -> Steps[dict[str, Stored]]:
    """The jobs that hold the keys, with the changes of ``on_conflict`` applied."""
    keys = Statement(_HOLDERS, dump(sorted({key for key, _ in met})))
    holders = holders_of((yield keys), TEXT_ROWS)
    waiting = {
        key: one for key, one in replacements(met).items() if holders[key].row.state in REPLACEABLE
    }
    if not waiting:
        return holders
    changes = [
        replaced_values(holders[key].row.id, one, now / MICROSECONDS) | {"now": now}
        for key, one in waiting.items()
    ]
    yield Statement(_REPLACE, dump(changes))
    return holders_of((yield keys), TEXT_ROWS)


def act_once(link: Link, config: Config, act: Act) -> Steps[set[bytes]]:
    """Write that a trigger acts on records."""
    return _translated(_act_once(link, config, act))


def unfinished(link: Link, config: Config, after: int) -> Steps[list[Job]]:
    """The first jobs above an id that have not ended."""
    return _translated(_unfinished(config, after))


def _unfinished(config: Config, after: int) -> Steps[list[Job]]:
    yield from _clock(config)
    rows = yield Statement(_UNFINISHED, dump([after]))
    return [TEXT_ROWS.job(values(row)) for row in rows]


def _act_once(link: Link, config: Config, act: Act) -> Steps[set[bytes]]:
    now = yield from _begin(link, config)
    digests = [digest.hex() for digest in act.digests]
    body = dump({**act._asdict(), "digests": digests, "now": now})
    return {bytes.fromhex(digest) for (digest,) in map(values, (yield Statement(_ACT_ONCE, body)))}


def forget_act(link: Link, config: Config, act: Act) -> Steps[None]:
    """Take back what ``act_once`` wrote in this transaction."""
    return _translated(_forget_act(act))


def _forget_act(act: Act) -> Steps[None]:
    body = {"trigger": act.trigger, "digests": [digest.hex() for digest in act.digests]}
    yield Statement(_FORGET_ACT, dump(body))


def set_occurrences(link: Link, config: Config, times: Mapping[int, datetime]) -> Steps[None]:
    """Set the occurrences of jobs, by id."""
    return _translated(_set_occurrences(times))


def _set_occurrences(times: Mapping[int, datetime]) -> Steps[None]:
    given = [{"id": id_, "at": round(at.timestamp() * MICROSECONDS)} for id_, at in times.items()]
    yield Statement(_OCCURRENCES, dump(given))


def _complete(
    link: Link, config: Config, completions: Sequence[Completion], *, known: bool
) -> Steps[list[Answer]]:
    now = None if known else (yield from _begin(link, config))
    bodies = {each.id: {**each._asdict(), "now": now} for each in completions}
    done = {id_ for (id_,) in map(values, (yield Statement(_COMPLETE, dump([*bodies.values()]))))}
    answers = {each.id: Answer(True, each.installation, JobState.EXECUTING) for each in completions}
    if with_runs := [bodies[each.id] for each in completions if each.id in done and _has_run(each)]:
        yield Statement(_RUNS, dump(with_runs))
    if missing := [body for id_, body in bodies.items() if id_ not in done]:
        rows = map(values, (yield Statement(_WHY, dump(missing))))
        answers |= {id_: Answer(False, here, state) for here, id_, state in rows}
    return [answers[each.id] for each in completions]


def _has_run(completion: Completion) -> bool:
    return (
        completion.log is not None
        or completion.error_type is not None
        or completion.outcome != RunOutcome.COMPLETED
    )


def _begin(link: Link, config: Config) -> Steps[int]:
    """The time in microseconds. The clock is read first, since SQLAlchemy begins its
    transaction with the first statement.

    Raises ``WrongDatabase`` for another file than that of the jobs, and
    ``InvalidOption`` outside of a transaction.
    """
    now = yield from _clock(config)
    if _commits_alone(link.raw_sqlite()):
        raise alone()
    return now


def _clock(config: Config) -> Steps[int]:
    """The time in microseconds. Raises ``WrongDatabase`` for another file than that of
    the jobs. An app whose jobs are in memory, as those of a test are, has no file to
    compare.
    """
    ((now, file),) = map(values, (yield _CLOCK))
    if config.database_url == MEMORY:
        return int(now)
    expected = database_path(config.database_url)
    _check_file(file, expected)
    test_clock = TEST_FILES.get(expected)
    return int(now) if test_clock is None else round(test_clock() * MICROSECONDS)


def _check_file(file: str | None, expected: Path) -> None:
    if file and (os.path.realpath(file) == str(expected) or _is_same(Path(file), expected)):
        return
    got = f"one to {file}" if file else "one to a database in memory"
    raise WrongDatabase(
        f"conn: expected a connection to {expected}, where the jobs of this app are, got {got}"
    )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except FileNotFoundError:
        return False


def _commits_alone(raw: Any) -> bool:
    """Whether a statement would be a transaction of its own. Python's driver begins one
    before the first INSERT, except with ``isolation_level=None`` and, from Python 3.12
    on, with ``autocommit=True``.
    """
    if raw.in_transaction:
        return False
    autocommit = getattr(raw, "autocommit", None)
    return autocommit if isinstance(autocommit, bool) else raw.isolation_level is None


def _in_microseconds(row: tuple[Any, ...]) -> list[Any]:
    values = list(row)
    values[_TIMES] = [None if time is None else round(time * MICROSECONDS) for time in row[_TIMES]]
    return values


def _stored(id_: int, row: tuple[Any, ...]) -> Stored:
    return Stored(
        Inserted(id_, JobState(row[0]), moment(row[11]), moment(row[12]), False, row[_KEY])
    )
