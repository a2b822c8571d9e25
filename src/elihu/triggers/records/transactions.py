"""What a trigger does inside a transaction: lock the record, check its condition, and
keep the action from committing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Connection, Engine, Select, delete, event, false, select
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from elihu.errors import ActionCommitted
from elihu.triggers.records.keys import RecordKey

_GUARDED: Final = "elihu.trigger"
"""The key in a session's ``info`` that holds the trigger whose action may not commit."""

_files: "WeakKeyDictionary[Engine, Path | None]" = WeakKeyDictionary()
"""The file of each engine of SQLite."""


def begin_writing(connection: Connection, key: RecordKey) -> Path | None:
    """On SQLite, take the write lock before anything is read, and return the file that
    it belongs to. A transaction that reads first and writes later fails there when
    another one has written in between.
    """
    if connection.dialect.name != "sqlite":
        return None
    raw: Any = connection.connection.driver_connection
    if getattr(raw, "in_transaction", False):
        connection.execute(delete(key.mapper.local_table).where(false()))
    elif hasattr(raw, "execute_fetchall"):  # one call of aiosqlite's thread in place of three
        await_only(raw.execute_fetchall("BEGIN IMMEDIATE"))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    if connection.engine not in _files:
        name = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
        _files[connection.engine] = Path(name).resolve() if name else None
    return _files[connection.engine]


def locked(
    key: RecordKey,
    base: Callable[[], Select[Any]] | None,
    conditions: Sequence[ColumnElement[bool]],
    *,
    lock: bool,
) -> Select[Any]:
    """The SELECT of the records that still match, locked for the transaction; in the
    order of their keys, so that two transactions cannot wait for each other.
    """
    statement = base() if base else select(key.model)
    statement = statement.where(*conditions).order_by(None).order_by(*key.attributes)
    return statement.with_for_update(of=key.model) if lock else statement


def still_matches(
    session: Session,
    key: RecordKey,
    conditions: Sequence[ColumnElement[bool]],
    stored: Sequence[Any],
) -> bool:
    """Lock one record at the end of an action without a lock, and return whether its
    row in the database, without what the action changed, still matches.
    """
    statement = select(*key.attributes).where(key.equals(stored), *conditions)
    with session.no_autoflush:
        return session.execute(statement.with_for_update(of=key.model)).first() is not None


@contextmanager
def no_commit(session: Session, what: str) -> Iterator[Callable[[], None]]:
    """Raise ``ActionCommitted`` when the action itself commits or rolls back; the
    callable yielded allows the commit. A savepoint is free.
    """
    root = session.get_transaction()
    session.info[_GUARDED] = what
    try:
        yield lambda: session.info.pop(_GUARDED)
    except Exception as error:
        if session.get_transaction() is not root and not isinstance(error, ActionCommitted):
            raise transaction_ended(what) from error
        raise
    finally:
        session.info.pop(_GUARDED, None)
    if session.get_transaction() is not root:
        raise transaction_ended(what)


def _refuse_commit(session: Session) -> None:
    what = session.info.get(_GUARDED)
    if what is not None and session.get_nested_transaction() is None:
        raise ActionCommitted(
            f"{what}: expected the action to leave the commit to the trigger, got "
            "session.commit(): remove it, or use session.begin_nested()"
        )


# One listener for all sessions: to add one to each costs more than the action's statements.
event.listen(Session, "before_commit", _refuse_commit)


def transaction_ended(what: str) -> ActionCommitted:
    """The error for an action after which another transaction runs, or none."""
    return ActionCommitted(
        f"{what}: expected the action to leave the transaction to the trigger, got one that it "
        "ended: use session.begin_nested() for a part that may fail"
    )


def before_first_write(session: Session, check: Callable[[], None]) -> None:
    """Call ``check`` once, before the session first flushes or executes a statement that
    may write.
    """
    checked = False

    def once() -> None:
        nonlocal checked
        if not checked:
            checked = True
            check()

    event.listen(session, "before_flush", lambda *_flush: once())
    event.listen(session, "do_orm_execute", lambda state: None if state.is_select else once())
