"""``elihu commands runs|output``."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from elihu.cli.commands.edit import MOST_ON_A_PAGE
from elihu.cli.commands.group import (
    command_named,
    commands,
    environment_named,
    with_workspace,
)
from elihu.cli.complete import NamesOf
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from elihu.cli.commands.group import Workspace
    from elihu.commands.models import CommandJob

STATUSES: Final = (
    "queued",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "timed_out",
    "killed",
    "skipped",
    "lost",
    "cancelled",
)
_FIELDS: Final = (
    "id",
    "command_id",
    "command_name",
    "environment_id",
    "environment_name",
    "schedule_id",
    "cron_id",
    "cron_expression",
    "shell_command",
    "job_id",
    "source",
    "forced",
    "occurrence",
    "status",
    "reason",
    "attempt",
    "max_attempts",
    "node",
    "exit_code",
    "signal",
    "peak_memory",
    "cpu_time",
    "dropped_bytes",
    "created_at",
    "due_at",
    "started_at",
    "finished_at",
)


@commands.command("runs")
@click.argument("name", metavar="[NAME]", required=False, shell_complete=NamesOf("command"))
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES))
@click.option("--environment", metavar="NAME", shell_complete=NamesOf("environment"))
@click.option("--text", metavar="TEXT", help="In the command or the reason.")
@click.option("--limit", type=click.IntRange(1, MOST_ON_A_PAGE), default=50, show_default=True)
@click.option("--after", type=click.UUID, metavar="RUN", help="Continue after this run.")
@shared_options
@pass_shared_options
def runs(
    options: SharedOptions,
    /,
    name: str | None,
    statuses: tuple[Any, ...],
    environment: str | None,
    text: str | None,
    limit: int,
    after: UUID | None,
) -> None:
    """List runs, newest first."""
    from elihu.cli.output import print_json, print_table

    async def read(space: "Workspace") -> tuple[list[dict[str, Any]], UUID | None]:
        from elihu.commands.rules import history

        async with space.sessions.read() as session:
            command = None if name is None else (await command_named(session, name)).id
            place = environment and (await environment_named(session, environment)).id
            page = await history.find_all(
                session,
                command_id=command,
                environment_id=place or None,
                statuses=statuses,
                text=text,
                after=after,
                limit=limit,
            )
            return [run_fields(row) for row in page.items], page.next

    rows, following = with_workspace(options, read)
    if options.json:
        print_json({"items": rows, "next": following})
        return
    print_table(
        ("id", "command", "environment", "status", "attempt", "started_at", "duration", "reason"),
        [
            [
                row["id"],
                row["command_name"],
                row["environment_name"],
                row["status"],
                row["attempt"],
                row["started_at"],
                _duration(row),
                row["reason"],
            ]
            for row in rows
        ],
    )
    if following is not None:
        click.echo(f"elihu: more runs: add --after {following}", err=True)


@commands.command("output")
@click.argument("run_id", metavar="RUN", type=click.UUID)
@click.option("--follow", is_flag=True, help="Print what comes too, until the run ends.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Only of this attempt.")
@shared_options
@pass_shared_options
def output(options: SharedOptions, /, run_id: UUID, follow: bool, attempt: int | None) -> None:
    """Print what a run wrote, standard error to standard error."""
    if options.json:
        raise click.UsageError("--json: expected a command that prints a table, got output")

    async def show(space: "Workspace") -> None:
        from elihu.cli.commands.follow import OutputPrinter

        await OutputPrinter(attempt).print(space, run_id, follow=follow)

    with_workspace(options, show)


def run_fields(row: "CommandJob") -> dict[str, Any]:
    """The fields of a run that people see."""
    return {name: getattr(row, name) for name in _FIELDS}


def _duration(row: dict[str, Any]) -> str | None:
    if row["started_at"] is None or row["finished_at"] is None:
        return None
    seconds = (row["finished_at"] - row["started_at"]).total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
