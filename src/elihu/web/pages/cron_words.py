"""A cron expression in a few words: hourly at :05, weekdays at 07:30."""

import calendar
import re
from functools import lru_cache
from typing import Final

_PRESETS: Final = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}  # fmt: skip
_MOST_TIMES: Final = 3


@lru_cache(maxsize=2_000)
def in_brief(expression: str) -> str:
    """The words; the expression itself where it takes more than a few."""
    if expression == "@reboot":
        return "at a start of nodes"
    fields = _PRESETS.get(expression, expression).split()
    if len(fields) != 5:
        return expression
    minute, hour, day, month, weekday = fields
    when = _days(day, month, weekday)
    if when is None:
        return expression
    if hour == "*":
        found = _within_hours(minute)
        return expression if found is None else " ".join(filter(None, (found, when)))
    times = _times(minute, hour)
    if times is None:
        return expression
    if not when:
        return times if " and " in times else f"daily at {times}"
    return f"{when} at {times}"


def _within_hours(minute: str) -> str | None:
    if minute == "*":
        return "every minute"
    if found := re.fullmatch(r"(?:\*|0-59)/(\d+)", minute):
        step = int(found[1])
        return f"every {step} min" if step and 60 % step == 0 else None
    if minute.isdigit():
        return "hourly" if int(minute) == 0 else f"hourly at :{int(minute):02d}"
    return None


def _times(minute: str, hour: str) -> str | None:
    hours = hour.split(",")
    if not minute.isdigit() or len(hours) > _MOST_TIMES or not all(map(str.isdigit, hours)):
        return None
    times = [f"{int(each):02d}:{int(minute):02d}" for each in hours]
    return times[0] if len(times) == 1 else f"{', '.join(times[:-1])} and {times[-1]}"


def _days(day: str, month: str, weekday: str) -> str | None:
    """Which days: empty for all, None where that takes more than a few words."""
    if month != "*":
        return None
    if weekday == "*":
        if day == "*":
            return ""
        if not day.isdigit():
            return None
        number = int(day)
        last = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
        return f"{number}{last}"
    if day != "*":
        return None
    if weekday.upper() in {"1-5", "MON-FRI"}:
        return "weekdays"
    if weekday in {"6,0", "0,6", "6,7", "6-7"}:
        return "weekends"
    return f"{calendar.day_name[(int(weekday) - 1) % 7]}s" if weekday in list("01234567") else None
