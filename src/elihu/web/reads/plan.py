"""What starts where, and when: schedules with their commands, environments and crons."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from elihu import Cron as Expression
from elihu.commands.models import Command, Cron, Environment, Schedule
from elihu.commands.rules import commands, crons, environments, schedules

MOST: Final = 1_000
"""Commands, environments, crons and schedules of each that are looked at."""
MOST_TICKS: Final = 2_000
HALF_HOUR: Final = 1_800
HALF_HOURS: Final = 48


@dataclass(frozen=True, slots=True)
class Place:
    """A command in an environment by a cron. It is ``on`` where all of it is enabled."""

    schedule: Schedule
    command: Command
    environment: Environment
    cron: Cron
    on: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that plans starts. ``more`` where something was left out."""

    commands: dict[UUID, Command]
    environments: dict[UUID, Environment]
    crons: dict[UUID, Cron]
    schedules: list[Schedule]
    more: bool

    def places(self) -> Iterator[Place]:
        """Each place, in the order of the schedules."""
        for schedule in self.schedules:
            command = self.commands.get(schedule.command_id)
            for environment_id in schedule.environment_ids:
                environment = self.environments.get(environment_id)
                for cron_id in schedule.cron_ids:
                    cron = self.crons.get(cron_id)
                    if command is not None and environment is not None and cron is not None:
                        on = all(each.enabled for each in (schedule, command, environment, cron))
                        yield Place(schedule, command, environment, cron, on)


async def load(session: AsyncSession) -> Plan:
    """The whole plan, up to its bounds."""
    found: list[Any] = [
        await rules.find_all(session, limit=MOST)
        for rules in (commands, environments, crons, schedules)
    ]
    kept_commands, places, kept_crons = (
        {each.id: each for each in page.items} for page in found[:3]
    )
    more = any(page.next is not None for page in found)
    return Plan(kept_commands, places, kept_crons, list(found[3].items), more)


def ticks(cron: Cron, since: datetime, until: datetime) -> tuple[datetime, ...]:
    """The times at which a cron fires from ``since`` to ``until``; at most 2,000."""
    minute = int(since.timestamp()) // 60
    return _ticks(cron.expression, cron.timezone, minute, int(until.timestamp()) // 60)


@lru_cache(maxsize=1_000)
def _ticks(expression: str, timezone: str, since: int, until: int) -> tuple[datetime, ...]:
    found: list[datetime] = []
    end = datetime.fromtimestamp(until * 60, UTC)
    at: datetime | None = datetime.fromtimestamp(since * 60, UTC) - timedelta(seconds=1)
    try:
        cron = Expression(expression, timezone)
        while at is not None and len(found) < MOST_TICKS:
            at = cron.next(at)
            if at is None or at >= end:
                break
            found.append(at.astimezone(UTC))
    except ValueError:
        return ()
    return tuple(found)


def next_tick(expression: str, timezone: str, moment: datetime) -> datetime | None:
    """The first time after the minute of ``moment`` at which a cron fires."""
    return _next(expression, timezone, int(moment.timestamp()) // 60)


@lru_cache(maxsize=2_000)
def _next(expression: str, timezone: str, minute: int) -> datetime | None:
    try:
        at = Expression(expression, timezone).next(datetime.fromtimestamp(minute * 60, UTC))
    except ValueError:
        return None
    return at and at.astimezone(UTC)


def starts_of(crons: Mapping[tuple[str, str], int], begin: datetime) -> list[int]:
    """How many starts are planned in each half hour of the day from ``begin`` on: by
    expressions and zones, each of which starts so many runs.
    """
    total = [0] * HALF_HOURS
    for (expression, timezone), runs in crons.items():
        for number, ticks in enumerate(_starts(expression, timezone, begin)):
            total[number] += ticks * runs
    return total


@lru_cache(maxsize=1_000)
def _starts(expression: str, timezone: str, begin: datetime) -> tuple[int, ...]:
    """How often a cron fires in each half hour of the day from ``begin`` on."""
    counts = [0] * HALF_HOURS
    try:
        cron = Expression(expression, timezone)
        at = cron.next(begin - timedelta(seconds=1))
        while at is not None and (number := (at - begin) // timedelta(minutes=30)) < HALF_HOURS:
            counts[number] += 1
            at = cron.next(at)
    except ValueError:
        return tuple(counts)
    return tuple(counts)


def clock_changes(plan: Plan, since: datetime, days: int) -> list[tuple[str, datetime, timedelta]]:
    """When clocks of the crons' zones change: the zone, the hour, and by how much."""
    found = []
    hours = [since + timedelta(hours=hour) for hour in range(days * 24 + 1)]
    for name in sorted({cron.timezone for cron in plan.crons.values()}):
        try:
            zone = ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            continue
        for before, after in pairwise(hours):
            was, becomes = (each.astimezone(zone).utcoffset() for each in (before, after))
            if was is not None and becomes is not None and was != becomes:
                found.append((name, after, becomes - was))
    return found
