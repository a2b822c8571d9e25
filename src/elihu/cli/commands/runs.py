"""``elihu commands run|kill|retry``."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from elihu.cli.commands.group import (
    command_named,
    commands,
    environment_named,
    fields_as_flags,
    with_workspace,
)
from elihu.cli.commands.history import run_fields
from elihu.cli.complete import NamesOf
from elihu.cli.group import Failure
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from elihu.cli.commands.group import Workspace
    from elihu.commands.models import CommandJob

Start = Callable[["AsyncSession", "Workspace"], Awaitable["CommandJob"]]

WILL_NOT_RUN: Final = ("skipped", "cancelled")

_FOLLOW = click.option(
    "--follow", is_flag=True, help="Print its output until it ends; fail if it did not succeed."
)


@commands.command("run")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("command"))
@click.option(
    "--environment",
    metavar="NAME",
    shell_complete=NamesOf("environment"),
    help="Default: the first one of its schedules.",
)
@click.option("--force", is_flag=True, help="Also if disabled, and beside runs under way.")
@click.option("--in", "delay", type=float, metavar="SECONDS", help="Later, not now.")
@_FOLLOW
@shared_options
@pass_shared_options
def run(
    options: SharedOptions,
    /,
    name: str,
    environment: str | None,
    force: bool,
    delay: float | None,
    follow: bool,
) -> None:
    """Run a command now and print the id of the run. A node executes it."""

    async def start(session: "AsyncSession", space: "Workspace") -> "CommandJob":
        from elihu.commands.rules import runs as rules

        command = await command_named(session, name)
        place = None if environment is None else (await environment_named(session, environment)).id
        if delay is None:
            return await rules.run(
                session, space.host, command.id, environment_id=place, force=force
            )
        return await rules.run_in(
            session,
            space.host,
            command.id,
            delay_seconds=delay,
            environment_id=place,
            force=force,
        )

    with fields_as_flags({"delay_seconds": "--in"}):
        _start(options, start, follow=follow)


@commands.command("retry")
@click.argument("run_id", metavar="[RUN]", type=click.UUID, required=False)
@click.option("--last-failed", metavar="NAME", help="The last failed run of this command.")
@_FOLLOW
@shared_options
@pass_shared_options
def retry(
    options: SharedOptions, /, run_id: UUID | None, last_failed: str | None, follow: bool
) -> None:
    """Run a command again, and print the id of the run.

    It runs in the same environment, whatever is disabled.
    """
    if (run_id is None) == (last_failed is None):
        raise click.UsageError(
            f"expected a run or --last-failed, got {'neither' if run_id is None else 'both'}"
        )

    async def start(session: "AsyncSession", space: "Workspace") -> "CommandJob":
        from elihu.commands.rules import history
        from elihu.commands.rules import runs as rules

        if last_failed is not None:
            command = await command_named(session, last_failed)
            return await rules.retry_last_failed(session, space.host, command.id)
        assert run_id is not None
        await history.get(session, run_id)
        events = await history.events(session, run_id=run_id, limit=1)
        if not events.items:
            raise Failure(f"run {run_id} has not started: nothing to run again")
        return await rules.retry(session, space.host, events.items[0].id)

    _start(options, start, follow=follow)


@commands.command("kill")
@click.argument("ids", metavar="RUN...", type=click.UUID, nargs=-1, required=True)
@click.option("--reason", metavar="TEXT", default="killed", help="Kept with the run.")
@shared_options
@pass_shared_options
def kill(options: SharedOptions, /, ids: tuple[UUID, ...], reason: str) -> None:
    """End runs, whatever attempts are left. Queued ones are cancelled."""
    from elihu.cli.output import print_json

    async def end(space: "Workspace") -> list[dict[str, Any]]:
        from elihu.commands.models import ACTIVE
        from elihu.commands.rules import history
        from elihu.commands.rules import runs as rules

        ended = []
        async with space.sessions.begin() as session:
            for run_id in ids:
                active = (await history.get(session, run_id)).status in ACTIVE
                row = await rules.kill(session, space.host, run_id, reason=reason)
                if active:
                    await space.record(
                        session,
                        "kill",
                        "run",
                        object_id=row.id,
                        name=row.command_name,
                        after={"reason": reason},
                    )
                ended.append({"id": row.id, "status": row.status, "changed": active})
        return ended

    rows = with_workspace(options, end)
    if options.json:
        print_json(rows)
    if not any(row["changed"] for row in rows):
        raise Failure(
            "no run killed: " + "; ".join(f"{row['id']} has ended, {row['status']}" for row in rows)
        )
    if options.json:
        return
    for row in rows:
        if not row["changed"]:
            click.echo(f"run {row['id']} has ended, {row['status']}")
        else:
            ended = row["status"] in {"killed", "cancelled"}
            click.echo(f"run {row['id']} {row['status'] if ended else 'is being killed'}")


def _start(options: SharedOptions, start: Start, *, follow: bool) -> None:
    """Start a run, print it, and follow it."""
    if follow and options.json:
        raise click.UsageError("expected --follow or --json, got both")
    from elihu.cli.output import print_json

    async def started(space: "Workspace") -> dict[str, Any]:
        async with space.sessions.begin() as session:
            row = run_fields(await start(session, space))
            await space.record(
                session,
                "run",
                "command",
                object_id=row["command_id"],
                name=row["command_name"],
                after={name: row[name] for name in ("id", "source", "forced", "status")},
            )
        if follow and row["status"] not in WILL_NOT_RUN:
            from elihu.cli.commands.follow import OutputPrinter

            click.echo(f"elihu: run {row['id']}", err=True)
            return run_fields(await OutputPrinter().print(space, row["id"], follow=True))
        return row

    row = with_workspace(options, started)
    if options.json:
        print_json(row)
    if row["status"] in WILL_NOT_RUN or (follow and row["status"] != "succeeded"):
        raise Failure(f"run {row['id']} {row['status']}: {row['reason']}")
    if not options.json and not follow:
        click.echo(row["id"])
