"""Base classes of the command groups: one-line errors and suggestions for typos."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

import click

_OF_EXTRAS: Final = frozenset(
    {"aiosqlite", "cryptography", "fastapi", "greenlet", "jinja2", "sqlalchemy", "uvicorn"}
)
"""Modules that only some installations have."""


class Failure(click.ClickException):
    """An error printed in one line, with exit status 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"elihu: {' '.join(self.message.split())}", file=file, err=file is None)


class Group(click.Group):
    """A group that suggests a similar command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"no such command {name!r}{self.suggest(ctx, name)}")
        return super().resolve_command(ctx, args)

    def suggest(self, ctx: click.Context, name: str) -> str:
        """The text appended to the error about an unknown command; may be empty."""
        return nearest(name, self.list_commands(ctx))


class ExtraGroup(Group):
    """A group whose commands need the packages of ``extra``, such as ``elihu[web]``."""

    def __init__(self, *args: Any, extra: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._extra = extra

    def invoke(self, ctx: click.Context) -> Any:
        with packages_of(self._extra):
            return super().invoke(ctx)


@contextmanager
def packages_of(extra: str) -> Iterator[None]:
    """Turn the lack of a package into a ``Failure`` that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not is_of_extra(error):
            raise
        raise Failure(
            f"expected the packages of {extra}, got no {error.name}: pip install '{extra}'"
        ) from error


def is_of_extra(error: ModuleNotFoundError) -> bool:
    """Whether a package is missing that only an extra installs."""
    return error.name is not None and error.name.partition(".")[0] in _OF_EXTRAS


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` for the most similar known word, or an empty text."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
