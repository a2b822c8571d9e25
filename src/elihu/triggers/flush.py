"""``run_on``: the job of a record is stored in the flush that writes the record, so in
the transaction that does.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection, Engine, Insert, Result, Update, event
from sqlalchemy.orm import Mapper, ORMExecuteState, Session, object_session

from elihu.errors import InvalidTrigger
from elihu.job import NewJob
from elihu.triggers.action import check_callback
from elihu.triggers.declare import Trigger
from elihu.triggers.records import connect

logger: Final = logging.getLogger("elihu.triggers")

OPERATIONS: Final = ("insert", "update")

_statements: "Final[dict[Any, list[_Statements]]]" = {}
"""Who looks at the statements on a table."""
_seen: "Final[WeakSet[Connection]]" = WeakSet()
"""Connections whose next statements write records that SQLAlchemy tells of."""
_written: "WeakKeyDictionary[Session, list[tuple[Trigger, Any]]]" = WeakKeyDictionary()
"""What each session has written in the flush that is under way."""
_flushing: "Final[WeakKeyDictionary[Session, set[Connection]]]" = WeakKeyDictionary()
"""The connections of ``_seen`` that sessions flush through."""


def run_on(trigger: Trigger, operations: Sequence[str], when: Callable[[Any], bool] | None) -> None:
    """Store the trigger's job for each record that a session inserts or updates.
    Raises ``InvalidTrigger``.
    """
    what = f"{trigger.what}: run_on"
    if not operations or (unknown := set(operations) - set(OPERATIONS)):
        shown = ", ".join(sorted(unknown)) if operations else "nothing"
        raise InvalidTrigger(f"{what}: expected {' or '.join(OPERATIONS)}, got {shown}")
    if when is not None:
        check_callback(when, f"{what}: when", positional=1, named=frozenset())

    def note(_mapper: Mapper[Any], _connection: Any, record: Any) -> None:
        session = object_session(record)
        if session is not None and is_open(trigger) and (when is None or when(record)):
            _written.setdefault(session, []).append((trigger, record))

    def note_update(mapper: Mapper[Any], connection: Any, record: Any) -> None:
        session = object_session(record)
        if session is not None and session.is_modified(record):
            note(mapper, connection, record)

    for operation, after in (("insert", note), ("update", note_update)):
        if operation in operations:
            event.listen(trigger.model, f"before_{operation}", _begin, propagate=True)
            event.listen(trigger.model, f"after_{operation}", after, propagate=True)
    statements = _Statements(trigger, operations, when)
    event.listen(Session, "do_orm_execute", statements.run)
    if not _statements:
        event.listen(Engine, "before_execute", _look)
    _statements.setdefault(trigger.key.mapper.local_table, []).append(statements)
    if not event.contains(Session, "after_flush", _store_written):
        event.listen(Session, "after_flush", _store_written)
        event.listen(Session, "after_soft_rollback", _forget)


def is_open(trigger: Trigger) -> bool:
    """Whether the trigger belongs to an app that is not closed: its listeners stay with
    the model.
    """
    return not trigger.compiled.host.closed


def _begin(_mapper: Mapper[Any], connection: Connection, record: Any) -> None:
    session = object_session(record)
    if session is not None:
        _flushing.setdefault(session, set()).add(connection)
        _seen.add(connection)


def _end(session: Session) -> None:
    for connection in _flushing.pop(session, ()):
        _seen.discard(connection)


def _store_written(session: Session, _context: Any) -> None:
    _end(session)
    _store(session, _written.pop(session, ()))


def _store(session: Session, written: Iterable[tuple[Trigger, Any]]) -> None:
    grouped: dict[Any, list[NewJob]] = {}
    for trigger, record in written:
        place = trigger.compiled.host, connect(session, trigger.key)
        grouped.setdefault(place, []).append(trigger.build(record))
    for (host, connection), jobs in grouped.items():
        # With a synchronous connection the jobs are stored before the call returns.
        host.enqueue_many(jobs, conn=connection).close()


def _forget(session: Session, _previous: Any) -> None:
    _end(session)
    _written.pop(session, None)


def _look(connection: Connection, clause: Any, _many: Any, _parameters: Any, _options: Any) -> None:
    if isinstance(clause, Insert | Update) and connection not in _seen:
        for each in _statements.get(clause.table, ()):
            each.warn(clause)


class _Statements:
    """Sees the statements that write records past the flush of a session. Those with
    ``returning(model)`` tell which records they wrote; of others it warns once.
    """

    def __init__(
        self, trigger: Trigger, operations: Sequence[str], when: Callable[[Any], bool] | None
    ) -> None:
        self._trigger = trigger
        self._operations = operations
        self._when = when
        self._warned = False

    def run(self, state: ORMExecuteState) -> Result[Any] | None:
        """Execute the statement, and store the jobs of the records that it returns."""
        mapper = state.bind_mapper
        if (
            not self._is_meant(state.statement)
            or mapper is None
            or not issubclass(mapper.class_, self._trigger.model)
        ):
            return None
        statement: Any = state.statement
        if not statement.exported_columns:
            self.warn(statement)
            return None
        connection = connect(state.session, self._trigger.key)
        _seen.add(connection)
        try:
            result = state.invoke_statement()
        finally:
            _seen.discard(connection)
        name = mapper.class_.__name__  # SQLAlchemy's name of the column that holds records
        if name not in result.keys():  # noqa: SIM118 (a result is no dictionary)
            self.warn(statement)
            return result
        frozen = result.freeze()
        records = frozen().scalars(name).all()
        _store(
            state.session,
            ((self._trigger, each) for each in records if self._when is None or self._when(each)),
        )
        return frozen()

    def warn(self, statement: Any) -> None:
        """Say once that the records of such statements get no jobs."""
        if self._warned or not self._is_meant(statement):
            return
        self._warned = True
        logger.warning(
            "%s: run_on stores no job for rows written by insert(), update() or the bulk methods "
            "of sessions, of which SQLAlchemy tells no record: add objects to the session, use "
            "session.execute() of a statement with returning(%s), or call run()",
            self._trigger.what,
            self._trigger.model.__name__,
        )

    def _is_meant(self, statement: Any) -> bool:
        return is_open(self._trigger) and (
            (isinstance(statement, Insert) and "insert" in self._operations)
            or (isinstance(statement, Update) and "update" in self._operations)
        )
