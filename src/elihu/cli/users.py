"""``elihu users``."""

from typing import TYPE_CHECKING, Any

import click

from elihu.cli.accounts import as_values, asked_password, in_transaction
from elihu.cli.group import ExtraGroup
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

ROLES = click.Choice(["view", "run", "edit", "admin"])
_COLUMNS = ("name", "role", "enabled", "created_at", "signed_in_at")
_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


@click.group(cls=ExtraGroup, extra="elihu[web]")
@shared_options
def users() -> None:
    """List and change who may use the page and the JSON API.

    Roles: view reads; run also runs, retries and kills; edit also changes what is run;
    admin also changes users.
    """


@users.command("ls")
@shared_options
@pass_shared_options
def ls(options: SharedOptions) -> None:
    """List the users."""
    from elihu.accounts import users as rules
    from elihu.cli.output import print_json, print_table

    async def work(session: "AsyncSession") -> list[dict[str, Any]]:
        return [as_values(user, "id", *_COLUMNS) for user in await rules.find_all(session)]

    found = in_transaction(options, work)
    if options.json:
        print_json(found)
    else:
        print_table(_COLUMNS, [[each[column] for column in _COLUMNS] for each in found])


@users.command("add")
@click.argument("name")
@click.option("--role", type=ROLES, required=True, help="What the user may do.")
@click.option("--no-password", is_flag=True, help="Only keys of this user sign in.")
@_STDIN
@shared_options
@pass_shared_options
def add(
    options: SharedOptions, /, name: str, role: str, no_password: bool, password_stdin: bool
) -> None:
    """Add a user. The tables of accounts are made where there are none."""
    from elihu.accounts import users as rules
    from elihu.cli.audit_rows import actor

    password = None if no_password else asked_password(stdin=password_stdin)

    async def work(session: "AsyncSession") -> str:
        return (await rules.add(session, actor(), name, role, password)).name

    click.echo(f"user {in_transaction(options, work, make=True)} added ({role})")


@users.command("passwd")
@click.argument("name")
@_STDIN
@shared_options
@pass_shared_options
def passwd(options: SharedOptions, /, name: str, password_stdin: bool) -> None:
    """Set a user's password and end the user's sessions."""
    _change(options, name, password=asked_password(stdin=password_stdin))
    click.echo(f"user {name}: password set, sessions ended")


@users.command("role")
@click.argument("name")
@click.argument("role", type=ROLES)
@shared_options
@pass_shared_options
def role(options: SharedOptions, /, name: str, role: str) -> None:
    """Change a user's role."""
    _change(options, name, role=role)
    click.echo(f"user {name} is {role} now")


@users.command("enable")
@click.argument("name")
@shared_options
@pass_shared_options
def enable(options: SharedOptions, /, name: str) -> None:
    """Let a user sign in again."""
    _change(options, name, enabled=True)
    click.echo(f"user {name} enabled")


@users.command("disable")
@click.argument("name")
@shared_options
@pass_shared_options
def disable(options: SharedOptions, /, name: str) -> None:
    """Let a user sign in no more, and end the user's sessions."""
    _change(options, name, enabled=False)
    click.echo(f"user {name} disabled")


@users.command("rm")
@click.argument("name")
@shared_options
@pass_shared_options
def rm(options: SharedOptions, /, name: str) -> None:
    """Delete a user with sessions and keys. Audit rows stay."""
    from elihu.accounts import users as rules
    from elihu.cli.audit_rows import actor

    async def work(session: "AsyncSession") -> None:
        await rules.delete(session, actor(), await rules.named(session, name))

    in_transaction(options, work)
    click.echo(f"user {name} deleted")


@users.command("sign-out")
@click.argument("name")
@shared_options
@pass_shared_options
def sign_out(options: SharedOptions, /, name: str) -> None:
    """End a user's sessions in all browsers. Keys still work."""
    from elihu.accounts import audit, signed_in
    from elihu.accounts import users as rules
    from elihu.cli.audit_rows import actor

    async def work(session: "AsyncSession") -> int:
        user = await rules.named(session, name)
        await audit.record(
            session,
            actor(),
            "user.sign_out",
            rules.KIND,
            object_id=user.id,
            object_name=user.name,
        )
        return await signed_in.end_all(session, user.id)

    ended = in_transaction(options, work)
    click.echo(f"user {name}: {ended} sessions ended")


def _change(options: SharedOptions, name: str, **values: Any) -> None:
    from elihu.accounts import users as rules
    from elihu.cli.audit_rows import actor

    async def work(session: "AsyncSession") -> None:
        await rules.change(session, actor(), await rules.named(session, name), **values)

    in_transaction(options, work)
