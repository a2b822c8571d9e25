"""The geometry of pictures: numbers only, so that no text can reach an attribute."""

from collections.abc import Sequence
from dataclasses import dataclass
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
