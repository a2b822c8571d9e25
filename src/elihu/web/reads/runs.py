"""Figures of runs over time."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Float, Integer, cast, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.models import CommandJob
from elihu.commands.rules.history import CLOCKS
from elihu.orm.columns import first_id

MOST: Final = 100_000
"""Runs that a histogram counts at most."""


class TooMany(ValueError):
    """There are more rows than are read at once."""


async def histogram(
    session: AsyncSession,
    since: datetime,
    until: datetime,
    step: int,
    *,
    command_id: UUID | None = None,
    environment_id: UUID | None = None,
) -> list[tuple[datetime, str, int]]:
    """How many runs were made in each step, by their status now. Raises ``TooMany``."""
    if session.get_bind().dialect.name == "sqlite":
        number = cast(type_coerce(CommandJob.created_at, Float) / step, Integer)
    else:
        number = cast(func.floor(func.date_part("epoch", CommandJob.created_at) / step), Integer)
    read = (
        select(number.label("step"), CommandJob.status)
        .where(
            CommandJob.id >= first_id(since, -CLOCKS),
            CommandJob.id < first_id(until, CLOCKS),
            CommandJob.created_at >= since,
            CommandJob.created_at < until,
        )
        .limit(MOST + 1)
    )
    if command_id is not None:
        read = read.where(CommandJob.command_id == command_id)
    if environment_id is not None:
        read = read.where(CommandJob.environment_id == environment_id)
    found = read.subquery()
    statement = (
        select(found.c.step, found.c.status, func.count())
        .group_by(found.c.step, found.c.status)
        .order_by(found.c.step, found.c.status)
    )
    rows: list[Any] = list(await session.execute(statement))
    if sum(n for _, _, n in rows) > MOST:
        raise TooMany(f"more than {MOST:,} runs lie between since and until")
    return [(datetime.fromtimestamp(place * step, UTC), status, n) for place, status, n in rows]
