"""Two commits are measured in turn, and compared by the ratio of their medians."""

import subprocess
import sys
from pathlib import Path

from bench.commits import rows

ROOT = Path(__file__).parents[2]


def figure(of: str, value: float, unit: str = "jobs_per_second") -> dict[str, object]:
    return {
        "subject": "drain",
        "engine": "sqlite",
        "slots": 100,
        "of": of,
        "unit": unit,
        "value": value,
    }


def test_the_speed_is_the_ratio_of_the_medians():
    before = [figure("elihu", value) for value in (90, 100, 500)] + [figure("limit", 1_000)]
    after = [figure("elihu", value) for value in (1, 120, 125)] + [figure("limit", 900)]
    assert rows(before, after) == [
        ["drain", "sqlite", "slots 100", "jobs_per_second", "100.00", "120.00", "1.20", "0.90"]
    ]


def test_a_shorter_time_is_faster():
    ((*_, speed, drift),) = rows([figure("elihu", 4, "p50_ms")], [figure("elihu", 2, "p50_ms")])
    assert (speed, drift) == ("2.00", "-")


def test_a_figure_that_one_commit_lacks_is_left_out():
    assert rows([figure("elihu", 4)], [figure("elihu", 4, "p50_ms")]) == []


def test_a_commit_is_measured_with_its_own_bench(tmp_path: Path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench.commits", "HEAD", "HEAD", "insert", "--rounds", "1"),
            *("--jobs", "6", "--callers", "3", "--database", f"sqlite:///{tmp_path}/elihu.db"),
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    head, row = done.stdout.strip().splitlines()
    assert head.split() == [
        *("subject", "engine", "setting", "unit", "before", "after", "speed", "drift")
    ]
    assert row.split()[:2] == ["insert", "sqlite"]
    assert "round 1 of 1: before" in done.stderr
    assert "round 1 of 1: after" in done.stderr
