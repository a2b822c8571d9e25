"""``elihu keys``."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from elihu.cli.accounts import as_values, in_transaction
from elihu.cli.group import ExtraGroup
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

_COLUMNS = ("id", "name", "user", "start", "role", "areas", "expires_at", "used_at")


@click.group(cls=ExtraGroup, extra="elihu[web]")
@shared_options
def keys() -> None:
    """List and change keys, with which programs use the JSON API."""


@keys.command("ls")
@shared_options
@pass_shared_options
def ls(options: SharedOptions) -> None:
    """List the keys, without their texts."""
    from elihu.accounts import keys as rules
    from elihu.accounts import users
    from elihu.cli.output import print_json, print_table

    async def work(session: "AsyncSession") -> list[dict[str, Any]]:
        names = {user.id: user.name for user in await users.find_all(session)}
        columns = [column for column in _COLUMNS if column != "user"]
        return [
            as_values(key, *columns) | {"user": names.get(key.user_id, "")}
            for key in await rules.find_all(session)
        ]

    found = in_transaction(options, work)
    if options.json:
        print_json(found)
    else:
        print_table(_COLUMNS, [[each[column] for column in _COLUMNS] for each in found])


@keys.command("add")
@click.argument("name")
@click.option("--user", required=True, metavar="NAME", help="Whose key it is.")
@click.option(
    "--role",
    type=click.Choice(["view", "run", "edit", "admin"]),
    required=True,
    help="What the key may do; at most what its user may.",
)
@click.option("--areas", metavar="AREA,…", help="The parts of the API that it may use.")
@click.option(
    "--days",
    type=click.IntRange(1, 3_660),
    default=90,
    show_default=True,
    help="How long it lives.",
)
@click.option("--no-expiry", is_flag=True, help="It works until it is revoked.")
@shared_options
@pass_shared_options
def add(
    options: SharedOptions,
    /,
    name: str,
    user: str,
    role: str,
    areas: str | None,
    days: int,
    no_expiry: bool,
) -> None:
    """Make a key and print it: it is shown only now."""
    from elihu.accounts import keys as rules
    from elihu.accounts import users
    from elihu.cli.audit_rows import actor
    from elihu.cli.output import print_json

    async def work(session: "AsyncSession") -> dict[str, Any]:
        key, text = await rules.add(
            session,
            actor(),
            await users.named(session, user),
            name=name,
            role=role,
            areas=None if areas is None else [area.strip() for area in areas.split(",")],
            lifetime=None if no_expiry else timedelta(days=days),
        )
        return {"id": key.id, "name": key.name, "key": text, "expires_at": key.expires_at}

    made = in_transaction(options, work)
    if options.json:
        print_json(made)
    else:
        click.echo(made["key"])


@keys.command("revoke")
@click.argument("key_id", metavar="ID", type=click.UUID)
@shared_options
@pass_shared_options
def revoke(options: SharedOptions, /, key_id: UUID) -> None:
    """Delete a key: it signs in no more."""
    from elihu.accounts import keys as rules
    from elihu.cli.audit_rows import actor

    async def work(session: "AsyncSession") -> None:
        await rules.revoke(session, actor(), await rules.get(session, key_id))

    in_transaction(options, work)
    click.echo(f"key {key_id} revoked")
