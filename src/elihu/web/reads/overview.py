"""What the first page shows: figures, what runs, and what runs next."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.admission import pair_of
from elihu.commands.models import (
    ACTIVE,
    UNSUCCESSFUL,
    Command,
    CommandJob,
    Cron,
    Environment,
    Schedule,
    ScheduleCron,
    ScheduleEnvironment,
)
from elihu.commands.rules.history import CLOCKS
from elihu.commands.usual import usual_of
from elihu.orm.columns import first_id
from elihu.orm.sessions import now
from elihu.web.reads.plan import HALF_HOUR, next_tick, starts_of

MOST: Final = 10_000
SHOWN: Final = 50
LATEST: Final = 1_000
PLACES: Final = 5_000
"""Schedules with their crons and environments that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """A start to come."""

    at: datetime
    schedule_id: UUID
    command_id: UUID
    command_name: str
    environment_id: UUID
    environment_name: str
    cron_id: UUID
    expression: str


class Recent(NamedTuple):
    """A run that has started."""

    command_id: UUID
    status: str
    started_at: datetime
    finished_at: datetime | None


async def active_counts(session: AsyncSession) -> dict[str, int]:
    """How many runs have not ended, by status, and how many of them are late or long;
    counted up to 10,000.
    """
    found: Counter[str] = Counter()
    rows: Any = await session.execute(_active())
    for status, late, long, runs in rows:
        found[status] += runs
        found["late"] += runs if late and status == "queued" else 0
        found["long"] += runs if long and status == "running" else 0
    return {name: found[name] for name in (*ACTIVE, "late", "long")}


@cache
def _active() -> Any:
    read = (
        select(
            CommandJob.status,
            CommandJob.late_at.is_not(None).label("late"),
            CommandJob.long_at.is_not(None).label("long"),
        )
        .where(CommandJob.status.in_(ACTIVE))
        .limit(MOST)
        .subquery()
    )
    columns = (read.c.status, read.c.late, read.c.long)
    return select(*columns, func.count()).group_by(*columns)


async def running(session: AsyncSession) -> list[tuple[CommandJob, float | None]]:
    """The runs in progress, oldest first, each with how many seconds it usually takes."""
    statement = (
        select(CommandJob)
        .where(CommandJob.status.in_(("running", "retrying")))
        .order_by(CommandJob.id)
        .limit(SHOWN)
    )
    runs = (await session.scalars(statement)).all()
    usual = await usual_of(session, [pair for run in runs if (pair := pair_of(run))])
    return [(run, usual[pair] if (pair := pair_of(run)) else None) for run in runs]


async def recent(
    session: AsyncSession, since: datetime, command_ids: Collection[UUID]
) -> Sequence[Recent]:
    """What has started of these commands, among the latest 1,000 runs since then; the
    newest first.
    """
    if not command_ids:
        return ()
    latest = (
        select(
            CommandJob.id, CommandJob.command_id, CommandJob.status, CommandJob.started_at,
            CommandJob.finished_at,
        )
        .where(CommandJob.id >= first_id(since, -CLOCKS), CommandJob.created_at >= since)
        .order_by(CommandJob.id.desc())
        .limit(LATEST)
        .subquery()
    )  # fmt: skip
    columns = latest.c.command_id, latest.c.status, latest.c.started_at, latest.c.finished_at
    statement = (
        select(*columns)
        .where(latest.c.command_id.in_(command_ids), latest.c.started_at.is_not(None))
        .order_by(latest.c.id.desc())
    )
    return [Recent(*row) for row in await session.execute(statement)]


async def upcoming(session: AsyncSession, moment: datetime, limit: int = 20) -> list[Upcoming]:
    """The next starts after ``moment`` that the schedules plan, soonest first."""
    found = []
    for place in await _places(session):
        at = next_tick(place.expression, place.timezone, moment)
        if at is not None:
            found.append(
                Upcoming(
                    at=at,
                    schedule_id=place.schedule_id,
                    command_id=place.command_id,
                    command_name=place.command_name,
                    environment_id=place.environment_id,
                    environment_name=place.environment_name,
                    cron_id=place.cron_id,
                    expression=place.expression,
                )
            )
    return sorted(found, key=lambda each: (each.at, each.command_name, each.environment_name))[
        :limit
    ]


async def ahead(session: AsyncSession) -> tuple[datetime, list[int]]:
    """How many starts are planned in each half hour of a day, and when the first begins."""
    moment = await now(session)
    begin = datetime.fromtimestamp(int(moment.timestamp()) // HALF_HOUR * HALF_HOUR, UTC)
    crons = Counter((place.expression, place.timezone) for place in await _places(session))
    return begin, starts_of(crons, begin)


async def _places(session: AsyncSession) -> Sequence[Any]:
    """Each enabled schedule, cron, command and environment that together start runs."""
    return (await session.execute(_of_places())).all()


@cache
def _of_places() -> Any:
    return (
        select(
            Schedule.id.label("schedule_id"), Cron.id.label("cron_id"), Cron.expression,
            Cron.timezone, Command.id.label("command_id"), Command.name.label("command_name"),
            Environment.id.label("environment_id"), Environment.name.label("environment_name"),
        )
        .select_from(Schedule)
        .join(ScheduleCron, ScheduleCron.schedule_id == Schedule.id)
        .join(Cron, Cron.id == ScheduleCron.cron_id)
        .join(ScheduleEnvironment, ScheduleEnvironment.schedule_id == Schedule.id)
        .join(Environment, Environment.id == ScheduleEnvironment.environment_id)
        .join(Command, Command.id == Schedule.command_id)
        .where(
            Schedule.enabled.is_(True),
            Cron.enabled.is_(True),
            Command.enabled.is_(True),
            Environment.enabled.is_(True),
        )
        .limit(PLACES)
    )  # fmt: skip


async def failed_since(session: AsyncSession, since: datetime) -> int:
    """How many runs did not succeed since then, counted up to 10,000."""
    return int(await session.scalar(_failed(), {"first": first_id(since)}) or 0)


@cache
def _failed() -> Any:
    some = (
        select(CommandJob.id)
        .where(CommandJob.status.in_(UNSUCCESSFUL), CommandJob.id > bindparam("first"))
        .limit(MOST)
        .subquery()
    )
    return select(func.count()).select_from(some)


async def count_commands(session: AsyncSession) -> int:
    """How many commands there are, counted up to 10,001."""
    some = select(Command.id).limit(MOST + 1).subquery()
    return int(await session.scalar(select(func.count()).select_from(some)) or 0)
