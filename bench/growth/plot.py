"""The plots of the results: an SVG for each growth, with a line for each engine. Equal
results give equal bytes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from bench.growth.results import Series

WIDTH: Final = 720
HEIGHT: Final = 416
LEFT: Final = 76
RIGHT: Final = 36
TOP: Final = 44
BOTTOM: Final = 104
LOGARITHMIC: Final = frozenset({"arguments"})
"""The growths whose rates are far apart."""
NAMES: Final = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.paper { fill: #ffffff } .grid { stroke: #d8dee4 } .small { font-size: 11px }
.middle { text-anchor: middle } .end { text-anchor: end }
polyline { fill: none; stroke-width: 2 } .spread { stroke-width: 1.5 }
.postgresql { stroke: #0969da; fill: #0969da } .sqlite { stroke: #bc4c00; fill: #bc4c00 }
polyline.postgresql, polyline.sqlite { fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .paper { fill: #0d1117 } .grid { stroke: #30363d }
.postgresql { stroke: #58a6ff; fill: #58a6ff } .sqlite { stroke: #f0883e; fill: #f0883e }
}
"""


def draw(results: Sequence[Series], axes: Mapping[str, str]) -> dict[str, str]:
    """The SVG of each growth by the name of its file. ``axes`` are the labels of what
    grows.
    """
    names = sorted({series.growth for series in results})
    return {
        f"growth-{name}.svg": "\n".join(
            _Plot([each for each in results if each.growth == name], axes[name]).lines()
        )
        + "\n"
        for name in names
    }


class _Plot:
    def __init__(self, series: Sequence[Series], axis: str) -> None:
        self._series = series
        self._axis = axis
        self._sizes = sorted({point.size for each in series for point in each.points})
        rates = [rate for each in series for point in each.points for rate in point.rates]
        self._log = series[0].growth in LOGARITHMIC
        self._ticks = decades(rates) if self._log else steps(max(rates))

    def lines(self) -> Iterator[str]:
        name = f"Jobs a second by {self._axis}"
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(name)}">'
        )
        yield f"<title>{escape(name)}</title><style>{STYLE}</style>"
        yield f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        for tick in self._ticks:
            y = self._y(tick)
            yield f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
            yield text(LEFT - 8, y + 4, f"{tick:,.0f}", "end")
        for size in self._sizes:
            x = self._x(size)
            yield f'<path class="grid" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/>'
            yield text(x, HEIGHT - BOTTOM + 20, f"{size:,}", "middle")
        middle = (TOP + HEIGHT - BOTTOM) / 2
        turned = f'transform="rotate(-90 16 {middle:.1f})"'
        yield text(16, middle, "jobs a second", "middle", turned)
        yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 42, self._axis, "middle")
        for number, each in enumerate(self._series):
            yield from self._line(each, LEFT + number * 320)
            made = f"{each.versions}, {each.machine}, {each.date}"
            yield text(LEFT, HEIGHT - 26 + 15 * number, made, "small")
        yield text(LEFT, HEIGHT - 41, self._series[0].about, "small")
        yield "</svg>"

    def _line(self, series: Series, x: int) -> Iterator[str]:
        points = [(self._x(point.size), self._y(point.rate)) for point in series.points]
        path = " ".join(f"{x},{y}" for x, y in points)
        yield f'<polyline class="{series.engine}" points="{path}"/>'
        for point, at in zip(series.points, points, strict=True):
            low, high = self._y(min(point.rates)), self._y(max(point.rates))
            yield f'<path class="{series.engine} spread" d="M{at[0]} {low}V{high}"/>'
            yield mark(series.engine, *at)
        yield mark(series.engine, x + 6, TOP - 22)
        ratio = f"{series.ratio:.2f}" if series.ratio >= 0.1 else f"{series.ratio:.2g}"
        words = f"{NAMES[series.engine]}: {ratio} of the first rate at the last"
        yield text(x + 18, TOP - 18, words)

    def _x(self, size: int) -> float:
        place = share(math.log(size), *(math.log(self._sizes[end]) for end in (0, -1)))
        return round(LEFT + 24 + place * (WIDTH - RIGHT - LEFT - 48), 1)

    def _y(self, rate: float) -> float:
        scale = math.log if self._log else float
        place = share(scale(rate), *(scale(self._ticks[end]) for end in (0, -1)))
        return round(HEIGHT - BOTTOM - place * (HEIGHT - BOTTOM - TOP), 1)


def text(x: float, y: float, words: str, kind: str = "", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" {more}>{escape(words)}</text>'


def mark(engine: str, x: float, y: float) -> str:
    """A circle for PostgreSQL, a square for SQLite."""
    if engine == "sqlite":
        return f'<rect class="sqlite" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    return f'<circle class="postgresql" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def share(value: float, low: float, high: float) -> float:
    """Where the value is between the two, from 0 to 1."""
    return (value - low) / (high - low) if high > low else 0.5


def steps(most: float) -> list[float]:
    """Round numbers from 0 to ``most`` or above."""
    unit = 10.0 ** math.floor(math.log10(most))
    step = next(unit * part for part in (0.2, 0.5, 1, 2) if most / (unit * part) <= 6)
    return [step * number for number in range(math.ceil(most / step) + 1)]


def decades(rates: Sequence[float]) -> list[float]:
    """Powers of ten around the rates."""
    low, high = math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]
