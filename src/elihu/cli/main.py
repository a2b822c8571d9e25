"""The command ``elihu``: a group that imports a command when it is run, so that ``elihu --help`` starts fast."""

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import IO, Any, Final

import click

from elihu.cli.options import shared
from elihu.errors import ElihuError, InvalidOption

COMMANDS: Final = {
    "up": ("elihu.cli.serve", "Bring the tables up to date, then run a node."),
    "start": ("elihu.cli.serve", "Run a node: execute the jobs of some queues."),
    "migrate": ("elihu.cli.migrate", "Make the tables, or bring them up to date."),
    "enqueue": ("elihu.cli.enqueue", "Store a job."),
    "jobs": ("elihu.cli.jobs", "Look at stored jobs, and steer them."),
    "nodes": ("elihu.cli.nodes", "Look at the nodes that execute jobs."),
}


class Failure(click.ClickException):
    """An error of Elihu, told in one line."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"elihu: {' '.join(self.message.split())}", file=file, err=file is None)


class LazyGroup(click.Group):
    """Knows its commands by name and help line, and imports one when it is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no such command {args[0]!r}{_nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidOption as error:
            raise click.UsageError(str(error)) from error
        except ElihuError as error:
            raise Failure(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="elihu", message="elihu %(version)s")
@shared
def cli() -> None:
    """Persistent background jobs on PostgreSQL and SQLite.

    Settings come from flags, the environment (ELIHU_…), elihu.toml or [tool.elihu] in pyproject.toml, in this order.
    """


def main() -> None:
    """Run the command line of this process; exits with 0 (done), 1 (failed) or 2 (wrong use)."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    cli(prog_name="elihu")


def _nearest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
