"""Alerts: who learns of failed, late and other runs, by webhook or e-mail."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final, get_args
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import InvalidFields
from elihu.commands.alerts import send_test
from elihu.commands.host import Host
from elihu.commands.models import (
    Alert,
    AlertCommand,
    AlertEnvironment,
    AlertEvent,
    Channel,
    Command,
    Environment,
)
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
from elihu.commands.webhook import is_public

KIND: Final = "alert"
_ADDRESS: Final = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")


async def create(
    session: AsyncSession,
    host: Host,
    *,
    name: str,
    on: Sequence[AlertEvent],
    channel: Channel,
    target: str,
    secret: str | None = None,
    enabled: bool = True,
    command_ids: Sequence[UUID] = (),
    environment_ids: Sequence[UUID] = (),
) -> Alert:
    """Store an alert. ``target`` is a URL or an e-mail address; ``secret`` signs the
    webhook. No commands, or no environments, means all. Raises ``InvalidFields``,
    ``NameTaken`` and ``SecretError``.
    """
    values, commands, environments = await _checked(
        session, name, on, channel, target, secret, enabled, command_ids, environment_ids
    )
    _check_target(host, channel, target)
    values.pop("secret", None)
    alert = Alert(
        **values,
        commands=[AlertCommand(command_id=each) for each in commands or []],
        environments=[AlertEnvironment(environment_id=each) for each in environments or []],
    )
    await add(session, alert, KIND)
    if secret is not None:
        alert.secret = host.keyring().encrypt(secret, _owner(alert))
        await flush(session, alert, KIND)
    return alert


async def update(
    session: AsyncSession,
    host: Host,
    alert_id: UUID,
    *,
    version: int | None = None,
    name: str | Unset = UNSET,
    on: Sequence[AlertEvent] | Unset = UNSET,
    channel: Channel | Unset = UNSET,
    target: str | Unset = UNSET,
    secret: str | Unset | None = UNSET,
    enabled: bool | Unset = UNSET,
    command_ids: Sequence[UUID] | Unset = UNSET,
    environment_ids: Sequence[UUID] | Unset = UNSET,
) -> Alert:
    """Change an alert; ``secret=None`` removes the secret. Raises ``RecordNotFound``,
    ``RecordChanged``, ``InvalidFields``, ``NameTaken`` and ``SecretError``.
    """
    values, commands, environments = await _checked(
        session, name, on, channel, target, secret, enabled, command_ids, environment_ids
    )
    await one_at_a_time(session)
    alert = await lock(session, Alert, alert_id, KIND, version)
    _check_target(host, values.get("channel", alert.channel), values.get("target", alert.target))
    if isinstance(secret, str):
        values["secret"] = host.keyring().encrypt(secret, _owner(alert))
    if commands is not None:
        known = {link.command_id: link for link in alert.commands}
        alert.commands = [known.get(each) or AlertCommand(command_id=each) for each in commands]
    if environments is not None:
        places = {link.environment_id: link for link in alert.environments}
        alert.environments = [
            places.get(each) or AlertEnvironment(environment_id=each) for each in environments
        ]
    await change(session, alert, values, KIND)
    return alert


async def delete(session: AsyncSession, alert_id: UUID, *, version: int | None = None) -> Alert:
    """Delete an alert. Raises ``RecordNotFound`` and ``RecordChanged``."""
    alert = await lock(session, Alert, alert_id, KIND, version)
    await session.delete(alert)
    await session.flush()
    return alert


async def get(session: AsyncSession, alert_id: UUID) -> Alert:
    """Raises ``RecordNotFound``."""
    return await find(session, Alert, alert_id, KIND)


async def find_all(
    session: AsyncSession,
    *,
    enabled: bool | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Page[Alert]:
    """A page of alerts, oldest first."""
    statement = select(Alert)
    if enabled is not None:
        statement = statement.where(Alert.enabled.is_(enabled))
    return await page(session, statement, Alert, after=after, limit=limit)


async def test(session: AsyncSession, host: Host, alert_id: UUID) -> Alert:
    """Send a test, also where the alert is disabled. Raises ``RecordNotFound``."""
    alert = await get(session, alert_id)
    await send_test(session, host, alert.id)
    return alert


async def reencrypt(session: AsyncSession, keyring: Keyring) -> int:
    """Encrypt the secrets of all alerts with the current key; how many changed. Raises
    ``SecretError``.
    """
    changed = 0
    statement = select(Alert).where(Alert.secret.is_not(None)).order_by(Alert.id)
    for alert in await session.scalars(statement.with_for_update(key_share=True)):
        if alert.secret is not None and not keyring.is_current(alert.secret):
            text = keyring.decrypt(alert.secret, _owner(alert))
            alert.secret = keyring.encrypt(text, _owner(alert))
            changed += 1
    await session.flush()
    return changed


def secret_of(alert: Alert, keyring: Keyring) -> str | None:
    """The secret that signs a webhook. Raises ``SecretError``."""
    return None if alert.secret is None else keyring.decrypt(alert.secret, _owner(alert))


async def _checked(
    session: AsyncSession,
    name: Any,
    on: Any,
    channel: Any,
    target: Any,
    secret: Any,
    enabled: Any,
    command_ids: Any,
    environment_ids: Any,
) -> tuple[dict[str, Any], list[UUID] | None, list[UUID] | None]:
    fields = Fields()
    fields.name("name", name)
    fields.words("on", on, get_args(AlertEvent))
    fields.one_of("channel", channel, get_args(Channel))
    fields.text("target", target, low=1, high=2_000, lines=False)
    if secret is None:
        fields.values["secret"] = None
    elif secret is not UNSET and (
        not isinstance(secret, str) or not 8 <= len(secret) <= 1_000 or not secret.isprintable()
    ):
        fields.fail("secret", "expected 8 to 1,000 printable characters, got something else")
    fields.flag("enabled", enabled)
    fields.ids("command_ids", command_ids)
    fields.ids("environment_ids", environment_ids)
    commands = fields.values.pop("command_ids", None)
    environments = fields.values.pop("environment_ids", None)
    if commands and (unknown := await missing(session, Command, commands)):
        fields.fail("command_ids", f"command {unknown[0]} not found")
    if environments and (unknown := await missing(session, Environment, environments)):
        fields.fail("environment_ids", f"environment {unknown[0]} not found")
    fields.done()
    return fields.values, commands, environments


def _check_target(host: Host, channel: str, target: str) -> None:
    """Raise ``InvalidFields`` for a target that cannot be reached by the channel, or
    that is an address in a private network.
    """
    if channel == "email":
        if not _ADDRESS.fullmatch(target):
            raise InvalidFields(("target", f"expected an e-mail address, got {target!r:.80}"))
        return
    try:
        parts = urlsplit(target)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable or parts.username is not None:
        raise InvalidFields(
            ("target", "expected an http or https URL without a user in it, got something else")
        )
    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        return  # a name is checked when it is looked up
    if not is_public(address) and not host.config.commands.private_targets:
        raise InvalidFields(
            (
                "target",
                f"{address} is in a private network: set commands.private_targets to allow that",
            )
        )


def _owner(alert: Alert) -> str:
    return f"alert {alert.id}"
