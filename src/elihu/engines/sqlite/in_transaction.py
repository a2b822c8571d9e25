"""Storing and completing jobs in a caller's transaction on SQLite."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from elihu.engines.in_transaction.errors import alone, on_sqlite
from elihu.engines.in_transaction.rows import holders_of, taken, values
from elihu.engines.in_transaction.steps import Answer, Completion, Statement, Steps, Stored
from elihu.engines.protocol import Inserted
from elihu.engines.replacing import REPLACEABLE, replacements
from elihu.engines.sqlite.insert import replaced_values, row_of
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import MICROSECONDS, TEXT_ROWS, dump, moment
from elihu.job import JobState, NewJob

T = TypeVar("T")

_CLOCK: Final = Statement(statement("in_transaction_clock"))
_INSERT: Final = statement("in_transaction_insert")
_REPLACE: Final = statement("in_transaction_replace")
_HOLDERS: Final = statement("in_transaction_holders")
_IDENTIFIERS: Final = statement("in_transaction_identifiers")
_COMPLETE: Final = statement("in_transaction_complete")
_RUNS: Final = statement("in_transaction_complete_runs")
_WHY: Final = statement("in_transaction_complete_why")
_KEY: Final = 9
_TIMES: Final = slice(11, 15)


def guarded(steps: Steps[T], identifiers: Sequence[str] = ()) -> Steps[T]:
    """The same work, its failures in Elihu's words. One that fails leaves the
    transaction as it was without a savepoint: SQLite takes back the statement, and a
    savepoint outside of a transaction would begin one. Raises ``IdentifierTaken`` where
    one of ``identifiers`` stood in the way.
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


def insert(raw: Callable[[], Any], jobs: Sequence[NewJob]) -> Steps[list[Stored]]:
    """Store the jobs; those whose unique key is taken are answered with its holder.
    ``raw`` returns the connection below the caller's.
    """
    now = yield from _begin(raw)
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
    """The jobs that hold the keys, changed as those who met them want it."""
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


def complete(raw: Callable[[], Any], completion: Completion) -> Steps[Answer]:
    """Complete an attempt. ``raw`` as in ``insert``."""
    body = dump({**completion._asdict(), "now": (yield from _begin(raw))})
    done = bool((yield Statement(_COMPLETE, body)))
    if done:
        if completion.log is not None or completion.error_type is not None:
            yield Statement(_RUNS, body)
        return Answer(True, completion.installation, JobState.EXECUTING)
    ((installation, state),) = map(values, (yield Statement(_WHY, body)))
    return Answer(False, installation, state)


def _begin(raw: Callable[[], Any]) -> Steps[int]:
    """The time in microseconds; raises ``InvalidOption`` outside of a transaction. The
    clock is asked first: SQLAlchemy begins its transaction with the first statement, in
    whatever way the caller has told it to.
    """
    ((now,),) = map(values, (yield _CLOCK))
    if _commits_alone(raw()):
        raise alone()
    return int(now)


def _commits_alone(raw: Any) -> bool:
    """Whether a statement would be a transaction of its own. Python's driver begins one
    before the first INSERT, unless it is told not to: by ``isolation_level=None``, or
    from Python 3.12 on by ``autocommit=True``.
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
