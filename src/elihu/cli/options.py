"""The options that every command takes, before or after its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Given:
    """What the shared options said; the one nearest to the command's end wins."""

    app: str | None = None
    database: str | None = None
    schema: str | None = None
    json: bool | None = None


given = click.make_pass_decorator(Given, ensure=True)
"""Hands a command its ``Given``."""


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    kept = context.ensure_object(Given)
    if value is not None and parameter.name:
        setattr(kept, parameter.name, value)


_SHARED = (
    click.option(
        "--app",
        metavar="MODULE:ATTRIBUTE",
        expose_value=False,
        callback=_keep,
        help="The app, and with it its tasks.",
    ),
    click.option(
        "--database",
        metavar="URL",
        expose_value=False,
        callback=_keep,
        help="sqlite:///PATH or postgresql://…",
    ),
    click.option(
        "--schema",
        metavar="NAME",
        expose_value=False,
        callback=_keep,
        help="The schema that holds the jobs.",
    ),
)
_JSON = click.option(
    "--json", is_flag=True, default=None, expose_value=False, callback=_keep, help="Print JSON."
)


def shared(command: F) -> F:
    """Give a command the shared options, ``--json`` included."""
    return _with(command, (*_SHARED, _JSON))


def shared_but_json(command: F) -> F:
    """Give a command the shared options without ``--json``."""
    return _with(command, _SHARED)


def _with(command: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
