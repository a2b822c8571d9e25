"""Parses values given as text (JSON, times, durations) and rewords errors for the
command line.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from elihu.errors import InvalidOption


def read_arguments(text: str) -> dict[str, Any] | list[Any]:
    """Parse ``--args``: an object or a list; ``-`` reads standard input. Raises
    ``click.UsageError``.
    """
    values = read_json_or_stdin("--args", text)
    if isinstance(values, dict | list):
        return values
    raise click.UsageError(
        f"--args: expected a JSON object or list, got {_short(json.dumps(values))}"
    )


def read_json_or_stdin(flag: str, text: str) -> Any:
    """Parse the JSON of a flag; ``-`` reads standard input. Raises
    ``click.UsageError``.
    """
    return read_json(flag, sys.stdin.read() if text == "-" else text)


def read_json(flag: str, text: str) -> Any:
    """Parse the JSON of a flag. Raises ``click.UsageError``."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{flag}: expected JSON, got {_short(text)} ({error})") from error
    except RecursionError as error:
        raise click.UsageError(
            f"{flag}: expected JSON, got JSON that is nested too deeply"
        ) from error


def read_delay(text: str) -> str | float:
    """Parse a duration: seconds if the text is a number, else the text unchanged."""
    try:
        return float(text)
    except ValueError:
        return text


def read_time(flag: str, text: str) -> datetime:
    """Parse the time of a flag. Raises ``click.UsageError``, also if it has no UTC
    offset.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.utcoffset() is None:
        raise click.UsageError(
            f"{flag}: expected a time with a UTC offset, such as 2030-01-31T08:00:00Z, got {text!r}"
        )
    return time


def read_since(flag: str, text: str) -> datetime:
    """Parse the time of a flag, or a duration before now. Raises ``click.UsageError``."""
    from elihu.duration import parse_duration

    try:
        seconds = parse_duration(read_delay(text), flag)
    except InvalidOption:
        return read_time(flag, text)
    return datetime.now(UTC) - timedelta(seconds=seconds)


@contextmanager
def flags_named(options: Iterable[str], names: Mapping[str, str]) -> Iterator[None]:
    """Convert an ``InvalidOption`` about one of ``options`` to a ``click.UsageError``
    that names its flag.

    ``names`` maps an option to its flag where the flag is not ``--option``.
    """
    flags = {option: names.get(option, f"--{option.replace('_', '-')}") for option in options}
    try:
        yield
    except InvalidOption as error:
        before, expected, rest = str(error).partition("expected ")
        words = re.findall(r"\w+", before)
        if words and (flag := flags.get(words[-1])):
            raise click.UsageError(f"{flag}: {expected}{rest}") from error
        if not before.endswith("using: "):
            raise
        wanted, got, given = rest.partition(", got ")
        named = re.sub(r"\w+", lambda word: flags.get(word[0], word[0]), wanted)
        raise click.UsageError(f"{expected}{named}{got}{given}") from error


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
