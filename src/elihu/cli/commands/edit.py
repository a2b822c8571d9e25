"""``elihu commands ls|add|edit|enable|disable``."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

import click

from elihu.cli.commands.group import (
    chosen,
    command_named,
    commands,
    fields_as_flags,
    with_workspace,
)
from elihu.cli.complete import NamesOf
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from elihu.cli.commands.group import Workspace
    from elihu.commands.models import Command

F = TypeVar("F", bound=Callable[..., Any])

MOST_ON_A_PAGE: Final = 1_000
TEXT_SHOWN: Final = 60
_FLAGS: Final = {"name": "NAME", "shell_command": "COMMAND", "expression": "--cron"}
_FIELDS: Final = (
    "id",
    "name",
    "shell_command",
    "enabled",
    "timeout",
    "max_attempts",
    "overlap",
    "mode",
    "working_directory",
    "output_limit",
    "rerun_lost",
    "keep_background",
    "memory_limit",
    "cpu_seconds",
    "open_files",
    "version",
    "created_at",
    "updated_at",
)
_OPTIONS: Final = (
    click.option("--timeout", type=float, metavar="SECONDS", help="Default 60."),
    click.option("--max-attempts", type=int, metavar="N", help="Default 1."),
    click.option(
        "--overlap",
        type=click.Choice(["skip", "queue_one", "queue_all", "cancel_running", "allow"]),
        help="What follows when it still runs. Default skip.",
    ),
    click.option("--mode", type=click.Choice(["shell", "argv"]), help="Default shell."),
    click.option("--working-directory", metavar="PATH", help="Default: that of the node."),
    click.option("--output-limit", type=int, metavar="BYTES", help="Default 10 MiB."),
    click.option("--memory-limit", type=int, metavar="BYTES", help="Of all its processes."),
    click.option("--cpu-seconds", type=int, metavar="N", help="Of all its processes."),
    click.option("--open-files", type=int, metavar="N", help="Of each process."),
    click.option(
        "--rerun-lost/--no-rerun-lost", default=None, help="Run again when its node died."
    ),
    click.option(
        "--keep-background/--no-keep-background",
        default=None,
        help="Let background processes of a finished command live.",
    ),
)


def _options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@commands.command("ls")
@click.option("--text", metavar="TEXT", help="Only those whose name or command has it.")
@click.option("--limit", type=click.IntRange(1, MOST_ON_A_PAGE), default=100, show_default=True)
@click.option("--after", type=click.UUID, metavar="ID", help="Continue after this id.")
@shared_options
@pass_shared_options
def ls(options: SharedOptions, /, text: str | None, limit: int, after: UUID | None) -> None:
    """List commands with their schedules."""
    from elihu.cli.output import print_json, print_table

    async def read(space: "Workspace") -> tuple[list[dict[str, Any]], UUID | None]:
        from elihu.commands.rules import commands as rules

        async with space.sessions.read() as session:
            page = await rules.find_all(session, text=text, after=after, limit=limit)
            return [await _row(session, row) for row in page.items], page.next

    rows, following = with_workspace(options, read)
    if options.json:
        print_json({"items": rows, "next": following})
        return
    columns = ("name", "enabled", "crons", "environments", "timeout", "overlap", "shell_command")
    print_table(columns, [[_short(name, row[name]) for name in columns] for row in rows])
    if following is not None:
        click.echo(f"elihu: more commands: add --after {following}", err=True)


@commands.command("add")
@click.argument("name", metavar="NAME")
@click.argument("shell_command", metavar="COMMAND")
@_options
@click.option("--disabled", is_flag=True, help="Store it without running it.")
@click.option(
    "--cron",
    "crons",
    multiple=True,
    metavar="CRON",
    help="Schedule it: an expression, or the name of a cron; repeatable.",
)
@click.option("--timezone", metavar="ZONE", default="UTC", help="Of new crons. Default UTC.")
@click.option(
    "--environment",
    "places",
    multiple=True,
    metavar="NAME",
    shell_complete=NamesOf("environment"),
    help="Repeatable; made if absent.",
)
@shared_options
@pass_shared_options
def add(
    options: SharedOptions,
    /,
    disabled: bool,
    crons: tuple[str, ...],
    timezone: str,
    places: tuple[str, ...],
    **given: Any,
) -> None:
    """Store a command and its schedule.

    There is a schedule where --cron or --environment is given. Without --environment it
    is for the environment "default".
    """
    from elihu.cli.output import cell

    async def store(space: "Workspace") -> dict[str, Any]:
        from elihu.commands.rules import commands as rules
        from elihu.commands.rules import schedules
        from elihu.commands.rules.presets import cron_for, environment_for

        async with space.sessions.begin() as session:
            command = await rules.create(session, enabled=not disabled, **chosen(given))
            if crons or places:
                await schedules.create(
                    session,
                    command_id=command.id,
                    environment_ids=[
                        (await environment_for(session, place)).id
                        for place in places or ["default"]
                    ],
                    cron_ids=[(await cron_for(session, cron, timezone)).id for cron in crons],
                )
            row = await _row(session, command)
            await _record(space, session, "add", None, row)
            return row

    with fields_as_flags(_FLAGS):
        row = with_workspace(options, store)
    _print(options, row, f"command {cell(row['name'])} added")


@commands.command("edit")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("command"))
@click.option("--name", "new_name", metavar="NAME", help="Its new name.")
@click.option("--command", "shell_command", metavar="COMMAND", help="What it runs.")
@_options
@shared_options
@pass_shared_options
def edit(options: SharedOptions, /, name: str, new_name: str | None, **given: Any) -> None:
    """Change a command. Runs that are under way keep what they began with."""
    from elihu.cli.output import cell

    changes = chosen({**given, "name": new_name})
    if not changes:
        raise click.UsageError("expected at least one option to change, got none")

    async def store(space: "Workspace") -> dict[str, Any]:
        async with space.sessions.begin() as session:
            command = await command_named(session, name)
            return await _update(space, session, command, changes)

    with fields_as_flags({"name": "--name", "shell_command": "--command"}):
        row = with_workspace(options, store)
    _print(options, row, f"command {cell(row['name'])} changed")


def _switch(verb: str, line: str, *, enabled: bool) -> None:
    """Add a command that enables or disables commands."""

    @commands.command(verb, help=line)
    @click.argument(
        "names", metavar="NAME...", nargs=-1, required=True, shell_complete=NamesOf("command")
    )
    @shared_options
    @pass_shared_options
    def switch(options: SharedOptions, /, names: tuple[str, ...]) -> None:
        from elihu.cli.output import cell, print_json

        async def store(space: "Workspace") -> list[dict[str, Any]]:
            async with space.sessions.begin() as session:
                return [
                    await _update(
                        space, session, await command_named(session, name), {"enabled": enabled}
                    )
                    for name in names
                ]

        rows = with_workspace(options, store)
        if options.json:
            print_json(rows)
            return
        for row in rows:
            click.echo(f"command {cell(row['name'])} {verb}d")


_switch("enable", "Let commands run again.", enabled=True)
_switch("disable", "Keep commands from running. Runs under way continue.", enabled=False)


async def _update(
    space: "Workspace", session: "AsyncSession", command: "Command", changes: dict[str, Any]
) -> dict[str, Any]:
    from elihu.commands.rules import commands as rules

    before = await _row(session, command)
    after = await _row(session, await rules.update(session, command.id, **changes))
    await _record(space, session, "change", before, after)
    return after


async def _record(
    space: "Workspace",
    session: "AsyncSession",
    action: str,
    before: dict[str, Any] | None,
    after: dict[str, Any],
) -> None:
    await space.record(
        session,
        action,
        "command",
        object_id=after["id"],
        name=after["name"],
        before=before,
        after=after,
    )


async def _row(session: "AsyncSession", command: "Command") -> dict[str, Any]:
    """The fields of a command, and the names of what schedules it."""
    from elihu.commands.rules.presets import schedule_names

    crons, environments = await schedule_names(session, command.id)
    return {
        **{name: getattr(command, name) for name in _FIELDS},
        "crons": crons,
        "environments": environments,
    }


def _short(name: str, value: object) -> object:
    if name == "shell_command":
        text = str(value)
        return text if len(text) <= TEXT_SHOWN else f"{text[: TEXT_SHOWN - 1]}…"
    if name == "timeout" and isinstance(value, float):
        return f"{value:g}"
    return ", ".join(value) or None if isinstance(value, list) else value


def _print(options: SharedOptions, row: dict[str, Any], text: str) -> None:
    from elihu.cli.output import print_json

    if options.json:
        print_json(row)
        return
    click.echo(text)
