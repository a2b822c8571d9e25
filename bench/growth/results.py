"""The figures that the plots are drawn from, in a file that is kept with them."""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reliability"
FILE: Final = FOLDER / "growth.json"


@dataclass(frozen=True, slots=True)
class Point:
    """The rates of all rounds at one size, in jobs a second."""

    size: int
    jobs: int
    rates: tuple[float, ...]

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What one run measured of one growth on one engine: its ratios compare figures of
    one run.
    """

    growth: str
    engine: str
    about: str
    date: str
    machine: str
    versions: str
    points: tuple[Point, ...]

    @property
    def ratio(self) -> float:
        """The rate at the largest size by that at the smallest."""
        return self.points[-1].rate / self.points[0].rate


def read(path: Path) -> list[Series]:
    """All series of the file; none if it does not exist."""
    if not path.exists():
        return []
    return [
        Series(
            **{
                **each,
                "points": tuple(
                    Point(point["size"], point["jobs"], tuple(point["rates"]))
                    for point in each["points"]
                ),
            }
        )
        for each in json.loads(path.read_text())
    ]


def write(path: Path, series: Sequence[Series]) -> None:
    """Replace those of the same growth and engine in the file, and add the others."""
    kept = {(each.growth, each.engine): each for each in read(path)}
    kept |= {(each.growth, each.engine): rounded(each) for each in series}
    values = [asdict(kept[key]) for key in sorted(kept)]
    path.write_text(json.dumps(values, indent=1) + "\n")


def rounded(series: Series) -> Series:
    """With rates of three digits after the point."""
    points = (
        replace(point, rates=tuple(round(rate, 3) for rate in point.rates))
        for point in series.points
    )
    return replace(series, points=tuple(points))


def lines(series: Series) -> Iterator[str]:
    """One line of JSON for each size."""
    for point in series.points:
        yield json.dumps(
            {
                "subject": f"growth of {series.growth}",
                "engine": series.engine,
                "size": point.size,
                "jobs": point.jobs,
                "unit": "jobs_per_second",
                "value": round(point.rate, 3),
            }
        )
