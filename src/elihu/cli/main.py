"""The command ``elihu``. Commands are imported only when they run, so that ``elihu
--help`` starts fast.
"""

import os
import sys
from importlib import import_module
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Final

import click

from elihu.cli.group import Failure, Group, nearest
from elihu.cli.options import shared_options
from elihu.errors import CronNotFound, ElihuError, InvalidCron, InvalidOption, UnknownTemplate

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: Final = {
    "init": ("elihu.cli.init", "Create a starter project."),
    "up": ("elihu.cli.start", "Create or upgrade the tables, then run a node and the page."),
    "start": ("elihu.cli.start", "Run a node that executes jobs."),
    "tick": ("elihu.cli.tick", "Do one round of work and exit."),
    "migrate": ("elihu.cli.migrate", "Create or upgrade the tables."),
    "enqueue": ("elihu.cli.enqueue", "Enqueue a job."),
    "jobs": ("elihu.cli.jobs", "List, inspect and change stored jobs."),
    "tasks": ("elihu.cli.tasks", "List the tasks of an app."),
    "queues": ("elihu.cli.queues", "List queues and change how nodes serve them."),
    "crons": ("elihu.cli.crons", "List, inspect and change cron entries."),
    "triggers": (
        "elihu.cli.triggers",
        "List the triggers of an app, scan for records and act on them.",
    ),
    "templates": (
        "elihu.cli.templates",
        "List, inspect and change templates; enqueue jobs from them.",
    ),
    "commands": (
        "elihu.cli.commands",
        "Keep shell commands, run them, and see what happened.",
    ),
    "web": ("elihu.cli.web", "Serve the JSON API and the page."),
    "users": ("elihu.cli.users", "List and change who may use the page and the JSON API."),
    "keys": ("elihu.cli.keys", "List and change keys, with which programs use the JSON API."),
    "audit": ("elihu.cli.audit", "Read who changed what."),
    "nodes": ("elihu.cli.nodes", "List the nodes that execute jobs."),
    "check": ("elihu.cli.check", "Check the app, its settings and the names in the database."),
    "doctor": ("elihu.cli.doctor", "Check the database, the nodes and the queues."),
    "bench": ("elihu.cli.bench", "Measure the database, and say what bounds it."),
}


class LazyGroup(Group):
    """A group that knows the name and help line of each command, and imports a command
    when it is used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        from click.shell_completion import CompletionItem

        return [
            *(
                CompletionItem(name, help=line)
                for name, (_, line) in COMMANDS.items()
                if name.startswith(incomplete)
            ),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def suggest(self, ctx: click.Context, name: str) -> str:
        for group in ("jobs", "queues", "crons", "triggers", "templates", "commands", "nodes"):
            command = self.get_command(ctx, group)
            if isinstance(command, click.Group) and name in command.commands:
                return f"; did you mean '{group} {name}'?"
        return super().suggest(ctx, name)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (InvalidCron, InvalidOption) as error:
            raise click.UsageError(str(error)) from error
        except (CronNotFound, UnknownTemplate) as error:
            raise Failure(f"{error}{_nearest(ctx, error)}") from error
        except ElihuError as error:
            raise Failure(str(error)) from error


def _nearest(ctx: click.Context, error: CronNotFound | UnknownTemplate) -> str:
    from elihu.cli.complete import known

    if isinstance(error, CronNotFound):
        return nearest(error.name, known(ctx, "cron"))
    return nearest(error.code, known(ctx, "template"))


def _print_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version
    from platform import python_version
    from sqlite3 import sqlite_version

    try:
        asyncpg = version("asyncpg")
    except PackageNotFoundError:
        asyncpg = "not installed"
    click.echo(
        f"elihu {version('elihu')}\n"
        f"Python {python_version()}\n"
        f"SQLite {sqlite_version}\n"
        f"asyncpg {asyncpg}"
    )
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the versions of Elihu, Python and the engines, and exit.",
)
@shared_options
def cli() -> None:
    """Persistent background jobs on PostgreSQL and SQLite.

    Settings are read from flags, the environment (ELIHU_…) and elihu.toml or
    [tool.elihu] in pyproject.toml. Flags win over the environment, the environment over
    files.
    """


def main() -> None:
    """Run the command line. Exits with 0 (done), 1 (failed) or 2 (wrong use)."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    try:
        cli(prog_name="elihu")
    except OSError as error:
        if not _is_output_error(error):
            raise
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # otherwise Python flushes the rest at exit and fails again
        click.echo(f"elihu: standard output: {error.strerror}", err=True)
        sys.exit(1)


def _is_output_error(error: OSError) -> bool:
    """Whether click raised it while it wrote output."""
    *_, (frame, _line) = walk_tb(error.__traceback__)
    return frame.f_globals.get("__name__") == click.utils.__name__
