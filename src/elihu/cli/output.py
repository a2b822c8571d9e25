"""Prints tables, values and JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import click


def on_terminal() -> bool:
    """Whether a person can be asked: standard input and error are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def print_json(value: object) -> None:
    """Print one JSON document, times in RFC 3339."""
    click.echo(json.dumps(value, default=_plain, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: fitted to the terminal, or one line a row if there is none."""
    lines = [[cell(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_fitted(columns, lines)
        return
    widths = [max(map(len, column)) for column in zip(columns, *lines, strict=True)]
    for line in (columns, *lines):
        click.echo(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )


def _print_fitted(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    Console(highlight=False).print(table)


def field_values(record: Any) -> dict[str, Any]:
    """The fields of a dataclass as a dict; a shallow copy."""
    return {each.name: getattr(record, each.name) for each in fields(record)}


def precise(time: datetime) -> str:
    """A UTC time with milliseconds."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'milliseconds')}Z"


def cell(value: object) -> str:
    """``value`` as text on one line, with control characters escaped."""
    match value:
        case None | ():
            text = "-"
        case datetime():
            text = f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case bool():
            text = "yes" if value else "no"
        case str():
            text = value
        case tuple() | list():
            text = ", ".join(map(str, value))
        case Mapping():
            text = json.dumps(dict(value), default=_plain, ensure_ascii=False)
        case _:
            text = str(value)
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return sorted(value)
    return str(value)
