"""``elihu bench``: its figures, what it says of them, and that nothing of it stays."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from elihu.cli.bench import run_benchmark
from elihu.cli.benchmark.bounds import Bound, Costs, bound_of
from elihu.cli.benchmark.own_schema import LEFT_AFTER, PREFIX
from elihu.cli.benchmark.subjects import Measured
from elihu.config import load_config
from tests.cli.shell import Shell
from tests.engines.postgres_support import psql

RATES = (
    "insert, 1 caller", "insert, 100 callers", "read, 100 callers", "bulk", "drain, 10 slots",
    "drain, 100 slots",
)  # fmt: skip
COSTS = Costs(round_trip=0.001, flush=0.002, connections=10)


async def schemas(url: str) -> list[str]:
    """The names of all benchmarks' schemas, or files."""
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        return sorted(path.name for path in file.parent.glob(f"*{PREFIX}*"))
    async with psql(url) as connection:
        rows = await connection.fetch(
            "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1) ORDER BY 1", PREFIX
        )
    return [row[0] for row in rows]


async def make(url: str, name: str) -> str:
    """Make such a schema, or file; returns what ``schemas`` calls it."""
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        made = file.with_name(f"{file.stem}-{name}{file.suffix}")
        made.touch()
        made.with_name(f"{made.name}-wal").touch()
        return made.name
    async with psql(url) as connection:
        await connection.execute(f'CREATE SCHEMA "{name}"; CREATE TABLE "{name}".job (id int)')
    return name


async def test_the_figures_and_what_bounds_them(shell: Shell, database_url: str) -> None:
    found = await asyncio.to_thread(shell.json, "bench", "--seconds", "1")
    figures = {figure["name"]: figure for figure in found["figures"]}
    assert list(figures) == ["round trip", "commit", *RATES, "latency"]
    assert all(figures[name]["per_second"] > 0 for name in RATES)
    assert {figures[name]["bound"] for name in RATES} <= set(Bound)
    assert all(0 < figures[name]["share"] <= 1 and figures[name]["why"] for name in RATES)
    assert 0 < figures["latency"]["p50_ms"] <= figures["latency"]["p99_ms"]
    assert await schemas(database_url) == []


async def test_only_what_killed_benchmarks_left_is_removed(shell: Shell, database_url: str) -> None:
    now = int(time.time())
    await make(database_url, f"{PREFIX}{now - int(LEFT_AFTER) - 60}_1")
    others = [await make(database_url, name) for name in (f"{PREFIX}{now}_1", f"{PREFIX}mine")]
    text = await asyncio.to_thread(shell, "bench", "--seconds", "1")
    assert re.search(r"^drain, 100 slots +[\d,]+ a second +\w+", text, re.MULTILINE)
    left = await schemas(database_url)
    assert [name for name in left if not name.endswith("-wal")] == others
    if database_url.startswith("postgresql"):  # other tests use this database too
        async with psql(database_url) as connection:
            for name in others:
                await connection.execute(f'DROP SCHEMA "{name}" CASCADE')


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_in_the_middle_leaves_nothing(
    database_url: str, number: signal.Signals
) -> None:
    config = load_config(
        keywords={"database_url": database_url}, read_files=False, read_environment=False
    )
    before: list[list[str]] = []
    waiting = asyncio.Event()

    def begin(name: str) -> None:
        if name == "drain, 10 slots":
            waiting.set()

    task = asyncio.create_task(run_benchmark(config, 2.0, begin))
    await waiting.wait()
    before.append(await schemas(database_url))
    signal.raise_signal(number)
    while not task.cancelling():  # noqa: ASYNC110 (the loop calls the handler)
        await asyncio.sleep(0)
    signal.raise_signal(number)  # while it cleans up
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    own = f"_{os.getpid()}"
    assert [name for name in before[0] if own in name]
    assert [name for name in await schemas(database_url) if own in name] == []


@pytest.fixture
async def powerless_url(new_postgres_url: str) -> AsyncIterator[str]:
    """The URL for a role that may connect, and make nothing."""
    async with psql(new_postgres_url) as connection:
        await connection.execute("CREATE ROLE powerless LOGIN")
    yield new_postgres_url.replace("postgres@", "powerless@")
    async with psql(new_postgres_url) as connection:
        await connection.execute("DROP ROLE powerless")


async def test_the_missing_right_is_named(bare: Shell, powerless_url: str) -> None:
    bare.environ["ELIHU_DATABASE_URL"] = powerless_url
    error = await asyncio.to_thread(bare.refused, "bench", "--seconds", "1", status=1)
    database = urlsplit(powerless_url).path.strip("/")
    assert f'GRANT CREATE ON DATABASE "{database}" TO "powerless"' in error


def test_a_missing_folder_is_named(bare: Shell) -> None:
    bare.environ["ELIHU_DATABASE_URL"] = f"sqlite:///{bare.folder}/none/elihu.db"
    assert f"{bare.folder}/none/" in bare.refused("bench", "--seconds", "1", status=1)


@pytest.mark.parametrize("seconds", ["0", "111", "long"])
def test_wrong_use(bare: Shell, seconds: str) -> None:
    bare.refused("bench", "--seconds", seconds, status=2)


@pytest.mark.parametrize(
    ("bound", "measured", "commits", "words"),
    [
        (Bound.PYTHON, Measured(50_000, 1.0, 0.9, 0.0, 100), True, "90% of the time"),
        (Bound.DISK_FLUSH, Measured(300, 1.0, 0.05, 0.0, 300), True, "300 commits of 2 ms"),
        (Bound.CONNECTIONS, Measured(9_000, 1.0, 0.5, 0.0, 9_000), False, "10 connections of 1 ms"),
        (Bound.PYTHON, Measured(9_000, 1.0, 0.9, 0.0, 9_000), False, "90% of the time"),
        (Bound.DATABASE, Measured(50_000, 1.0, 0.2, 0.0, 50), True, "65% of the time"),
        (Bound.ROUND_TRIPS, Measured(700, 1.0, 0.1, 0.0, 700), False, "700 calls of 1 ms"),
        (Bound.BUSY_MACHINE, Measured(900, 1.0, 0.2, 0.7, 300), True, "70% of the time"),
        (Bound.BUSY_MACHINE, Measured(9_000, 1.0, 0.2, 0.7, 9_000), False, "70% of the time"),
    ],
)
def test_what_bounds_a_figure(bound: Bound, measured: Measured, commits: bool, words: str) -> None:
    found = bound_of(measured, COSTS, commits=commits)
    assert found.bound == bound, found
    assert words in found.text


def test_round_trips_bound_where_a_commit_is_cheap() -> None:
    found = bound_of(Measured(700, 1.0, 0.1, 0.0, 700), Costs(0.001, 0.0001, None), commits=True)
    assert found.bound == Bound.ROUND_TRIPS
    assert found.share == pytest.approx(0.7)


def test_the_shares_of_calls_under_way_together_fit_the_time() -> None:
    found = bound_of(Measured(10_000, 1.0, 0.25, 0.0, 2_000), COSTS, commits=True)
    assert found.bound == Bound.DISK_FLUSH
    assert found.share == pytest.approx(0.5)
