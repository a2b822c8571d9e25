"""``run_on``: the job of a record is stored in the flush that writes the record, so in
the transaction that does.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.orm import Mapper, ORMExecuteState, Session, object_session

from elihu.errors import InvalidTrigger
from elihu.job import NewJob
from elihu.triggers.action import check_callback
from elihu.triggers.declare import Trigger

logger: Final = logging.getLogger("elihu.triggers")

OPERATIONS: Final = ("insert", "update")

_written: "WeakKeyDictionary[Session, list[tuple[Trigger, Any]]]" = WeakKeyDictionary()
"""What each session has written in the flush that is under way."""


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

    if "insert" in operations:
        event.listen(trigger.model, "after_insert", note, propagate=True)
    if "update" in operations:
        event.listen(trigger.model, "after_update", note_update, propagate=True)
    _warn_of_bulk(trigger, operations)
    if not event.contains(Session, "after_flush", _store):
        event.listen(Session, "after_flush", _store)
        event.listen(Session, "after_soft_rollback", _forget)


def is_open(trigger: Trigger) -> bool:
    """Whether the trigger belongs to an app that is not closed: its listeners stay with
    the model.
    """
    return not trigger.compiled.host.closed


def _store(session: Session, _context: Any) -> None:
    written = _written.pop(session, None)
    if not written:
        return
    by_host: dict[Any, list[NewJob]] = {}
    for trigger, record in written:
        by_host.setdefault(trigger.compiled.host, []).append(trigger.build(record))
    for host, jobs in by_host.items():
        # With a synchronous connection the jobs are stored before the call returns.
        host.enqueue_many(jobs, conn=session.connection()).close()


def _forget(session: Session, _previous: Any) -> None:
    _written.pop(session, None)


def _warn_of_bulk(trigger: Trigger, operations: Sequence[str]) -> None:
    warned = False

    def look(state: ORMExecuteState) -> None:
        nonlocal warned
        is_such = (state.is_insert and "insert" in operations) or (
            state.is_update and "update" in operations
        )
        mapper = state.bind_mapper
        if (
            warned
            or not is_such
            or mapper is None
            or not is_open(trigger)
            or not issubclass(mapper.class_, trigger.model)
        ):
            return
        warned = True
        logger.warning(
            "%s: run_on stores no job for rows written by insert() or update() statements, of "
            "which SQLAlchemy tells no record: add objects to the session, or call run()",
            trigger.what,
        )

    event.listen(Session, "do_orm_execute", look)
