"""Schedules: a command at the ticks of crons, in environments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar, get_args
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.models import (
    CatchUp,
    Command,
    Cron,
    Environment,
    Schedule,
    ScheduleCron,
    ScheduleEnvironment,
)
from elihu.commands.rules.fields import UNSET, Fields, Unset
from elihu.commands.rules.rows import Page, add, change, find, lock, missing, page
from elihu.orm.sessions import now

KIND: Final = "schedule"
MOST_LINKS: Final = 1_000

_Link = TypeVar("_Link", ScheduleEnvironment, ScheduleCron)


async def create(
    session: AsyncSession,
    *,
    command_id: UUID,
    environment_ids: Sequence[UUID] = (),
    cron_ids: Sequence[UUID] = (),
    enabled: bool = True,
    catch_up: CatchUp = "last",
) -> Schedule:
    """Store a schedule. The order of environments counts: the first enabled one is that
    of a run for which none is named. Raises ``InvalidFields``.
    """
    values, environments, crons = await _checked(
        session, environment_ids, cron_ids, enabled, catch_up, command_id=command_id
    )
    # Schedules of a command are counted one after the other.
    await lock(session, Command, command_id, "command")
    moment = await now(session)
    schedule = Schedule(
        command_id=command_id,
        **values,
        environments=_linked(ScheduleEnvironment, "environment_id", environments or [], [], moment),
        crons=_linked(ScheduleCron, "cron_id", crons or [], [], moment),
    )
    await add(session, schedule, KIND)
    return schedule


async def update(
    session: AsyncSession,
    schedule_id: UUID,
    *,
    version: int | None = None,
    environment_ids: Sequence[UUID] | Unset = UNSET,
    cron_ids: Sequence[UUID] | Unset = UNSET,
    enabled: bool | Unset = UNSET,
    catch_up: CatchUp | Unset = UNSET,
) -> Schedule:
    """Change a schedule. Ticks in a new environment or of a new cron count from now on.
    Raises ``RecordNotFound``, ``RecordChanged`` and ``InvalidFields``.
    """
    values, environments, crons = await _checked(
        session, environment_ids, cron_ids, enabled, catch_up
    )
    schedule = await lock(session, Schedule, schedule_id, KIND, version)
    moment = await now(session)
    if environments is not None:
        schedule.environments = _linked(
            ScheduleEnvironment, "environment_id", environments, schedule.environments, moment
        )
    if crons is not None:
        schedule.crons = _linked(ScheduleCron, "cron_id", crons, schedule.crons, moment)
    await change(session, schedule, values, KIND)
    return schedule


async def delete(
    session: AsyncSession, schedule_id: UUID, *, version: int | None = None
) -> Schedule:
    """Delete a schedule. Its runs stay. Raises ``RecordNotFound`` and
    ``RecordChanged``.
    """
    schedule = await lock(session, Schedule, schedule_id, KIND, version)
    await session.delete(schedule)
    await session.flush()
    return schedule


async def get(session: AsyncSession, schedule_id: UUID) -> Schedule:
    """Raises ``RecordNotFound``."""
    return await find(session, Schedule, schedule_id, KIND)


async def find_all(
    session: AsyncSession,
    *,
    command_id: UUID | None = None,
    environment_id: UUID | None = None,
    cron_id: UUID | None = None,
    enabled: bool | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Page[Schedule]:
    """A page of schedules, oldest first."""
    statement = select(Schedule)
    if command_id is not None:
        statement = statement.where(Schedule.command_id == command_id)
    if environment_id is not None:
        statement = statement.where(
            Schedule.environments.any(ScheduleEnvironment.environment_id == environment_id)
        )
    if cron_id is not None:
        statement = statement.where(Schedule.crons.any(ScheduleCron.cron_id == cron_id))
    if enabled is not None:
        statement = statement.where(Schedule.enabled.is_(enabled))
    return await page(session, statement, Schedule, after=after, limit=limit)


async def _checked(
    session: AsyncSession,
    environment_ids: Any,
    cron_ids: Any,
    enabled: Any,
    catch_up: Any,
    *,
    command_id: Any = UNSET,
) -> tuple[dict[str, Any], list[UUID] | None, list[UUID] | None]:
    fields = Fields()
    fields.flag("enabled", enabled)
    fields.one_of("catch_up", catch_up, get_args(CatchUp))
    fields.ids("environment_ids", environment_ids)
    fields.ids("cron_ids", cron_ids)
    if command_id is not UNSET:
        await _check_known(session, fields, "command_id", Command, "command", [command_id])
    environments = fields.values.pop("environment_ids", None)
    crons = fields.values.pop("cron_ids", None)
    await _check_known(
        session, fields, "environment_ids", Environment, "environment", environments or []
    )
    await _check_known(session, fields, "cron_ids", Cron, "cron", crons or [])
    fields.done()
    return fields.values, environments, crons


async def _check_known(
    session: AsyncSession, fields: Fields, field: str, model: type[Any], kind: str, ids: list[Any]
) -> None:
    if len(ids) > MOST_LINKS:
        fields.fail(field, f"expected at most {MOST_LINKS:,}, got {len(ids):,}")
    elif wrong := [each for each in ids if not isinstance(each, UUID)]:
        fields.fail(field, f"expected the id of a {kind}, got {wrong[0]!r:.80}")
    elif ids and (unknown := await missing(session, model, ids)):
        fields.fail(field, f"{kind} {unknown[0]} not found")


def _linked(
    model: type[_Link], target: str, ids: Sequence[UUID], known: Sequence[_Link], moment: datetime
) -> list[_Link]:
    """Links to these ids, in order; what was linked before keeps its ``since``."""
    links = {getattr(link, target): link for link in known}
    kept = []
    for position, id_ in enumerate(ids):
        link = links.get(id_)
        if link is None:
            link = model(since=moment, **{target: id_})
        link.position = position
        kept.append(link)
    return kept
