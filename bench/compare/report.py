"""The table of ratios."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from bench.compare.bounds import BY_NAME
from bench.compare.contestants import BOUND, CONTESTANTS, LIMIT, OURS, OWN

MORE: Final = frozenset({"jobs/s"})
"""Units of which more is better."""
NOTHING: Final = "-"
CONDITIONS: Final = """\
All contestants are measured in one run, in turn, round by round, with durability on: PostgreSQL
with `fsync` and `synchronous_commit`, SQLite with `synchronous = FULL`. Workers and databases share
the machine. A job does nothing. `python -m bench.compare` prints this page.
"""
LEGEND: Final = """\
A cell holds the median of the rounds, half the distance between the lowest and the highest round
in percent of it, and in brackets how many times better Elihu is than that column: more than 1 is
in favour of Elihu, for times and memory too. The last two columns repeat this ratio for the limit
and for the best of the peers. The limit is plain SQL that does the same work on the same tables,
or an interpreter that does nothing. A contestant on Redis stands in the rows of PostgreSQL.
[Latency](latency.md) says where the time of one job goes, [the job of a drain](drain-speed.md) what
bounds a drain, [off the event loop](off-loop.md) what threads and processes add, and [the job of a
trigger](trigger-speed.md) what a trigger costs.
"""
BOUNDS_LEGEND: Final = """\
Both sides are Elihu, or what it could have at most, measured in turn in the same run. The ratio is
more than 1 where Elihu is better than the bound, and wanted is the least ratio that the design
asks for. A drain beside other rows is as it should be when it is within the spread of the clean
one. [What a job off the event loop costs](off-loop.md) says how the bounds are made.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One value of one round."""

    subject: str
    engine: str
    setting: str
    unit: str
    of: str
    round: int
    value: float

    def as_json(self) -> dict[str, Any]:
        """What is printed."""
        return {**asdict(self), "value": round(self.value, 3)}


@dataclass(frozen=True, slots=True)
class Summary:
    """The median of the rounds, and half their range in percent of it."""

    value: float
    spread: float

    @staticmethod
    def of(values: Sequence[float]) -> "Summary":
        """The summary of at least one round."""
        middle = median(values)
        return Summary(middle, 50 * (max(values) - min(values)) / middle if middle else 0.0)


Row = tuple[str, str, str, str]
"""Subject, engine, setting and unit."""


def summaries(figures: Iterable[Figure]) -> dict[Row, dict[str, Summary]]:
    """By row and contestant, in the order in which they were measured."""
    values: dict[Row, dict[str, list[float]]] = {}
    for figure in figures:
        row = (figure.subject, figure.engine, figure.setting, figure.unit)
        values.setdefault(row, {}).setdefault(figure.of, []).append(figure.value)
    return {
        row: {of: Summary.of(rounds) for of, rounds in each.items()} for row, each in values.items()
    }


def better(unit: str, ours: float, other: float) -> float | None:
    """How many times better ours is; None if one of them is 0."""
    if not ours or not other:
        return None
    return ours / other if unit in MORE else other / ours


def best_peer(unit: str, sides: Mapping[str, Summary]) -> str | None:
    """The name of the best peer, if there is one."""
    peers = {name: each.value for name, each in sides.items() if name not in OWN}
    if not peers:
        return None
    choose = max if unit in MORE else min
    return choose(peers, key=lambda name: peers[name])


def table(figures: Iterable[Figure]) -> str:
    """Markdown, with a column for each contestant that was measured."""
    rows = summaries(figures)
    measured = {name for sides in rows.values() for name in sides}
    names = [name for name in CONTESTANTS if name in measured]
    head = ["measured", "engine", "unit", *names, f"{OURS} ÷ {LIMIT}", f"{OURS} ÷ best peer"]
    lines = [line(head), line(["---"] * 3 + ["---:"] * (len(head) - 3))]
    for (subject, engine, setting, unit), sides in rows.items():
        peer = best_peer(unit, sides)
        cells = [
            f"{subject}, {setting}" if setting else subject,
            engine,
            unit,
            *(cell(unit, sides, name) for name in names),
            ratio(unit, sides, LIMIT),
            f"{ratio(unit, sides, peer)} {peer}" if peer and OURS in sides else NOTHING,
        ]
        lines.append(line(cells))
    return "\n".join(lines) + "\n"


def line(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def cell(unit: str, sides: Mapping[str, Summary], name: str) -> str:
    """The figure of one contestant."""
    if name not in sides:
        return NOTHING
    side = sides[name]
    text = f"{number(side.value)} ±{side.spread:.0f} %"
    if name != OURS and OURS in sides:
        text += f" ({ratio(unit, sides, name)})"
    return text


def ratio(unit: str, sides: Mapping[str, Summary], name: str) -> str:
    """How many times better Elihu is than this contestant."""
    if OURS not in sides or name not in sides:
        return NOTHING
    times = better(unit, sides[OURS].value, sides[name].value)
    return NOTHING if times is None else f"{times:.2f}"


def number(value: float) -> str:
    """With as many decimals as a reader needs."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bounds_table(figures: Iterable[Figure]) -> str:
    """Markdown, with Elihu's figure, its bound and the least ratio that is wanted."""
    head = ["measured", "bound", "engine", "unit", OURS, "bound's figure", "ratio", "wanted"]
    lines = [line(head), line(["---"] * 4 + ["---:"] * 4)]
    for (subject, engine, _, unit), sides in summaries(figures).items():
        if OURS not in sides:
            continue
        wanted = BY_NAME[subject].wanted.get(unit)
        lines.append(
            line(
                [
                    *(subject, BY_NAME[subject].text, engine, unit),
                    *(plain_cell(sides, name) for name in (OURS, BOUND.name)),
                    ratio(unit, sides, BOUND.name),
                    NOTHING if wanted is None else f"{wanted:.2f}",
                ]
            )
        )
    return "\n".join(lines) + "\n"


def plain_cell(sides: Mapping[str, Summary], name: str) -> str:
    """A figure without a ratio."""
    if name not in sides:
        return NOTHING
    return f"{number(sides[name].value)} ±{sides[name].spread:.0f} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run was made with."""

    date: str
    machine: str
    versions: Mapping[str, str]
    rounds: int
    contestants: Sequence[tuple[str, str, str]]
    left_out: Sequence[str]

    def head(self) -> str:
        """The date, the machine and the versions in one line."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        rounds = f"{self.rounds} round{'s' if self.rounds > 1 else ''}"
        return f"{self.date}; {self.machine}; {versions}; {rounds}."


def document(run: Run, figures: Sequence[Figure]) -> str:
    """The whole page."""
    own = [figure for figure in figures if figure.subject in BY_NAME]
    parts = [
        "# Speed beside other job queues\n",
        f"{run.head()}\n",
        CONDITIONS,
        LEGEND,
        table([figure for figure in figures if figure.subject not in BY_NAME]),
        *(["## Elihu beside its own bounds\n", BOUNDS_LEGEND, bounds_table(own)] if own else []),
        "## Contestants\n",
        "\n".join(
            [
                line(["contestant", "version", "settings"]),
                line(["---"] * 3),
                *(line(each) for each in run.contestants),
            ]
        )
        + "\n",
    ]
    if run.left_out:
        parts.append("## Not measured\n")
        parts.append("\n".join(f"- {without_paths(each)}" for each in run.left_out) + "\n")
    return "\n".join(parts)


def without_paths(text: str) -> str:
    """The text without the folders of this machine."""
    return re.sub(r"(?<![\w.])/[^\s:'\"]+/", "", text)
