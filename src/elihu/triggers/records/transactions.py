"""What a trigger does inside a transaction: lock the record, check its condition, and
keep the action from committing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, event, false, select
from sqlalchemy.orm import Session

from elihu.errors import ActionCommitted
from elihu.triggers.records.keys import RecordKey


def begin_writing(session: Session, key: RecordKey) -> Path | None:
    """On SQLite, take the write lock before anything is read, and return the file that
    it belongs to. A transaction that reads first and writes later fails there when
    another one has written in between.
    """
    connection = session.connection()
    if connection.dialect.name != "sqlite":
        return None
    raw = connection.connection.driver_connection
    if getattr(raw, "in_transaction", False):
        session.execute(delete(key.mapper.local_table).where(false()))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    name = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
    return Path(name).resolve() if name else None


def locked(
    key: RecordKey,
    base: Callable[[], Select[Any]] | None,
    conditions: Sequence[ColumnElement[bool]],
    stored: Sequence[Sequence[Any]],
    *,
    lock: bool,
) -> Select[Any]:
    """The SELECT of the records with these keys that still match, locked for the
    transaction; in the order of their keys, so that two transactions cannot wait for
    each other.
    """
    statement = base() if base else select(key.model)
    statement = statement.where(key.among(stored), *conditions).order_by(None)
    statement = statement.order_by(*key.attributes)
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
    allowed = False

    def allow() -> None:
        nonlocal allowed
        allowed = True

    def refuse_commit(current: Session) -> None:
        if not allowed and current.get_nested_transaction() is None:
            raise ActionCommitted(
                f"{what}: expected the action to leave the commit to the trigger, got "
                "session.commit(): remove it, or use session.begin_nested()"
            )

    root = session.get_transaction()
    event.listen(session, "before_commit", refuse_commit)
    try:
        yield allow
    except Exception as error:
        if session.get_transaction() is not root and not isinstance(error, ActionCommitted):
            raise _ended(what) from error
        raise
    finally:
        event.remove(session, "before_commit", refuse_commit)
    if session.get_transaction() is not root:
        raise _ended(what)


def _ended(what: str) -> ActionCommitted:
    return ActionCommitted(
        f"{what}: expected the action to leave the transaction to the trigger, got one that it "
        "ended: use session.begin_nested() for a part that may fail"
    )


def before_first_flush(session: Session, check: Callable[[], None]) -> None:
    """Call ``check`` once, before the session first writes."""
    checked = False

    def once(_session: Session, _context: Any, _instances: Any) -> None:
        nonlocal checked
        if not checked:
            checked = True
            check()

    event.listen(session, "before_flush", once)
