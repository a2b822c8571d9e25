"""Finds rows by the names that people type."""

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.rules.fields import name_key

R = TypeVar("R")


async def by_name(session: AsyncSession, model: type[R], name: str) -> R | None:
    """The row of a model with unique names that has this name, in any case, or this id.
    A name comes before an id.
    """
    table: Any = model
    found: R | None = await session.scalar(select(table).where(table.name_key == name_key(name)))
    if found is not None:
        return found
    try:
        return await session.get(model, UUID(name))
    except ValueError:
        return None


async def names_of(session: AsyncSession, model: type[Any], limit: int = 1_000) -> list[str]:
    """The names of at most ``limit`` rows."""
    return list(await session.scalars(select(model.name).order_by(model.name_key).limit(limit)))
