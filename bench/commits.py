"""`python -m bench.commits BEFORE AFTER SUBJECT… [OPTION OF python -m bench…]`: compares
two commits of this repository.

Each commit is unpacked into a temporary folder and measured with the `bench` it has
itself, in turn, round by round: BEFORE, AFTER, BEFORE, AFTER. The speed is the ratio of
the medians: 1.00 is equal, more is faster in AFTER. The drift is the same ratio of plain
SQL, which no commit changes: a drift far from 1.00 says that the machine was not quiet.
SIGINT ends the measurement; the table has the rounds so far.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.__main__ import natural, table

ROOT: Final = Path(__file__).parents[1]
MEASURED: Final = frozenset({"of", "value"})
HEAD: Final = ["subject", "engine", "setting", "unit", "before", "after", "speed", "drift"]

Figure = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both commits and print one table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.commits", description="Compare the speed of two commits."
    )
    parser.add_argument("before", metavar="BEFORE", help="the older commit")
    parser.add_argument("after", metavar="AFTER", help="the newer commit")
    parser.add_argument(
        "--rounds", type=natural, metavar="N", default=5, help="measurements of each commit (5)"
    )
    given, passed_on = parser.parse_known_args(arguments)
    figures: dict[str, list[Figure]] = {"before": [], "after": []}
    with tempfile.TemporaryDirectory(prefix="elihu-bench-") as folder:
        trees = {
            name: unpacked(commit, Path(folder, name))
            for name, commit in (("before", given.before), ("after", given.after))
        }
        with suppress(KeyboardInterrupt):
            for number in range(given.rounds):
                for name, tree in trees.items():
                    figures[name] += measured(tree, passed_on)
                    print(f"round {number + 1} of {given.rounds}: {name}", file=sys.stderr)
    print(table(HEAD, rows(figures["before"], figures["after"]), words=4))


def unpacked(commit: str, folder: Path) -> Path:
    """The files of a commit, in this new folder."""
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def measured(tree: Path, arguments: Sequence[str]) -> list[Figure]:
    """The figures of one round in this tree."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--rounds", "1"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tree), str(tree / "src")])},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"bench in {tree.name}:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(before: Iterable[Figure], after: Iterable[Figure]) -> list[list[str]]:
    """A row for each figure that both commits have."""
    old, new = _medians(before), _medians(after)
    return [
        [
            what["subject"],
            what["engine"],
            ", ".join(f"{name} {value}" for name, value in _setting(what).items()),
            what["unit"],
            f"{old[key]['elihu']:,.2f}",
            f"{new[key]['elihu']:,.2f}",
            f"{_speed(what['unit'], old[key]['elihu'], new[key]['elihu']):.2f}",
            _drift(what["unit"], old[key], new[key]),
        ]
        for key in old
        if key in new
        for what in [dict(key)]
    ]


def _medians(figures: Iterable[Figure]) -> dict[tuple[tuple[str, Any], ...], dict[str, float]]:
    values: dict[tuple[tuple[str, Any], ...], dict[str, list[float]]] = {}
    for figure in figures:
        key = tuple(sorted((k, v) for k, v in figure.items() if k not in MEASURED))
        values.setdefault(key, defaultdict(list))[figure["of"]].append(figure["value"])
    return {
        key: {of: median(numbers) for of, numbers in each.items()} for key, each in values.items()
    }


def _setting(what: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in what.items() if k not in {"subject", "engine", "unit"}}


def _speed(unit: str, before: float, after: float) -> float:
    return after / before if unit.endswith("_per_second") else before / after


def _drift(unit: str, before: Mapping[str, float], after: Mapping[str, float]) -> str:
    if "limit" not in before or "limit" not in after:
        return "-"
    return f"{_speed(unit, before['limit'], after['limit']):.2f}"


if __name__ == "__main__":
    main()
