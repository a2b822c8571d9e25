"""Figures of runs: how many began in each hour, and the end of what one wrote."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Float, Integer, cast, func, literal, select, type_coerce, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.models import UNSUCCESSFUL, CommandJob, Output

MOST: Final = 10_000
TAIL: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Steps:
    """Runs that were made in steps of equal length. ``more`` where older ones are left
    out.
    """

    runs: list[int]
    failed: list[int]
    late: list[int]
    more: bool


async def in_steps(
    session: AsyncSession, since: datetime, seconds: int, count: int, **equal: UUID | None
) -> Steps:
    """The latest 10,000 runs since then, in ``count`` steps. ``equal`` are a
    ``command_id`` or an ``environment_id`` that they must have.
    """
    first = UUID(int=int(since.timestamp() * 1_000) << 80)
    statement = select(
        CommandJob.created_at.label("at"),
        CommandJob.status.label("status"),
        (CommandJob.late_at.is_not(None)).label("late"),
    ).where(CommandJob.id > first)
    for name, value in equal.items():
        if value is not None:
            statement = statement.where(getattr(CommandJob, name) == value)
    latest = statement.order_by(CommandJob.id.desc()).limit(MOST).subquery()
    begin = since.timestamp()
    step: Any
    if session.get_bind().dialect.name == "sqlite":
        step = cast((type_coerce(latest.c.at, Float) - begin) / seconds, Integer)
    else:
        step = func.floor((func.date_part("epoch", latest.c.at) - begin) / seconds)
    rows: Any = await session.execute(
        select(step, latest.c.status, latest.c.late, func.count()).group_by(
            step, latest.c.status, latest.c.late
        )
    )
    found = Steps([0] * count, [0] * count, [0] * count, more=False)
    number = 0
    for at, status, late, runs in rows:
        number += runs
        place = int(at)
        if 0 <= place < count:
            found.runs[place] += runs
            found.failed[place] += runs * (status in UNSUCCESSFUL)
            found.late[place] += runs * bool(late)
    return Steps(found.runs, found.failed, found.late, number == MOST)


async def counts(
    session: AsyncSession, groups: Mapping[str, Collection[str]]
) -> dict[str, tuple[int, bool]]:
    """How many runs have one of the statuses of each group, up to 10,000, and whether there
    are more.
    """
    rows: Any = await session.execute(_of_each(frozenset().union(*groups.values())))
    found = dict(tuple(row) for row in rows)
    totals = {name: sum(found[each] for each in statuses) for name, statuses in groups.items()}
    return {name: (min(total, MOST), total > MOST) for name, total in totals.items()}


@cache
def _of_each(statuses: frozenset[str]) -> Any:
    """The number of runs of each status, up to one more than 10,000."""
    parts = []
    for status in sorted(statuses):
        some = select(CommandJob.id).where(CommandJob.status == status).limit(MOST + 1)
        parts.append(select(literal(status), func.count()).select_from(some.subquery()))
    return union_all(*parts)


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of what an attempt wrote: pieces with their stream, oldest first."""

    pieces: list[tuple[str, bytes]]
    complete: bool
    size: int


async def tail(session: AsyncSession, run_id: UUID, attempt: int) -> Tail:
    """At most about 64 KiB of the end."""
    of_attempt = (Output.command_job_id == run_id, Output.attempt == attempt)
    size = await session.scalar(select(func.sum(func.length(Output.data))).where(*of_attempt))
    statement = (
        select(Output.stream, Output.data)
        .where(*of_attempt)
        .order_by(Output.sequence.desc())
        .limit(100)
    )
    pieces: list[tuple[str, bytes]] = []
    length = 0
    rows: Any = await session.execute(statement)
    for stream, data in rows:
        pieces.append((stream, data))
        length += len(data)
        if length >= TAIL:
            break
    pieces.reverse()
    return Tail(pieces, length >= (size or 0), int(size or 0))
