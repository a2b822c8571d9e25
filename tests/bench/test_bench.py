"""Each subject of bench/ runs, with meaningless numbers, and prints its figures."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from tests.fixtures.warm import Warm

ROOT = Path(__file__).parents[2]
SMALL = (
    *("--jobs", "12", "--rounds", "1", "--callers", "3", "--slots", "4"),
    *("--mib", "1"),
)
UNITS = {each: {"jobs_per_second"} for each in ("insert", "bulk", "drain", "thread", "process")}
UNITS |= {each: {"p50_ms", "p99_ms"} for each in ("latency", "relay")} | {"gather": {"seconds"}}
UNITS |= {each: {"seconds"} for each in ("dispatch", "at_once")}
UNITS |= {"stage": {"seconds"}, "delay": {"p50_ms", "latest_ms"}}
UNITS |= {"output": {"seconds", "node_mib", "supervisor_mib"}}
BESIDE = {"relay": "latency", "gather": "drain", "output": "pipe"}
BESIDE |= {"dispatch": "plain rows", "at_once": "processes"}
BESIDE |= {"stage": "wanted", "delay": "wanted"}
ALWAYS = {"insert", "drain", "latency"}
ALONE = {("pipe", "supervisor_mib"), ("wanted", "p50_ms")}
"""What the other side does not have."""


Bench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bench(warm: Warm) -> Bench:
    """Runs ``python -m bench``."""
    return lambda *arguments: warm.run(arguments, ROOT, dict(os.environ), "", 50, "bench")


@pytest.mark.parametrize(
    "subject",
    [pytest.param(one, marks=() if one in ALWAYS else pytest.mark.more) for one in UNITS],
)
def test_subject(bench: Bench, subject: str, database_url: str) -> None:
    done = bench(subject, "--database", database_url, *SMALL)
    assert done.returncode == 0, done.stderr
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    engine = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    assert {(figure["subject"], figure["engine"], figure["jobs"]) for figure in figures} == {
        (subject, engine, 12)
    }
    assert {(figure["of"], figure["unit"]) for figure in figures} == {
        (of, unit) for of in ("elihu", BESIDE.get(subject, "limit")) for unit in UNITS[subject]
    } - ALONE
    assert all(figure["value"] > 0 for figure in figures)
    head, *rows = done.stderr.strip().splitlines()
    assert head.split() == ["subject", "engine", "setting", "unit", "elihu", "limit", "ratio"]
    assert len(rows) == sum(figure["of"] == "elihu" for figure in figures)


def test_leaves_an_sqlite_file_alone(bench: Bench, sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "elihu.db").touch()
    assert bench("insert", "--database", sqlite_url, *SMALL).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["elihu.db"]
    assert (tmp_path / "elihu.db").stat().st_size == 0


async def test_leaves_no_schema_behind(bench: Bench, postgres_url: str) -> None:
    assert bench("insert", "--database", postgres_url, *SMALL).returncode == 0
    connection = await asyncpg.connect(postgres_url)
    left = await connection.fetch(
        "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(bench|elihu)'"
    )
    await connection.close()
    assert left == []


@pytest.mark.parametrize(
    "arguments", [("dig",), ("insert", "--jobs", "0"), ("insert", "--callers", "many"), ()]
)
def test_wrong_use(bench: Bench, arguments: tuple[str, ...]) -> None:
    assert bench(*arguments).returncode == 2
