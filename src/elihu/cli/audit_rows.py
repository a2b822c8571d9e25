"""Audit rows of what the command line changes, where the tables of accounts are there."""

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from elihu.cli.group import Failure, is_of_extra
from elihu.errors import DatabaseError, SchemaError

if TYPE_CHECKING:
    from elihu.accounts.roles import Actor
    from elihu.app import Elihu

T = TypeVar("T")


def actor() -> "Actor":
    """Who acts. The address is the user of this process and the machine."""
    from dataclasses import replace
    from pwd import getpwuid

    from elihu.accounts.roles import COMMAND_LINE

    try:
        user = getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return replace(COMMAND_LINE, address=f"{user}@{socket.gethostname()}")


async def has_accounts(app: "Elihu") -> bool:
    """Whether the tables of accounts are there and can be used."""
    try:
        await app.tables.check("accounts")
    except SchemaError:
        return False
    return True


async def record(
    app: "Elihu",
    action: str,
    *,
    object_id: object = None,
    object_name: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Leave an audit row of a change that is done. ``action`` begins with the kind of thing
    that was changed. Raises ``Failure`` where the row cannot be stored.
    """
    try:
        if not await has_accounts(app):
            return
        from elihu.accounts import audit
        from elihu.orm.sessions import Sessions

        sessions = Sessions(app)
        try:
            async with sessions.begin() as session:
                await audit.record(
                    session, actor(), action, action.partition(".")[0], object_id=object_id,
                    object_name=object_name, before=before, after=after,
                )  # fmt: skip
        finally:
            await sessions.aclose()
    except ModuleNotFoundError as error:
        if not is_of_extra(error):
            raise
        click.echo(f"elihu: warning: no audit row of {action}: {error.name} is missing", err=True)
    except DatabaseError as error:
        raise Failure(f"{action} is done and has no audit row: {error}") from error


def audited(
    action: str,
    work: "Callable[[Elihu], Awaitable[T]]",
    facts: Callable[[T], Mapping[str, Any] | None],
) -> "Callable[[Elihu], Awaitable[T]]":
    """``work`` with an audit row after it. ``facts`` of its result are what ``record``
    takes, None where nothing was changed.
    """

    async def whole(app: "Elihu") -> T:
        result = await work(app)
        found = facts(result)
        if found is not None:
            await record(app, action, **found)
        return result

    return whole
