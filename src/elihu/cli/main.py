"""The command ``elihu``: a group that imports a command when it is run, so that ``elihu
--help`` starts fast.
"""

import os
import sys
from importlib import import_module
from traceback import walk_tb
from typing import Any, Final

import click

from elihu.cli.group import Failure, Group
from elihu.cli.options import shared
from elihu.errors import ElihuError, InvalidCron, InvalidOption

COMMANDS: Final = {
    "init": ("elihu.cli.init", "Write a starter project."),
    "up": ("elihu.cli.start", "Bring the tables up to date, then run a node."),
    "start": ("elihu.cli.start", "Run a node: execute the jobs of some queues."),
    "tick": ("elihu.cli.tick", "Do one bounded round, where no node may stay."),
    "migrate": ("elihu.cli.migrate", "Make the tables, or bring them up to date."),
    "enqueue": ("elihu.cli.enqueue", "Store a job."),
    "jobs": ("elihu.cli.jobs", "Look at stored jobs, and steer them."),
    "queues": ("elihu.cli.queues", "Look at queues, and change how nodes serve them."),
    "crons": ("elihu.cli.crons", "Look at cron entries, and change them."),
    "templates": ("elihu.cli.templates", "Look at job kinds, change them, make jobs of them."),
    "nodes": ("elihu.cli.nodes", "Look at the nodes that execute jobs."),
}


class LazyGroup(Group):
    """Knows its commands by name and help line, and imports one when it is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def suggest(self, ctx: click.Context, name: str) -> str:
        if near := super().suggest(ctx, name):
            return near
        for group in ("jobs", "queues", "crons", "templates", "nodes"):
            command = self.get_command(ctx, group)
            if isinstance(command, click.Group) and name in command.commands:
                return f"; did you mean '{group} {name}'?"
        return ""

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (InvalidCron, InvalidOption) as error:
            raise click.UsageError(str(error)) from error
        except ElihuError as error:
            raise Failure(str(error)) from error


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(package_name="elihu", message="elihu %(version)s")
@shared
def cli() -> None:
    """Persistent background jobs on PostgreSQL and SQLite.

    Settings come from flags, the environment (ELIHU_…), elihu.toml or [tool.elihu] in
    pyproject.toml, in this order.
    """


def main() -> None:
    """Run the command line of this process; exits with 0 (done), 1 (failed) or 2 (wrong
    use).
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    try:
        cli(prog_name="elihu")
    except OSError as error:
        if not _is_of_output(error):
            raise
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # what could not be written is not tried again at exit
        click.echo(f"elihu: standard output: {error.strerror}", err=True)
        sys.exit(1)


def _is_of_output(error: OSError) -> bool:
    """Whether it was raised as click wrote what a command prints."""
    *_, (frame, _line) = walk_tb(error.__traceback__)
    return frame.f_globals.get("__name__") == click.utils.__name__
