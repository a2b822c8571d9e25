"""What the first page shows: what needs a look, what runs, and what runs next."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import Cron as Expression
from elihu.commands.admission import Pair
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
from elihu.commands.watch import usual_seconds
from elihu.orm.columns import first_id
from elihu.orm.sessions import now

MOST: Final = 10_000
SHOWN: Final = 50
GROUPS: Final = 20
RESULTS: Final = 20
PLACES: Final = 5_000
"""Schedules with their crons and environments that are looked at."""
DAY: Final = timedelta(days=1)
HALF_HOUR: Final = 1_800
HALF_HOURS: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Runs of one command in one environment that ended alike within a day. ``results``
    are the last runs there, newest first.
    """

    command_id: UUID | None
    command_name: str
    environment_id: UUID | None
    environment_name: str
    status: str
    reason: str | None
    runs: int
    last_run_id: UUID
    last_at: datetime
    results: Sequence[tuple[UUID, str]] = ()


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


async def active_counts(session: AsyncSession) -> dict[str, int]:
    """How many runs have not ended, by status, and how many of them are late or long;
    counted up to 10,000.
    """
    statement = (
        select(CommandJob.status, CommandJob.late_at, CommandJob.long_at)
        .where(CommandJob.status.in_(ACTIVE))
        .limit(MOST)
    )
    found: Counter[str] = Counter()
    rows: Any = await session.execute(statement)
    for status, late_at, long_at in rows:
        found[status] += 1
        found["late"] += late_at is not None and status == "queued"
        found["long"] += long_at is not None and status == "running"
    return {name: found[name] for name in (*ACTIVE, "late", "long")}


async def running(session: AsyncSession) -> list[tuple[CommandJob, float | None]]:
    """The runs in progress, oldest first, each with how many seconds it usually takes."""
    statement = (
        select(CommandJob)
        .where(CommandJob.status.in_(("running", "retrying")))
        .order_by(CommandJob.id)
        .limit(SHOWN)
    )
    usual: dict[Pair, float | None] = {}
    found = []
    for run in (await session.scalars(statement)).all():
        seconds = None
        if run.command_id is not None and run.environment_id is not None:
            pair = Pair(run.command_id, run.environment_id)
            if pair not in usual:
                usual[pair] = await usual_seconds(session, pair)
            seconds = usual[pair]
        found.append((run, seconds))
    return found


async def concerns(session: AsyncSession) -> list[Concern]:
    """What did not succeed within a day, among the latest 1,000, the newest first."""
    since = await now(session) - DAY
    statement = (
        select(
            CommandJob.id, CommandJob.command_id, CommandJob.command_name,
            CommandJob.environment_id, CommandJob.environment_name, CommandJob.status,
            CommandJob.reason, CommandJob.finished_at, CommandJob.created_at,
        )
        .where(
            CommandJob.status.in_(UNSUCCESSFUL),
            CommandJob.id > first_id(since),
            CommandJob.finished_at >= since,
        )
        .order_by(CommandJob.id.desc())
        .limit(1_000)
    )  # fmt: skip
    rows: Any = await session.execute(statement)
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for run in rows:
        key = (run.command_id, run.command_name, run.environment_id, run.status, run.reason)
        groups.setdefault(key, []).append(run)
    shown = list(groups.values())[:GROUPS]
    results = await _results(session, {_pair(members[0]) for members in shown})
    return [
        Concern(
            command_id=members[0].command_id,
            command_name=members[0].command_name,
            environment_id=members[0].environment_id,
            environment_name=members[0].environment_name,
            status=members[0].status,
            reason=members[0].reason,
            runs=len(members),
            last_run_id=members[0].id,
            last_at=members[0].finished_at or members[0].created_at,
            results=results.get(_pair(members[0]), ()),
        )
        for members in shown
    ]


async def upcoming(session: AsyncSession, limit: int = 20) -> list[Upcoming]:
    """The next starts that the schedules plan, soonest first."""
    moment = await now(session)
    found = []
    for schedule, cron, command, environment in await _places(session):
        at = _next(cron.expression, cron.timezone, int(moment.timestamp()) // 60)
        if at is not None:
            found.append(
                Upcoming(
                    at=at,
                    schedule_id=schedule.id,
                    command_id=command.id,
                    command_name=command.name,
                    environment_id=environment.id,
                    environment_name=environment.name,
                    cron_id=cron.id,
                    expression=cron.expression,
                )
            )
    return sorted(found, key=lambda each: (each.at, each.command_name, each.environment_name))[
        :limit
    ]


async def ahead(session: AsyncSession) -> tuple[datetime, list[int]]:
    """How many starts are planned in each half hour of a day, and when the first begins."""
    moment = await now(session)
    begin = int(moment.timestamp()) // HALF_HOUR * HALF_HOUR
    total = [0] * HALF_HOURS
    for _, cron, _, _ in await _places(session):
        for number, starts in enumerate(_starts(cron.expression, cron.timezone, begin)):
            total[number] += starts
    return datetime.fromtimestamp(begin, UTC), total


def _pair(run: Any) -> tuple[UUID | None, UUID | None]:
    return run.command_id, run.environment_id


async def _results(
    session: AsyncSession, pairs: set[tuple[UUID | None, UUID | None]]
) -> dict[tuple[UUID | None, UUID | None], list[tuple[UUID, str]]]:
    """The last runs of each command in its environment, newest first, in one statement."""
    parts = []
    for command_id, environment_id in pairs:
        if command_id is None:
            continue
        last = (
            select(
                CommandJob.id, CommandJob.status, CommandJob.command_id, CommandJob.environment_id
            )
            .where(CommandJob.command_id == command_id, CommandJob.environment_id == environment_id)
            .order_by(CommandJob.id.desc())
            .limit(RESULTS)
            .subquery()
        )
        parts.append(select(last))
    found: dict[tuple[UUID | None, UUID | None], list[tuple[UUID, str]]] = {}
    if parts:
        rows: Any = await session.execute(union_all(*parts))
        for run_id, status, command_id, environment_id in rows:
            found.setdefault((command_id, environment_id), []).append((run_id, status))
    return {pair: sorted(results, reverse=True) for pair, results in found.items()}


async def _places(
    session: AsyncSession,
) -> Sequence[tuple[Schedule, Cron, Command, Environment]]:
    """Each enabled schedule, cron, command and environment that together start runs."""
    statement = (
        select(Schedule, Cron, Command, Environment)
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
    )
    rows: Any = await session.execute(statement)
    return [tuple(row) for row in rows]


async def failed_since(session: AsyncSession, since: datetime) -> int:
    """How many runs did not succeed since then, counted up to 10,000."""
    inner = (
        select(CommandJob.id)
        .where(CommandJob.status.in_(UNSUCCESSFUL), CommandJob.id > first_id(since))
        .limit(MOST)
        .subquery()
    )
    return int(await session.scalar(select(func.count()).select_from(inner)) or 0)


async def count_commands(session: AsyncSession) -> int:
    """How many commands there are, counted up to 10,001."""
    some = select(Command.id).limit(MOST + 1).subquery()
    return int(await session.scalar(select(func.count()).select_from(some)) or 0)


@lru_cache(maxsize=2_000)
def _next(expression: str, timezone: str, minute: int) -> datetime | None:
    try:
        return Expression(expression, timezone).next(datetime.fromtimestamp(minute * 60, UTC))
    except ValueError:
        return None


@lru_cache(maxsize=500)
def _starts(expression: str, timezone: str, begin: int) -> tuple[int, ...]:
    """How often it fires in each half hour from ``begin`` on."""
    counts = [0] * HALF_HOURS
    start = datetime.fromtimestamp(begin, UTC)
    try:
        cron = Expression(expression, timezone)
        at = cron.next(start - timedelta(seconds=1))
        while at is not None and (number := (at - start) // timedelta(minutes=30)) < HALF_HOURS:
            counts[number] += 1
            at = cron.next(at)
    except ValueError:
        return tuple(counts)
    return tuple(counts)
