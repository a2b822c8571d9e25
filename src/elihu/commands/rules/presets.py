"""Short ways to set up a schedule: rows that are found by name, or made."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.models import Cron, Environment
from elihu.commands.rules import crons, environments, schedules
from elihu.commands.rules.names import by_name


async def environment_for(session: AsyncSession, name: str) -> Environment:
    """The environment of this name, made if absent. Raises ``InvalidFields``."""
    found = await by_name(session, Environment, name)
    return found or await environments.create(session, name=name)


async def cron_for(session: AsyncSession, text: str, timezone: str = "UTC") -> Cron:
    """The cron with this name, else the oldest one with this expression in this zone,
    else a new one that is named after both. Raises ``InvalidFields``.
    """
    found = await by_name(session, Cron, text)
    if found is not None:
        return found
    expression = crons.read(text, timezone).text
    statement = select(Cron).where(Cron.expression == expression, Cron.timezone == timezone)
    found = (await session.scalars(statement.order_by(Cron.id).limit(1))).first()
    if found is not None:
        return found
    return await crons.create(
        session,
        name=cron_name(expression, timezone),
        expression=expression,
        timezone=timezone,
    )


def cron_name(expression: str, timezone: str) -> str:
    """The name of a cron for which none is given."""
    return expression if timezone == "UTC" else f"{expression} {timezone}"


async def schedule_names(session: AsyncSession, command_id: UUID) -> tuple[list[str], list[str]]:
    """The names of the crons and the environments of a command's schedules, each once,
    in order.
    """
    page = await schedules.find_all(session, command_id=command_id, limit=1_000)
    found = []
    for model, ids in (
        (Cron, [each for row in page.items for each in row.cron_ids]),
        (Environment, [each for row in page.items for each in row.environment_ids]),
    ):
        rows = await session.execute(select(model.id, model.name).where(model.id.in_(ids)))
        names = {row[0]: row[1] for row in rows}
        found.append(list(dict.fromkeys(names[each] for each in ids)))
    return found[0], found[1]
