"""Numbers, lengths and times as people read them."""

from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from elihu.secret_names import is_secret_name

NOTHING: Final = "\N{EN DASH}"
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_LONGEST_ZONE: Final = 64
MASK: Final = "••••••"


def number(value: float) -> str:
    """1,234."""
    return f"{value:,.0f}"


def bounded(value: int, more: bool) -> str:
    """A count that may have ended at its bound."""
    return f"over {value:,}" if more else f"{value:,}"


def took(seconds: float | None) -> str:
    """0.4 s, 21 s, 20:05, 11 h 28 min, 3 days."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{max(seconds, 0):.1f}{NO_BREAK}s"
    if seconds < 60:
        return f"{seconds:.0f}{NO_BREAK}s"
    whole = round(seconds)
    if whole < 3_600:
        return f"{whole // 60}:{whole % 60:02d}"
    if whole < 172_800:
        minutes = whole % 3_600 // 60
        return f"{whole // 3_600}{NO_BREAK}h" + (f" {minutes}{NO_BREAK}min" if minutes else "")
    return f"{whole // 86_400}{NO_BREAK}days"


def about(seconds: float) -> str:
    """A length in its largest unit: 8 s, 27 min, 3 h, 2 days."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and unit != "days"):
            return f"{seconds // size:.0f}{NO_BREAK}{unit}"
    return f"{max(seconds, 0):.0f}{NO_BREAK}s"


def apart(at: datetime, now: datetime) -> str:
    """in 8 min, or 3 h ago."""
    seconds = (at - now).total_seconds()
    return f"in {about(seconds)}" if seconds >= 0 else f"{about(-seconds)} ago"


def moment(at: datetime, zone: tzinfo, now: datetime) -> str:
    """14:32:08 today, 14:30 where that is exact, Thu 22 Oct, 14:00 else; with the year where
    it is another one.
    """
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M:%S}" if local.second or local.microsecond else f"{local:%H:%M}"
    return f"{local:%a} {local.day} {local:%b}" + (
        f", {local:%H:%M}" if local.year == today.year else f"{local: %Y}, {local:%H:%M}"
    )


def in_zone(at: datetime, name: str) -> str:
    """Thu 22 Oct, 14:00 in a zone of this name."""
    local = at.astimezone(zone_of(name))
    return f"{local:%a} {local.day} {local:%b}, {local:%H:%M}"


def utc(at: datetime) -> str:
    """The time for machines, and to hover."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def size(value: int | None) -> str:
    """4.1 MiB."""
    if value is None:
        return NOTHING
    amount, unit = float(value), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if amount < 1_024:
            break
        amount, unit = amount / 1_024, larger
    return f"{amount:,.1f}".removesuffix(".0") + f"{NO_BREAK}{unit}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """1 run, 2 runs."""
    return f"{count:,}{NO_BREAK}{one if count == 1 else many or one + 's'}"


def zone_of(name: str | None) -> tzinfo:
    """The zone of this name; UTC where there is none."""
    if not name or len(name) > _LONGEST_ZONE or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def kind_of(error_type: str | None, error: str) -> tuple[str, str]:
    """The name of an error without its module, and what the error says beside its name."""
    name = (error_type or "").rpartition(":")[2].rpartition(".")[2]
    if not name:
        return error, ""
    return name, error.removeprefix(name).removeprefix(":").strip()


def error_name(text: str) -> str:
    """The name that an error begins with, or the start of a text without one."""
    name = text.partition(":")[0]
    return name if name.replace(".", "").isidentifier() else text[:80]


def masked(value: Any) -> Any:
    """A JSON value without what is named like a secret."""
    if isinstance(value, dict):
        return {
            name: MASK if is_secret_name(str(name)) else masked(each)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    return value
