"""The group ``elihu commands``, and how its commands reach the scheduler."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from elihu.cli.group import ExtraGroup, Failure, nearest
from elihu.cli.options import SharedOptions, shared_options
from elihu.cli.scheduler import EXTRA
from elihu.errors import InvalidFields, NameTaken, UnknownTask

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from elihu.app import Elihu
    from elihu.commands import Host
    from elihu.commands.models import Alert, Command, Environment
    from elihu.orm.sessions import Sessions

T = TypeVar("T")


@click.group(cls=ExtraGroup, extra=EXTRA)
@shared_options
def commands() -> None:
    """Keep shell commands, run them, and see what happened.

    NAME is the name of a command in any case, or its id. RUN is the id of a run.
    """


@dataclass(frozen=True, slots=True)
class Workspace:
    """What a command works with. Changes leave audit rows where the tables of accounts
    are there.
    """

    host: "Host"
    audits: bool

    @property
    def sessions(self) -> "Sessions":
        """Sessions on the app's database."""
        return self.host.sessions

    async def record(
        self,
        session: "AsyncSession",
        action: str,
        kind: str,
        *,
        object_id: object = None,
        name: str | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Leave an audit row in the transaction of a change."""
        if self.audits:
            from elihu.accounts.audit import record
            from elihu.cli.audit_rows import actor

            await record(
                session,
                actor(),
                f"{kind}.{action}",
                kind,
                object_id=object_id,
                object_name=name,
                before=before,
                after=after,
            )


def with_workspace(options: SharedOptions, work: "Callable[[Workspace], Awaitable[T]]") -> T:
    """Do something with the scheduler of the app, and close both. Raises
    ``SchemaOutdated`` where its tables are absent.
    """
    from elihu.cli.audit_rows import has_accounts
    from elihu.cli.load_app import open_app, run
    from elihu.commands import CommandScheduler, Host
    from elihu.commands.host import RUN_TASK
    from elihu.orm.sessions import Sessions

    async def whole(app: "Elihu") -> T:
        await app.tables.check("commands")
        try:
            app.task_named(RUN_TASK)
        except UnknownTask:
            host = CommandScheduler(app).host
        else:
            host = Host(app, Sessions(app))
        try:
            return await work(Workspace(host, audits=await has_accounts(app)))
        finally:
            await host.sessions.aclose()

    return run(open_app(options), whole)


async def command_named(session: "AsyncSession", name: str) -> "Command":
    """The command with this name or id. Raises ``Failure``."""
    from elihu.commands.models import Command

    return await _named(session, Command, name, "command")


async def environment_named(session: "AsyncSession", name: str) -> "Environment":
    """The environment with this name or id. Raises ``Failure``."""
    from elihu.commands.models import Environment

    return await _named(session, Environment, name, "environment")


async def alert_named(session: "AsyncSession", name: str) -> "Alert":
    """The alert with this name or id. Raises ``Failure``."""
    from elihu.commands.models import Alert

    return await _named(session, Alert, name, "alert")


async def _named(session: "AsyncSession", model: type[T], name: str, kind: str) -> T:
    from elihu.commands.rules.names import by_name, names_of

    found = await by_name(session, model, name)
    if found is None:
        known = await names_of(session, model)
        raise Failure(f"{kind} {name!r} not found{nearest(name, known)}")
    return found


@contextmanager
def fields_as_flags(names: Mapping[str, str]) -> Iterator[None]:
    """Turn a refusal of values into wrong use. ``names`` maps a field to its flag where
    the flag is not ``--field``.
    """
    try:
        yield
    except NameTaken:
        raise
    except InvalidFields as error:
        raise click.UsageError(
            "; ".join(
                f"{names.get(field, '--' + field.replace('_', '-'))}: {detail}"
                for field, detail in error.errors
            )
        ) from error


def chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in given.items() if value is not None and value != ()}
