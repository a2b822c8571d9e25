"""Completion of names in a shell, from the app and its database.

The shell's script and the completion of commands and options are click's.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from elihu.cli.known_names import Kind

DEADLINE: Final = 1.0
"""Seconds that reading the database takes at most."""


@dataclass(frozen=True, slots=True)
class NamesOf:
    """A ``shell_complete`` of an option or argument: the known names of a kind that begin
    with what is typed; none where the app or its database fails, or is slow.
    """

    kind: "Kind"

    def __call__(self, ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        names = sorted(name for name in known(ctx, self.kind) if name.startswith(incomplete))
        return [_quoted(name) for name in names]


def known(ctx: click.Context, kind: "Kind") -> set[str]:
    """The known names of a kind; none where the app or its database fails, or is slow."""
    import asyncio
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    async def read() -> set[str]:
        async with asyncio.timeout(DEADLINE), app:
            return await names(app)

    # What the app prints while it is imported is no name.
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        try:
            from elihu.cli.known_names import KNOWN
            from elihu.cli.load_app import open_app
            from elihu.cli.options import SharedOptions

            names = KNOWN[kind]
            options = ctx.find_object(SharedOptions) or SharedOptions()
            app = open_app(options, call_timeout=DEADLINE)
            return asyncio.run(read())
        except (Exception, SystemExit):
            return set()


def _quoted(name: str) -> str:
    """A name as the shell needs it: zsh and fish quote by themselves."""
    if not os.environ.get("_ELIHU_COMPLETE", "").startswith("bash"):
        return name
    from shlex import quote

    return quote(name)
