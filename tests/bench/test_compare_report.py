"""The table of the comparison."""

import os
import platform
from dataclasses import replace
from pathlib import Path

from bench.compare.report import Figure, Run, better, bounds_table, document, number, table
from bench.compare.servers import shape


def figures(of: str, *values: float, unit: str = "jobs/s", setting: str = "") -> list[Figure]:
    return [
        Figure(
            subject="drain",
            engine="sqlite",
            setting=setting,
            unit=unit,
            of=of,
            round=number,
            value=value,
        )
        for number, value in enumerate(values, 1)
    ]


def cells(text: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in text.splitlines()]


def test_a_row_has_medians_spread_and_ratios() -> None:
    measured = [
        *figures("huey", 10, 20, 30),
        *figures("limit", 400),
        *figures("elihu", 190, 200, 210),
    ]
    head, rule, row = cells(table(measured))
    assert head == [
        *("measured", "engine", "unit", "elihu", "limit", "huey"),
        *("elihu ÷ limit", "elihu ÷ best peer"),
    ]
    assert rule == ["---"] * 3 + ["---:"] * 5
    assert row == [
        *("drain", "sqlite", "jobs/s", "200 ±5 %", "400 ±0 % (0.50)", "20.0 ±50 % (10.00)"),
        *("0.50", "10.00 huey"),
    ]


def test_elihu_beside_its_bounds_stands_in_a_table_of_its_own() -> None:
    measured = [
        replace(each, subject="gather of 10,000 jobs", unit="s")
        for each in [*figures("elihu", 1, 3), *figures("bound", 1)]
    ]
    *_, row = cells(bounds_table(measured))
    assert row == [
        *("gather of 10,000 jobs", "a drain of the same jobs", "sqlite", "s"),
        *("2.00 ±50 %", "1.00 ±0 %", "0.50", "0.67"),
    ]
    run = Run(date="", machine="", versions={}, rounds=1, contestants=[], left_out=[])
    text = document(run, [*measured, *figures("huey", 5)])
    before, after = text.split("## Elihu beside its own bounds")
    assert "gather" not in before
    assert "huey" not in after
    assert "## Elihu beside" not in document(run, figures("huey", 5))


def test_of_times_less_is_better() -> None:
    measured = [
        *figures("elihu", 2, unit="p50 ms"),
        *figures("oban", 3, unit="p50 ms"),
        *figures("chancy", 8, unit="p50 ms"),
    ]
    assert cells(table(measured))[-1][3:] == [
        *("2.00 ±0 %", "3.00 ±0 % (1.50)", "8.00 ±0 % (4.00)"),
        *("-", "1.50 oban"),
    ]


def test_what_was_not_measured_is_a_dash() -> None:
    measured = [
        *figures("elihu", 100, setting="10 slots"),
        *figures("pgqueuer", 50, setting="best"),
        *figures("elihu", 100, setting="best"),
    ]
    first, second = cells(table(measured))[2:]
    assert first == ["drain, 10 slots", "sqlite", "jobs/s", "100 ±0 %", "-", "-", "-"]
    assert second == [
        *("drain, best", "sqlite", "jobs/s", "100 ±0 %", "50.0 ±0 % (2.00)"),
        *("-", "2.00 pgqueuer"),
    ]


def test_a_peer_alone_has_no_ratio() -> None:
    assert cells(table(figures("huey", 5)))[-1][3:] == ["5.00 ±0 %", "-", "-"]


def test_no_ratio_to_nothing() -> None:
    assert better("% of a core", 0.0, 1.0) is None
    assert better("jobs/s", 1.0, 0.0) is None


def test_numbers() -> None:
    assert [number(each) for each in (12_345.6, 99.94, 9.994)] == ["12,346", "99.9", "9.99"]


def test_the_page_names_what_it_was_made_with_and_nothing_of_this_place() -> None:
    run = Run(
        date="2026-01-02",
        machine=shape(),
        versions={"Python": "3.13.0", "PostgreSQL": "18.1"},
        rounds=3,
        contestants=[("huey", "3.5.4", "one thread")],
        left_out=[
            "celery: there is no `redis-server` on the PATH",
            f"oban: {Path.home()}/lib/oban.py: no such file, sqlite:///{Path.home()}/a/bench.db",
        ],
    )
    page = document(run, figures("elihu", 1))
    head = page.splitlines()[2]
    assert head.startswith("2026-01-02; ")
    assert head.endswith(" of memory; Python 3.13.0, PostgreSQL 18.1; 3 rounds.")
    assert f"{len(os.sched_getaffinity(0))} cores" in head
    assert "| huey | 3.5.4 | one thread |" in page
    assert "- celery: there is no `redis-server`" in page
    assert "- oban: oban.py: no such file" in page
    assert platform.node() not in page
    assert str(Path.home()) not in page
