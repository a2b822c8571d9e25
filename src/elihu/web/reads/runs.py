"""Figures of runs over time."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Float, Integer, cast, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.models import CommandJob
from elihu.web.reads.overview import first_id


async def histogram(
    session: AsyncSession,
    since: datetime,
    until: datetime,
    step: int,
    *,
    command_id: UUID | None = None,
    environment_id: UUID | None = None,
) -> list[tuple[datetime, str, int]]:
    """How many runs were made in each step, by their status now."""
    if session.get_bind().dialect.name == "sqlite":
        number = cast(type_coerce(CommandJob.created_at, Float) / step, Integer)
    else:
        number = cast(func.floor(func.extract("epoch", CommandJob.created_at) / step), Integer)
    statement = (
        select(number, CommandJob.status, func.count())
        .where(
            CommandJob.id > first_id(since),
            CommandJob.created_at >= since,
            CommandJob.created_at < until,
        )
        .group_by(number, CommandJob.status)
        .order_by(number, CommandJob.status)
    )
    if command_id is not None:
        statement = statement.where(CommandJob.command_id == command_id)
    if environment_id is not None:
        statement = statement.where(CommandJob.environment_id == environment_id)
    rows: Any = await session.execute(statement)
    return [(datetime.fromtimestamp(place * step, UTC), status, n) for place, status, n in rows]
