"""``elihu audit``."""

from typing import TYPE_CHECKING, Any

import click

from elihu.cli.accounts import as_values, in_transaction
from elihu.cli.group import ExtraGroup
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

_COLUMNS = ("at", "user_name", "via", "address", "action", "object_name", "before", "after")


@click.group(cls=ExtraGroup, extra="elihu[web]")
@shared_options
def audit() -> None:
    """Read who changed what."""


@audit.command("ls")
@click.option("--user", metavar="NAME", help="Only what this user did.")
@click.option("--kind", metavar="KIND", help="Only changes of such things: command, user, …")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@shared_options
@pass_shared_options
def ls(options: SharedOptions, /, user: str | None, kind: str | None, limit: int) -> None:
    """List the latest changes, newest first."""
    from elihu.accounts import audit as rules
    from elihu.cli.output import print_json, print_table

    async def work(session: "AsyncSession") -> list[dict[str, Any]]:
        page = await rules.find_all(session, user=user, kind=kind, limit=limit)
        return [as_values(entry, "id", *_COLUMNS, "kind", "object_id") for entry in page.items]

    found = in_transaction(options, work)
    if options.json:
        print_json(found)
    else:
        print_table(_COLUMNS, [[each[column] for column in _COLUMNS] for each in found])
