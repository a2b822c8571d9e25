"""What ``elihu users``, ``elihu keys`` and ``elihu audit`` share."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from elihu.cli.options import SharedOptions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from elihu.app import Elihu
    from elihu.orm.sessions import Sessions

T = TypeVar("T")


def in_transaction(
    options: SharedOptions, work: "Callable[[AsyncSession], Awaitable[T]]", *, make: bool = False
) -> T:
    """Do work in one transaction on the tables of accounts. With ``make`` they are made
    first.
    """
    from elihu.cli.load_app import open_app, run

    async def whole(app: "Elihu") -> T:
        sessions = await open_sessions(app, make=make)
        try:
            async with sessions.begin() as session:
                return await work(session)
        finally:
            await sessions.aclose()

    return run(open_app(options), whole)


async def open_sessions(app: "Elihu", *, make: bool) -> "Sessions":
    """Sessions on the tables of accounts. Raises ``SchemaOutdated`` without ``make``."""
    from elihu.orm.sessions import Sessions

    if make:
        await app.migrate("accounts")
    else:
        await app.tables.check("accounts")
    return Sessions(app)


def asked_password(*, stdin: bool) -> str:
    """A password, asked for twice on the terminal, or the first line of standard input."""
    if stdin:
        line = sys.stdin.readline().rstrip("\n")
        if not line:
            raise click.UsageError("--password-stdin: expected a line on standard input, got none")
        return line
    password: str = click.prompt(
        "Password", hide_input=True, confirmation_prompt="The same again", err=True
    )
    return password


def as_values(record: Any, *columns: str) -> dict[str, Any]:
    """Some attributes of a row."""
    return {column: getattr(record, column) for column in columns}
