"""What the groups of commands have in common: how they fail, and how they say which
command was meant.
"""

from collections.abc import Iterable
from typing import IO, Any

import click


class Failure(click.ClickException):
    """An error of Elihu, told in one line."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"elihu: {' '.join(self.message.split())}", file=file, err=file is None)


class Group(click.Group):
    """Suggests the nearest command for one that it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"no such command {name!r}{self.suggest(ctx, name)}")
        return super().resolve_command(ctx, args)

    def suggest(self, ctx: click.Context, name: str) -> str:
        """What to add about a command that there is not: a question, or nothing."""
        return nearest(name, self.list_commands(ctx))


def nearest(word: str, known: Iterable[str]) -> str:
    """A question about the known word nearest to this one, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
