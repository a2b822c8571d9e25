"""Results as the table that ``docs/reliability/results.md`` shows."""

from collections import defaultdict
from collections.abc import Sequence

from oracle.evidence import Recovery
from oracle.scenario import Result

HEAD = (
    "fault",
    "engine",
    "injections",
    "jobs",
    "lost",
    "phantom",
    "illegal",
    "double ends",
    "overlap",
    "duplicates explained",
    "unexplained",
    "living nodes removed",
    "wrong",
    "slowest recovery",
)


def row(result: Result) -> list[str]:
    """The cells of one result."""
    found = result.findings
    counts = [found.lost, found.phantom, found.illegal, found.double, found.overlap]
    slowest = "-" if found.slowest is None else f"{found.slowest:.1f} s"
    mark = " !" if found.broken() else ""
    return [
        result.scenario + mark,
        result.engine,
        str(result.injections),
        str(found.jobs),
        *(str(len(each)) for each in counts),
        str(found.explained),
        str(len(found.unexplained)),
        str(len(found.removed)),
        str(len(found.wrong)),
        slowest,
    ]


TIMES_HEAD = ("fault", "engine", "what", "times", "slowest", "promised")


def times(result: Result) -> list[list[str]]:
    """How long each kind of recovery took: a row a kind, with the slowest."""
    slowest: dict[str, list[Recovery]] = defaultdict(list)
    for recovery in result.findings.recoveries:
        slowest[recovery.what].append(recovery)
    return [
        [
            result.scenario,
            result.engine,
            what,
            str(len(all_)),
            f"{max(each.seconds for each in all_):.1f} s",
            f"{all_[0].bound:g} s",
        ]
        for what, all_ in slowest.items()
    ]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table, with columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )
