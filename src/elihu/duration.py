"""Durations as people write them."""

import math
import re
from datetime import timedelta

from elihu.errors import InvalidOption

Duration = float | int | timedelta | str

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TEXT = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
_LONGEST = 100 * 366 * 86_400


def parse_duration(value: Duration, what: str) -> float:
    """Return ``value`` in seconds: a number of seconds, a ``timedelta``, or text such
    as ``"90s" "10m" "1h30m" "2d"``.

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
        case str() if value and (found := _TEXT.fullmatch(value)):
            seconds = sum(
                float(number) * _UNITS[unit] for unit, number in found.groupdict().items() if number
            )
        case _:
            seconds = math.nan
    if not 0 <= seconds <= _LONGEST:
        raise InvalidOption(
            f'{what}: expected a duration (seconds ≥ 0, a timedelta, or text such as "90s" or '
            f'"1h30m"), got {value!r}'
        )
    return seconds
