"""Variables: what commands see in their environment."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import InvalidFields
from elihu.commands.host import Host
from elihu.commands.models import Environment, Variable, VariableEnvironment
from elihu.commands.rules.commands import OF_PROCESSES, argv_commands_naming
from elihu.commands.rules.fields import UNSET, Fields, Unset
from elihu.commands.rules.rows import (
    Page,
    add,
    change,
    find,
    flush,
    lock,
    missing,
    one_at_a_time,
    page,
)
from elihu.commands.secrets import Keyring

KIND: Final = "variable"
LONGEST: Final = 100_000
"""Bytes of a value: Linux takes no variable of more than 128 KiB."""
MASK: Final = "••••••"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_LOADING: Final = re.compile(r"(LD_|DYLD_|PYTHON).*|BASH_ENV|ENV|PATH|IFS")
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """A variable as commands of an environment see it; a secret's value is masked."""

    name: str
    value: str
    is_secret: bool
    is_default: bool
    variable_id: UUID


@dataclass(frozen=True, slots=True)
class Resolved:
    """The variables of an environment by name, and those of them that are secret."""

    values: Mapping[str, str]
    secrets: Mapping[str, str]


async def create(
    session: AsyncSession,
    host: Host,
    *,
    name: str,
    value: str | None = None,
    secret: str | None = None,
    description: str = "",
    environment_ids: Sequence[UUID] = (),
) -> Variable:
    """Store a variable with a value or a secret, for these environments or, without
    any, as a default for all. Raises ``InvalidFields`` and ``SecretError``.
    """
    values = _checked(host, name, value, secret, description, environment_ids)
    if (value is None) == (secret is None):
        raise InvalidFields(("value", "expected a value or a secret, got both or neither"))
    links = values.pop("environment_ids")
    await one_at_a_time(session)
    await _check_environments(session, links)
    variable = Variable(name=values["name"], description=values["description"])
    variable.value = value
    variable.environments = [VariableEnvironment(environment_id=each) for each in links]
    # The id is that of the encryption too.
    variable.secret = "" if secret is not None else None
    await add(session, variable, KIND)
    if secret is not None:
        variable.secret = host.keyring().encrypt(secret, _owner(variable))
        await flush(session, variable, KIND)
    await _check_together(session, variable)
    return variable


async def update(
    session: AsyncSession,
    host: Host,
    variable_id: UUID,
    *,
    version: int | None = None,
    name: str | Unset = UNSET,
    value: str | Unset = UNSET,
    secret: str | Unset = UNSET,
    description: str | Unset = UNSET,
    environment_ids: Sequence[UUID] | Unset = UNSET,
) -> Variable:
    """Change a variable. A ``value`` takes the place of a secret, and the other way
    round. Raises ``RecordNotFound``, ``RecordChanged``, ``InvalidFields`` and
    ``SecretError``.
    """
    values = _checked(host, name, value, secret, description, environment_ids)
    if value is not UNSET and secret is not UNSET:
        raise InvalidFields(("value", "expected a value or a secret, got both"))
    await one_at_a_time(session)
    variable = await lock(session, Variable, variable_id, KIND, version)
    links = values.pop("environment_ids", None)
    if links is not None:
        await _check_environments(session, links)
        known = {link.environment_id: link for link in variable.environments}
        variable.environments = [
            known.get(each) or VariableEnvironment(environment_id=each) for each in links
        ]
    if "secret" in values:
        values["secret"] = host.keyring().encrypt(values["secret"], _owner(variable))
        values["value"] = None
    elif "value" in values:
        values["secret"] = None
    await change(session, variable, values, KIND)
    await _check_together(session, variable)
    return variable


async def delete(
    session: AsyncSession, variable_id: UUID, *, version: int | None = None
) -> Variable:
    """Delete a variable. Raises ``RecordNotFound`` and ``RecordChanged``."""
    variable = await lock(session, Variable, variable_id, KIND, version)
    await session.delete(variable)
    await session.flush()
    return variable


async def get(session: AsyncSession, variable_id: UUID) -> Variable:
    """Raises ``RecordNotFound``."""
    return await find(session, Variable, variable_id, KIND)


async def find_all(
    session: AsyncSession,
    *,
    name: str | None = None,
    environment_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Page[Variable]:
    """A page of variables, oldest first; with ``environment_id`` those of its own."""
    statement = select(Variable)
    if name is not None:
        statement = statement.where(Variable.name == name)
    if environment_id is not None:
        statement = statement.where(
            Variable.environments.any(VariableEnvironment.environment_id == environment_id)
        )
    return await page(session, statement, Variable, after=after, limit=limit)


async def seen_by(session: AsyncSession, environment_id: UUID) -> list[Seen]:
    """The variables that a command in this environment sees, by name. Raises
    ``RecordNotFound``.
    """
    await find(session, Environment, environment_id, "environment")
    return [
        Seen(
            variable.name,
            MASK if variable.is_secret else variable.value or "",
            variable.is_secret,
            not variable.environments,
            variable.id,
        )
        for variable in await _winners(session, environment_id)
    ]


async def resolve(session: AsyncSession, host: Host, environment_id: UUID) -> Resolved:
    """The variables of an environment with their values, for the run of a command.
    Raises ``SecretError``.
    """
    winners = await _winners(session, environment_id)
    keyring = host.keyring() if any(each.is_secret for each in winners) else None
    values: dict[str, str] = {}
    secrets: dict[str, str] = {}
    for variable in winners:
        if variable.secret is not None and keyring is not None:
            text = keyring.decrypt(variable.secret, _owner(variable))
            values[variable.name] = secrets[variable.name] = text
        else:
            values[variable.name] = variable.value or ""
    return Resolved(values, secrets)


async def reencrypt(session: AsyncSession, keyring: Keyring) -> int:
    """Encrypt the secrets of all variables with the current key; how many changed.
    Raises ``SecretError``.
    """
    changed = 0
    statement = select(Variable).where(Variable.secret.is_not(None)).order_by(Variable.id)
    for variable in await session.scalars(statement.with_for_update(key_share=True)):
        if variable.secret is not None and not keyring.is_current(variable.secret):
            text = keyring.decrypt(variable.secret, _owner(variable))
            variable.secret = keyring.encrypt(text, _owner(variable))
            changed += 1
    await session.flush()
    return changed


def loads_code(name: str) -> bool:
    """Whether a variable of this name changes how programs load."""
    return bool(_LOADING.fullmatch(name))


def rank(variable: Variable) -> tuple[bool, bool]:
    """Own before default, then secret before value: the smallest wins."""
    return not variable.environments, not variable.is_secret


async def _winners(session: AsyncSession, environment_id: UUID) -> list[Variable]:
    own = Variable.environments.any(VariableEnvironment.environment_id == environment_id)
    statement = select(Variable).where(own | ~Variable.environments.any())
    found: dict[str, Variable] = {}
    for variable in sorted(await session.scalars(statement), key=rank):
        found.setdefault(variable.name, variable)
    return [found[name] for name in sorted(found)]


def _checked(
    host: Host, name: Any, value: Any, secret: Any, description: Any, environment_ids: Any
) -> dict[str, Any]:
    fields = Fields()
    if name is not UNSET:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            fields.fail(
                "name",
                "expected a letter, then letters, digits and _, up to "
                f"{_LONGEST_NAME} in all, got {name!r:.80}",
            )
        elif loads_code(name) and name not in host.config.commands.allow_variables:
            fields.fail(
                "name",
                f"{name} changes how programs load: it is allowed where the setting "
                "commands.allow_variables lists it",
            )
        else:
            fields.values["name"] = name
    if value is not None:
        fields.text("value", value, high=LONGEST)
    if secret is not None:
        # A refusal must not show it.
        if secret is not UNSET and (not isinstance(secret, str) or "\0" in secret):
            fields.fail("secret", "expected a text without NUL, got something else")
        elif secret is not UNSET and not 1 <= len(secret.encode("utf-8", "replace")) <= LONGEST:
            fields.fail("secret", f"expected a text of 1 to {LONGEST:,} bytes")
        elif secret is not UNSET:
            fields.values["secret"] = secret
    fields.text("description", description, high=10_000)
    fields.ids("environment_ids", environment_ids)
    fields.done()
    return fields.values


async def _check_environments(session: AsyncSession, ids: Sequence[UUID]) -> None:
    if ids and (unknown := await missing(session, Environment, ids)):
        raise InvalidFields(("environment_ids", f"environment {unknown[0]} not found"))


async def _check_together(session: AsyncSession, variable: Variable) -> None:
    """Raise ``InvalidFields`` where another variable would tie with this one, or where
    the secret would show in the arguments of a command.
    """
    others = await session.scalars(
        select(Variable).where(Variable.name == variable.name, Variable.id != variable.id)
    )
    mine = set(variable.environment_ids)
    for other in others:
        if other.is_secret != variable.is_secret:
            continue
        theirs = set(other.environment_ids)
        if mine & theirs or not (mine or theirs):
            where = await _names(session, mine & theirs)
            kind = "secret" if other.is_secret else "value"
            place = f"is for {where}" if where else "is the default"
            raise InvalidFields(("name", f"another {kind} of {variable.name} {place} too"))
    if variable.is_secret and (commands := await argv_commands_naming(session, variable.name)):
        raise InvalidFields(("name", f"the command {commands[0]!r} names it: {OF_PROCESSES}"))


async def _names(session: AsyncSession, ids: Iterable[UUID]) -> str:
    statement = select(Environment.name).where(Environment.id.in_(ids)).order_by(Environment.name)
    return ", ".join((await session.scalars(statement)).all())


def _owner(variable: Variable) -> str:
    return f"variable {variable.id}"
