"""What the rules of all rows that people edit share: find, lock, check, page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import InvalidFields, NameTaken, RecordChanged, RecordNotFound
from elihu.commands.models import Base, Kept, Named
from elihu.orm.sessions import now

R = TypeVar("R", bound=Base)
T = TypeVar("T")
LONGEST_PAGE: Final = 1_000
_ACROSS_ROWS: Final = 0x656C696875  # of advisory locks, "elihu" in ASCII


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and what to give as ``after`` for those that follow; None at the end."""

    items: Sequence[T]
    next: UUID | None


async def find(session: AsyncSession, model: type[R], record_id: UUID, kind: str) -> R:
    """The row with this id. Raises ``RecordNotFound``."""
    found = await session.get(model, record_id)
    if found is None:
        raise RecordNotFound(kind, record_id)
    return found


async def lock(
    session: AsyncSession,
    model: type[R],
    record_id: UUID,
    kind: str,
    version: int | None = None,
) -> R:
    """The row with this id, locked for a change. With ``version`` it must be that.
    Raises ``RecordNotFound`` and ``RecordChanged``.
    """
    found = await session.get(
        model, record_id, with_for_update={"key_share": True}, populate_existing=True
    )
    if found is None:
        raise RecordNotFound(kind, record_id)
    stored: int | None = getattr(found, "version", None)
    if version is not None and stored is not None and stored != version:
        raise RecordChanged(kind, record_id, expected=version, version=stored)
    return found


async def add(session: AsyncSession, record: Base, kind: str) -> None:
    """Store a new row. Raises ``NameTaken``."""
    moment = await now(session)
    if isinstance(record, Kept):
        record.created_at = record.updated_at = moment
        record.version = 1
    if hasattr(record, "active_since"):
        record.active_since = moment
    session.add(record)
    await flush(session, record, kind)


async def change(
    session: AsyncSession, record: Kept, values: Mapping[str, Any], kind: str
) -> datetime:
    """Write values into a locked row, and return the time of the change. A row that is
    enabled begins to count then. Raises ``NameTaken``.
    """
    moment = await now(session)
    if values.get("enabled") and not getattr(record, "enabled", True):
        setattr(record, "active_since", moment)  # noqa: B010 (not every model has it)
    for name, value in values.items():
        setattr(record, name, value)
    record.version += 1
    record.updated_at = moment
    assert isinstance(record, Base)
    await flush(session, record, kind)
    return moment


async def flush(session: AsyncSession, record: Base, kind: str) -> None:
    """Write to the database now. Raises ``NameTaken`` for a name in use."""
    try:
        await session.flush()
    except IntegrityError as error:
        if isinstance(record, Named) and "name_key" in str(error.orig):
            raise NameTaken(
                ("name", f"expected a name that is free, got that of another {kind}")
            ) from error
        raise


async def page(
    session: AsyncSession,
    statement: Select[Any],
    model: type[Any],
    *,
    after: UUID | None,
    limit: int,
) -> Page[R]:
    """At most ``limit`` (1 to 1,000) rows that follow ``after``, in the order of their
    insertion. Raises ``InvalidFields``.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LONGEST_PAGE:
        raise InvalidFields(
            ("limit", f"expected a whole number from 1 to {LONGEST_PAGE:,}, got {limit!r}")
        )
    if after is not None:
        statement = statement.where(model.id > after)
    statement = statement.order_by(model.id).limit(limit + 1)
    rows = (await session.scalars(statement)).all()
    return Page(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


async def one_at_a_time(session: AsyncSession) -> None:
    """Wait for other transactions that change what rules compare across rows: names of
    variables in texts of commands, and links to environments. It holds until the
    transaction ends; SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock(_ACROSS_ROWS)))


async def missing(session: AsyncSession, model: type[Any], ids: Sequence[UUID]) -> list[UUID]:
    """Those of ``ids`` that no row has."""
    found = set((await session.scalars(select(model.id).where(model.id.in_(ids)))).all())
    return [each for each in ids if each not in found]
