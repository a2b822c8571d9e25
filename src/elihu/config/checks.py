"""Checks for the value of one setting. A check takes the value, and whether it is text
from a flag or the environment, where ``"5"`` is a number. It returns the value in its
final form, or raises ``InvalidValue``.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from elihu.config.slots import Slots
from elihu.duration import parse_duration
from elihu.errors import InvalidOption

Check = Callable[[Any, bool], Any]

_BOOLS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_SIZES: Final = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_SIZE = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>[KMG]i?B|B)", re.IGNORECASE | re.ASCII
)
_SHOWN = 80


class InvalidValue(Exception):
    """The value does not suit the setting."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(expected, got)
        self.expected = expected
        self.got = got


def shown(value: object) -> str:
    """``value`` for an error message; a long one is cut."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def duration(low: float, high: float) -> Check:
    """Seconds from ``low`` to ``high``: a number, a ``timedelta`` or text with units."""
    within = f"a duration from {low:g} to {high:,.16g} seconds"
    forms = 'text such as "90s", "10m", "1h30m" or "2d"'

    def check(value: Any, textual: bool) -> float:
        number = (
            float(value)
            if textual and isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value)
            else value
        )
        try:
            seconds = parse_duration(number, "")
        except InvalidOption:
            seconds = math.nan
        if not low <= seconds <= high:
            typed = "a number, or" if textual else "a number, a timedelta, or"
            raise InvalidValue(f"{within} ({typed} {forms})", shown(value))
        return seconds

    return check


def whole(low: int, high: int) -> Check:
    """A whole number from ``low`` to ``high``."""
    expected = f"a whole number from {low:,} to {high:,}"

    def check(value: Any, textual: bool) -> int:
        number = (
            int(value)
            if textual and isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value)
            else value
        )
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise InvalidValue(expected, shown(value))
        return number

    return check


_LIMIT: Final = whole(1, 10_000)
_PREFETCH: Final = whole(0, 1_000)
_SLOTS: Final = re.compile(r"([0-9]{1,18}) ?\+ ?([0-9]{1,18})", re.ASCII)


def slots(value: Any, textual: bool) -> int:
    """The number of a queue's slots; or a table of this ``limit`` and of ``prefetch``,
    0 to 1,000, which is 0 where it is missing; or text such as ``"10+100"``.
    """
    if isinstance(value, Slots):
        return value
    if isinstance(value, str) and (found := _SLOTS.fullmatch(value)):
        value = {"limit": int(found[1]), "prefetch": int(found[2])}
    if not isinstance(value, Mapping):
        return int(_LIMIT(value, textual))
    if "limit" not in value or not value.keys() <= {"limit", "prefetch"}:
        raise InvalidValue("a table of limit and, where it has one, prefetch", shown(value))
    checked = {}
    for key, check in (("limit", _LIMIT), ("prefetch", _PREFETCH)):
        try:
            checked[key] = int(check(value.get(key, 0), textual))
        except InvalidValue as error:
            raise InvalidValue(f"as {key} {error.expected}", error.got) from None
    return Slots(**checked) if checked["prefetch"] else checked["limit"]


def size(low: int, high: int) -> Check:
    """Bytes from ``low`` to ``high``: a whole number, or text such as ``"1MiB"``."""
    expected = (
        f"a size from {low:,} to {high:,} bytes (a whole number, or text such as "
        '"64KiB" or "1.5MiB")'
    )

    def check(value: Any, textual: bool) -> int:
        if isinstance(value, str) and (found := _SIZE.fullmatch(value)):
            number = round(float(found["number"]) * _SIZES[found["unit"].lower()])
        else:
            number = value
        try:
            return int(whole(low, high)(number, textual))
        except InvalidValue:
            raise InvalidValue(expected, shown(value)) from None

    return check


def flag(value: Any, textual: bool) -> bool:
    """True or false."""
    if textual and isinstance(value, str):
        value = _BOOLS.get(value.lower(), value)
    if not isinstance(value, bool):
        raise InvalidValue("true or false", shown(value))
    return value


def one_of(*known: str) -> Check:
    """One of these texts."""

    def check(value: Any, _textual: bool) -> str:
        if value not in known:
            raise InvalidValue(" or ".join(f'"{each}"' for each in known), shown(value))
        return str(value)

    return check


def any_case(check: Check) -> Check:
    """A text in lower case that passes ``check``, given in any case."""

    def folded(value: Any, textual: bool) -> Any:
        return check(value.lower() if isinstance(value, str) else value, textual)

    return folded


def matching(pattern: str, expected: str) -> Check:
    """Text that the whole pattern matches."""
    compiled = re.compile(pattern)

    def check(value: Any, _textual: bool) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise InvalidValue(expected, shown(value))
        return value

    return check


def hidden(check: Check) -> Check:
    """A check whose errors never show the value."""

    def check_hidden(value: Any, textual: bool) -> Any:
        try:
            return check(value, textual)
        except InvalidValue as error:
            raise InvalidValue(error.expected, "something else") from None

    return check_hidden


def texts(pattern: str, expected: str) -> Check:
    """A list of texts that the whole pattern matches, or one text with commas."""
    compiled = re.compile(pattern)

    def check(value: Any, textual: bool) -> tuple[str, ...]:
        if textual and isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple) or not all(
            isinstance(each, str) and compiled.fullmatch(each) for each in value
        ):
            raise InvalidValue(expected, shown(value))
        return tuple(value)

    return check


name = matching(
    r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}",
    "text of 1 to 200 characters, none of them a control character",
)
