"""The geometry of pictures: numbers only, so that no text can reach an attribute."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

BARS: Final = 480.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


def bars(values: Sequence[float], height: float, top: float | None = None) -> list[Bar]:
    """A bar for each value on a width of 480; one that is not zero is seen."""
    highest = max(values, default=0.0) if top is None else top
    step = BARS / max(len(values), 1)
    gap = min(2.0, step / 5)
    found = []
    for number, value in enumerate(values):
        tall = 0.0 if not highest or not value else max(value / highest * height, height / 40)
        found.append(
            Bar(
                round(number * step + gap / 2, 2), round(height - tall, 2),
                round(step - gap, 2), round(tall, 2),
            )
        )  # fmt: skip
    return found


def path(boxes: Iterable[Bar]) -> str:
    """Rectangles of one look as the text of one path, which is a tenth of as many elements."""
    return "".join(
        f"M{box.x:g} {box.y:g}h{box.width:g}v{box.height:g}h-{box.width:g}z" for box in boxes
    )


def row(
    marks: Iterable[tuple[float, float, str]], y: float, height: float
) -> list[tuple[str, str]]:
    """Marks of equal height in a row, each from an x on and so wide, as one path for each
    look, in the order in which the looks come.
    """
    found: dict[str, list[str]] = {}
    rests: dict[float, str] = {}
    for x, width, look in marks:
        if width not in rests:
            rests[width] = f" {y:g}h{width:g}v{height:g}h-{width:g}z"
        found.setdefault(look, []).append(f"M{x:g}{rests[width]}")
    return [(look, "".join(boxes)) for look, boxes in found.items()]


def strip(looks: Sequence[str]) -> list[tuple[str, str]]:
    """Results one after the other, as one path for each look; bad ones are taller."""
    found: dict[str, list[Bar]] = {}
    for number, look in enumerate(looks):
        y, height = (0.0, 14.0) if look == "bad" else (6.0, 8.0)
        shown = look if look in {"ok", "bad", "warn", "run"} else "idle"
        found.setdefault(shown, []).append(Bar(number * 10.0, y, 7.0, height))
    return [(look, path(boxes)) for look, boxes in found.items()]


def line(values: Sequence[float], width: float, height: float) -> str:
    """The points of a line."""
    if not values:
        return ""
    highest = max(values) or 1.0
    step = width / max(len(values) - 1, 1)
    return " ".join(
        f"{number * step:.1f},{height - 1.5 - value / highest * (height - 4):.1f}"
        for number, value in enumerate(values)
    )


def nights(left: datetime, zone: tzinfo, hours: int = 24) -> list[tuple[int, int]]:
    """From 22:00 to 06:00 in a zone: where each night begins and how long it is, in minutes
    from ``left``, which is a full hour.
    """
    found: list[tuple[int, int]] = []
    for number in range(hours):
        local = (left + timedelta(hours=number)).astimezone(zone)
        if 6 <= local.hour < 22:
            continue
        if found and sum(found[-1]) == number * 60:
            found[-1] = found[-1][0], found[-1][1] + 60
        else:
            found.append((number * 60, 60))
    return found


def level(value: int, values: Sequence[int]) -> int:
    """1 to 4, quiet to busy, among the values that are not zero; near ones look alike."""
    some = [each for each in values if each]
    low, high = min(some, default=0), max(some, default=0)
    if high == low:
        return 1
    return 1 + min(int((value - low) * 4 / max(high - low, high / 3)), 3)


def share(part: float, whole: float) -> float:
    """A part of 100, at most 100."""
    return 0.0 if whole <= 0 else round(min(part / whole, 1.0) * 100, 1)


def ceiling(value: float) -> float:
    """A round number at or above this one, for the top of an axis."""
    if value <= 0:
        return 1.0
    size = 1.0
    while size * 10 <= value:
        size *= 10
    for step in (1, 2, 4, 5, 8, 10):
        if size * step >= value:
            return size * step
    return size * 10
