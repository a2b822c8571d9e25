"""From a tick to runs: each due occurrence once, and what is left out stored as skipped."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import lazyload

from elihu import Cron as Expression
from elihu import InvalidCron, JobState
from elihu.commands.admission import PIECE, Admission, Wanted
from elihu.commands.due import Due, due, window_start
from elihu.commands.host import DISPATCH_TASK, Host
from elihu.commands.models import (
    CatchUp,
    Command,
    CommandJob,
    Cron,
    Dispatch,
    Environment,
    Schedule,
    ScheduleCron,
    ScheduleEnvironment,
)
from elihu.orm.sessions import now

logger: Final = logging.getLogger("elihu")

DEADLINE: Final = 60.0
"""Seconds for the one transaction of a dispatch."""
_OPEN: Final = (
    JobState.AVAILABLE,
    JobState.SCHEDULED,
    JobState.EXECUTING,
    JobState.RETRYABLE,
    JobState.SUSPENDED,
)
_Key = tuple[UUID, UUID, UUID, datetime]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A cron of an enabled schedule in an environment, all enabled."""

    schedule: Schedule
    command: Command
    environment: Environment
    cron: Cron
    since: tuple[datetime, ...]


async def dispatch(host: Host, tick: datetime) -> dict[str, int]:
    """Store the runs that are due at a tick, and those of ticks that were missed; how
    many rows were stored, and how many of them are skipped.

    Two dispatches of one tick, or of several at once, store each occurrence once.
    """
    others = await _other_ticks(host, tick)
    async with host.sessions.begin(deadline=DEADLINE) as session:
        # One dispatch at a time.
        state = (await session.scalars(select(Dispatch).with_for_update())).one()
        up_to = state.up_to
        wanted = _wanted(await _entries(session), tick, up_to, others)
        rows = await _admit(session, host, wanted)
        state.up_to = tick if up_to is None else max(tick, up_to)
        await session.flush()
    return {"stored": len(rows), "skipped": sum(row.status == "skipped" for row in rows)}


async def dispatch_boot(host: Host, boot: datetime) -> dict[str, int]:
    """Store the runs of ``@reboot`` crons for the start of the first node."""
    async with host.sessions.begin(deadline=DEADLINE) as session:
        (await session.scalars(select(Dispatch).with_for_update())).one()
        wanted = [
            _want(entry, boot)
            for entry in await _entries(session)
            if (expression := _expression_of(entry.cron)) is not None and expression.at_reboot
        ]
        rows = await _admit(session, host, wanted)
    return {"stored": len(rows), "skipped": sum(row.status == "skipped" for row in rows)}


async def _other_ticks(host: Host, tick: datetime) -> list[datetime]:
    """Earlier ticks whose own dispatch is still to come."""
    found: list[datetime] = []
    after: int | None = None
    while True:
        page = await host.app.jobs.list(task=DISPATCH_TASK, state=_OPEN, after=after, limit=1_000)
        found += [job.occurrence for job in page.items if job.occurrence and job.occurrence < tick]
        if (after := page.next) is None:
            return found


async def _entries(session: AsyncSession) -> list[_Entry]:
    """What is enabled, in the order in which schedules and their links were made."""
    statement = (
        select(Schedule, Command, Environment, Cron, ScheduleEnvironment.since, ScheduleCron.since)
        .join(Command, Command.id == Schedule.command_id)
        .join(ScheduleEnvironment, ScheduleEnvironment.schedule_id == Schedule.id)
        .join(Environment, Environment.id == ScheduleEnvironment.environment_id)
        .join(ScheduleCron, ScheduleCron.schedule_id == Schedule.id)
        .join(Cron, Cron.id == ScheduleCron.cron_id)
        .where(
            Schedule.enabled.is_(True),
            Command.enabled.is_(True),
            Environment.enabled.is_(True),
            Cron.enabled.is_(True),
        )
        .order_by(Schedule.id, ScheduleCron.position, ScheduleEnvironment.position)
    )
    without_links = lazyload(Schedule.environments), lazyload(Schedule.crons)
    found: list[Any] = list(await session.execute(statement.options(*without_links)))
    return [
        _Entry(
            schedule,
            command,
            environment,
            cron,
            (
                schedule.active_since,
                command.active_since,
                environment.active_since,
                cron.active_since,
                *since,
            ),
        )
        for schedule, command, environment, cron, *since in found
    ]


def _wanted(
    entries: Iterable[_Entry],
    tick: datetime,
    up_to: datetime | None,
    others: Sequence[datetime],
) -> list[Wanted]:
    known: dict[tuple[str, str, CatchUp, datetime], Due] = {}
    wanted: list[Wanted] = []
    for entry in entries:
        after = window_start(tick, up_to, entry.since)
        if after >= tick:
            continue
        key = (entry.cron.expression, entry.cron.timezone, entry.schedule.catch_up, after)
        if key not in known:
            expression = _expression_of(entry.cron)
            if expression is None:
                continue
            known[key] = due(
                expression, entry.schedule.catch_up, after=after, tick=tick, others=others
            )
        found = known[key]
        wanted += [_want(entry, at, reason) for at, reason in found.skipped]
        wanted += [_want(entry, at) for at in found.run]
    return wanted


def _want(entry: _Entry, at: datetime, skip: str | None = None) -> Wanted:
    return Wanted(
        command=entry.command,
        environment=entry.environment,
        source="schedule",
        schedule_id=entry.schedule.id,
        cron=entry.cron,
        occurrence=at,
        skip=skip,
    )


async def _admit(session: AsyncSession, host: Host, wanted: Sequence[Wanted]) -> list[CommandJob]:
    stored = await _stored(session, wanted)
    fresh = [each for each in wanted if _key(each) not in stored]
    if not fresh:
        return []
    await _lock(session, {each.command.id for each in fresh})
    admission = Admission(session, host, await now(session))
    await admission.load(each.pair for each in fresh)
    rows = [admission.add(each) for each in fresh]
    await admission.store()
    return rows


async def _stored(session: AsyncSession, wanted: Sequence[Wanted]) -> set[_Key]:
    """The occurrences among these that have a run."""
    by_schedule: defaultdict[UUID, list[datetime]] = defaultdict(list)
    for each in wanted:
        assert each.schedule_id is not None
        assert each.occurrence is not None
        by_schedule[each.schedule_id].append(each.occurrence)
    schedules = list(by_schedule)
    found: set[_Key] = set()
    for start in range(0, len(schedules), PIECE):
        some = schedules[start : start + PIECE]
        oldest = min(at for schedule in some for at in by_schedule[schedule])
        statement = select(
            CommandJob.schedule_id,
            CommandJob.environment_id,
            CommandJob.cron_id,
            CommandJob.occurrence,
        ).where(CommandJob.schedule_id.in_(some), CommandJob.occurrence >= oldest)
        rows: Any = await session.execute(statement)
        found |= {tuple(row) for row in rows}
    return found


def _key(wanted: Wanted) -> _Key:
    assert wanted.schedule_id is not None
    assert wanted.cron is not None
    assert wanted.occurrence is not None
    return wanted.schedule_id, wanted.environment.id, wanted.cron.id, wanted.occurrence


async def _lock(session: AsyncSession, ids: set[UUID]) -> None:
    ordered = sorted(ids)
    for start in range(0, len(ordered), PIECE):
        await session.execute(
            select(Command.id)
            .where(Command.id.in_(ordered[start : start + PIECE]))
            .order_by(Command.id)
            .with_for_update(key_share=True)
        )


def _expression_of(cron: Cron) -> Expression | None:
    """None for one that cannot be read any more, such as one in a zone that is gone:
    others run all the same.
    """
    return _expression(cron.name, cron.expression, cron.timezone)


@lru_cache(maxsize=10_000)
def _expression(name: str, text: str, timezone: str) -> Expression | None:
    try:
        return Expression(text, timezone)
    except InvalidCron as error:
        logger.error("the cron %r of commands does not run: %s", name, error)
        return None
