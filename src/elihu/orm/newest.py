"""Pages of large tables, newest first, each in a time that does not grow with the table."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

R = TypeVar("R")
Condition = ColumnElement[bool]
SCANNED: Final = 5_000
"""Rows that one page reads at most."""


async def newest(
    session: AsyncSession,
    model: type[R],
    *,
    within: Sequence[Condition],
    where: Callable[[type[R]], Sequence[Condition]],
    after: UUID | None,
    limit: int,
) -> tuple[Sequence[R], UUID | None]:
    """At most ``limit`` rows, and the id to give as ``after`` for what follows, None at
    the end. An index has the rows of ``within`` in the order of their ids; ``where`` are
    conditions on the rows that are read. A page may be short, or empty, and not the last.
    """
    key: Any = model.id  # type: ignore[attr-defined]
    read = select(model).where(*within).order_by(key.desc()).limit(SCANNED)
    if after is not None:
        read = read.where(key < after)
    found: Any = aliased(model, read.subquery())
    statement = select(found).where(*where(found)).order_by(found.id.desc()).limit(limit + 1)
    rows: Sequence[Any] = (await session.scalars(statement)).all()
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1].id
    end = read.with_only_columns(key).limit(1).offset(SCANNED - 1)
    return rows, await session.scalar(end)
