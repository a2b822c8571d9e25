"""Options shared by all commands, accepted before or after the command name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class SharedOptions:
    """Values of the shared options. If an option is repeated, the last one wins."""

    app: str | None = None
    database: str | None = None
    schema: str | None = None
    json: bool | None = None


pass_shared_options = click.make_pass_decorator(SharedOptions, ensure=True)
"""Passes ``SharedOptions`` to a command as its first argument."""


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    kept = context.ensure_object(SharedOptions)
    if value is not None and parameter.name:
        setattr(kept, parameter.name, value)


_SHARED = (
    click.option(
        "--app",
        metavar="MODULE:ATTRIBUTE",
        expose_value=False,
        callback=_store,
        help="The app to load.",
    ),
    click.option(
        "--database",
        metavar="URL",
        expose_value=False,
        callback=_store,
        help="sqlite:///PATH or postgresql://…",
    ),
    click.option(
        "--schema",
        metavar="NAME",
        expose_value=False,
        callback=_store,
        help="The database schema of the jobs.",
    ),
)
_JSON = click.option(
    "--json", is_flag=True, default=None, expose_value=False, callback=_store, help="Print JSON."
)


def shared_options(command: F) -> F:
    """Add the shared options, including ``--json``."""
    return _add(command, (*_SHARED, _JSON))


def shared_options_without_json(command: F) -> F:
    """Add the shared options without ``--json``."""
    return _add(command, _SHARED)


def _add(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
