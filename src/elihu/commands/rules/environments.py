"""Environments: where commands run, each with variables of its own."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import InvalidFields
from elihu.commands.models import (
    ACTIVE,
    Alert,
    AlertEnvironment,
    CommandJob,
    Environment,
    Variable,
    VariableEnvironment,
)
from elihu.commands.rules.fields import UNSET, Fields, Unset
from elihu.commands.rules.rows import Page, add, change, find, lock, one_at_a_time, page

KIND: Final = "environment"


async def create(session: AsyncSession, *, name: str, enabled: bool = True) -> Environment:
    """Store an environment. Raises ``InvalidFields`` and ``NameTaken``."""
    environment = Environment(**_checked(name, enabled))
    await add(session, environment, KIND)
    return environment


async def update(
    session: AsyncSession,
    environment_id: UUID,
    *,
    version: int | None = None,
    name: str | Unset = UNSET,
    enabled: bool | Unset = UNSET,
) -> Environment:
    """Change an environment; with ``version`` only where it is still that one. Raises
    ``RecordNotFound``, ``RecordChanged``, ``InvalidFields`` and ``NameTaken``.
    """
    environment = await lock(session, Environment, environment_id, KIND, version)
    await change(session, environment, _checked(name, enabled), KIND)
    return environment


async def delete(
    session: AsyncSession, environment_id: UUID, *, version: int | None = None
) -> Environment:
    """Delete an environment. Its runs stay. Raises ``RecordNotFound``,
    ``RecordChanged``, and ``InvalidFields`` while a run in it has not ended, or where a
    variable or an alert is for this environment alone: without it, it would be for all.
    """
    await one_at_a_time(session)
    environment = await lock(session, Environment, environment_id, KIND, version)
    active = select(CommandJob.id).where(
        CommandJob.environment_id == environment_id, CommandJob.status.in_(ACTIVE)
    )
    if await session.scalar(active.limit(1)) is not None:
        raise InvalidFields(("environment_id", "a run in it has not ended: kill it first"))
    await _refuse_last_link(session, environment_id, Variable, VariableEnvironment, "variable")
    await _refuse_last_link(session, environment_id, Alert, AlertEnvironment, "alert")
    await session.delete(environment)
    await session.flush()
    return environment


async def get(session: AsyncSession, environment_id: UUID) -> Environment:
    """Raises ``RecordNotFound``."""
    return await find(session, Environment, environment_id, KIND)


async def find_all(
    session: AsyncSession,
    *,
    enabled: bool | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Page[Environment]:
    """A page of environments, oldest first."""
    statement = select(Environment)
    if enabled is not None:
        statement = statement.where(Environment.enabled.is_(enabled))
    return await page(session, statement, Environment, after=after, limit=limit)


def _checked(name: Any, enabled: Any) -> dict[str, Any]:
    fields = Fields()
    fields.name("name", name)
    fields.flag("enabled", enabled)
    fields.done()
    return fields.values


async def _refuse_last_link(
    session: AsyncSession,
    environment_id: UUID,
    model: type[Variable | Alert],
    link: type[VariableEnvironment | AlertEnvironment],
    kind: str,
) -> None:
    owner = link.variable_id if issubclass(link, VariableEnvironment) else link.alert_id
    mine = select(owner).where(link.environment_id == environment_id)
    others = exists().where(owner == model.id, link.environment_id != environment_id)
    name = await session.scalar(select(model.name).where(model.id.in_(mine), ~others).limit(1))
    if name is not None:
        raise InvalidFields(
            (
                "environment_id",
                f"the {kind} {name!r} is for this environment alone: change or delete it first",
            )
        )
