"""Durations as people write them."""

import math
import re
from datetime import timedelta

from elihu.errors import InvalidOption

Duration = float | int | timedelta | str

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TEXT = re.compile(
    r"(?:(?P<d>\d+) ?(?:d|days?))? ?"
    r"(?:(?P<h>\d+) ?(?:h|hours?))? ?"
    r"(?:(?P<m>\d+) ?(?:m|min|mins|minutes?))? ?"
    r"(?:(?P<s>\d+(?:\.\d+)?) ?(?:s|secs?|seconds?))?"
)
_LONGEST = 100 * 366 * 86_400


def parse_duration(value: Duration, what: str) -> float:
    """Return ``value`` in seconds: a number of seconds, a ``timedelta``, or text such
    as ``"90s" "10m" "1h30m" "2d"`` or ``"5 minutes"``.

    Units in a text are ordered from largest to smallest. Raises ``InvalidOption``, which
    names ``what``, for anything else, for a negative or infinite value, and for more
    than a hundred years.
    """
    match value:
        case bool():
            seconds = math.nan
        case int() | float():
            seconds = float(value) if abs(value) <= _LONGEST else math.nan
        case timedelta():
            seconds = value.total_seconds()
        case str() if value == value.strip() != "" and (found := _TEXT.fullmatch(value)):
            seconds = sum(
                float(number) * _UNITS[unit] for unit, number in found.groupdict().items() if number
            )
        case _:
            seconds = math.nan
    if not 0 <= seconds <= _LONGEST:
        forms = "" if isinstance(value, str) else "seconds ≥ 0, a timedelta, or text "
        raise InvalidOption(
            f'{what}: expected a duration ({forms}such as "90s", "10m", "1h30m" or "2d"), '
            f"got {value!r}"
        )
    return seconds


def show_duration(seconds: float) -> str:
    """The duration for people, in its two largest units, none of them rounded to 0:
    ``"0.5 s"``, ``"15 s"``, ``"2 min 5 s"``, ``"1 d 3 h"``.
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    rest = int(seconds)
    days, rest = divmod(rest, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    first = next(index for index, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number)
