"""Crons: expressions in a time zone, by name."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import Cron as Expression
from elihu import InvalidCron, InvalidFields
from elihu.commands.models import Cron
from elihu.commands.rules.fields import UNSET, Fields, Unset
from elihu.commands.rules.rows import Page, add, change, find, lock, page

KIND: Final = "cron"
MOST_PREVIEWED: Final = 100
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A time at which a cron fires, in its zone. ``shift`` says what daylight saving
    does to it: ``"skipped"``: the clock skips its time, it fires right after;
    ``"repeated"``: the clock shows its time twice that day.
    """

    at: datetime
    shift: Literal["skipped", "repeated"] | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What an expression means, and when it fires next."""

    description: str
    ticks: list[Tick]


async def create(
    session: AsyncSession,
    *,
    name: str,
    expression: str,
    timezone: str = "UTC",
    enabled: bool = True,
) -> Cron:
    """Store a cron. Raises ``NameTaken``, and ``InvalidFields`` for an expression that
    Debian's cron would refuse or that never fires, and for an unknown zone.
    """
    cron = Cron(**_checked(name, expression, timezone, enabled, ("", "UTC")))
    await add(session, cron, KIND)
    return cron


async def update(
    session: AsyncSession,
    cron_id: UUID,
    *,
    version: int | None = None,
    name: str | Unset = UNSET,
    expression: str | Unset = UNSET,
    timezone: str | Unset = UNSET,
    enabled: bool | Unset = UNSET,
) -> Cron:
    """Change a cron. Ticks of a new expression or zone count from now on. Raises
    ``RecordNotFound``, ``RecordChanged``, ``InvalidFields`` and ``NameTaken``.
    """
    cron = await lock(session, Cron, cron_id, KIND, version)
    before = (cron.expression, cron.timezone)
    values = _checked(name, expression, timezone, enabled, before)
    moment = await change(session, cron, values, KIND)
    if (cron.expression, cron.timezone) != before:
        cron.active_since = moment
        await session.flush()
    return cron


async def delete(session: AsyncSession, cron_id: UUID, *, version: int | None = None) -> Cron:
    """Delete a cron; schedules lose it. Raises ``RecordNotFound`` and
    ``RecordChanged``.
    """
    cron = await lock(session, Cron, cron_id, KIND, version)
    await session.delete(cron)
    await session.flush()
    return cron


async def get(session: AsyncSession, cron_id: UUID) -> Cron:
    """Raises ``RecordNotFound``."""
    return await find(session, Cron, cron_id, KIND)


async def find_all(
    session: AsyncSession,
    *,
    enabled: bool | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Page[Cron]:
    """A page of crons, oldest first."""
    statement = select(Cron)
    if enabled is not None:
        statement = statement.where(Cron.enabled.is_(enabled))
    return await page(session, statement, Cron, after=after, limit=limit)


def preview(
    expression: str, timezone: str = "UTC", *, count: int = 10, after: datetime | None = None
) -> Preview:
    """What the expression means, and the next ``count`` (1 to 100) times after
    ``after`` (default: now). Raises ``InvalidFields``.
    """
    fields = Fields()
    fields.whole("count", count, 1, MOST_PREVIEWED)
    fields.done()
    cron = read(expression, timezone)
    start = datetime.now(UTC) if after is None else after
    return Preview(
        cron.describe(), [Tick(at, _shift(cron, at)) for at in cron.upcoming(count, start)]
    )


def read(expression: str, timezone: str) -> Expression:
    """The expression in its zone. Raises ``InvalidFields``."""
    try:
        return Expression(expression, timezone)
    except InvalidCron as error:
        field = "timezone" if error.field == "tz" else "expression"
        raise InvalidFields((field, str(error))) from error


def _checked(
    name: Any, expression: Any, timezone: Any, enabled: Any, before: tuple[str, str]
) -> dict[str, Any]:
    fields = Fields()
    fields.name("name", name)
    fields.flag("enabled", enabled)
    if expression is not UNSET or timezone is not UNSET:
        try:
            cron = read(
                before[0] if expression is UNSET else expression,
                before[1] if timezone is UNSET else timezone,
            )
        except InvalidFields as error:
            fields.fail(*error.errors[0])
        else:
            fields.values |= {"expression": cron.text, "timezone": cron.tz}
    fields.done()
    return fields.values


def _shift(cron: Expression, at: datetime) -> Literal["skipped", "repeated"] | None:
    wall = at.replace(tzinfo=None)
    if at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset():
        return "repeated"
    before = (wall - _MINUTE).replace(tzinfo=UTC)
    plain = Expression(cron.text).next(before)
    return None if plain == wall.replace(tzinfo=UTC) else "skipped"
