"""Values that are given as text: JSON, times and durations, and errors about them in
the words of the command line.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

from elihu.errors import InvalidOption


def read_arguments(text: str) -> dict[str, Any] | list[Any]:
    """The value of ``--args``: an object or a list, ``-`` for that on standard input.
    Raises ``click.UsageError``.
    """
    values = read_json_or_stdin("--args", text)
    if isinstance(values, dict | list):
        return values
    raise click.UsageError(
        f"--args: expected a JSON object or list, got {_short(json.dumps(values))}"
    )


def read_json_or_stdin(flag: str, text: str) -> Any:
    """The JSON given with this flag, ``-`` for that on standard input. Raises
    ``click.UsageError``.
    """
    return read_json(flag, sys.stdin.read() if text == "-" else text)


def read_json(flag: str, text: str) -> Any:
    """The JSON given with this flag. Raises ``click.UsageError``."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{flag}: expected JSON, got {_short(text)} ({error})") from error
    except RecursionError as error:
        raise click.UsageError(f"{flag}: expected JSON, got a text nested too deeply") from error


def read_delay(text: str) -> str | float:
    """Seconds where the text is a number, else the text itself."""
    try:
        return float(text)
    except ValueError:
        return text


def read_time(flag: str, text: str) -> datetime:
    """The time given with this flag, with its offset from UTC. Raises
    ``click.UsageError``.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.utcoffset() is None:
        raise click.UsageError(
            f"{flag}: expected a time with its offset such as 2030-01-31T08:00:00Z, got {text!r}"
        )
    return time


@contextmanager
def flags_named(options: Iterable[str], names: Mapping[str, str]) -> Iterator[None]:
    """Turn an ``InvalidOption`` about one of these options into wrong use of its flag:
    ``--`` and the option, or that in ``names``.
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
