"""The measurements of growth run, with meaningless numbers, and the plots in the documentation
are those of the results beside them.
"""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.compare.programs.own_tables import install
from bench.compare.servers import Postgres, Server, Sqlite
from bench.growth import results
from bench.growth.__main__ import AXES, GROWTHS, main, measure
from bench.growth.beside import Statement, beside
from bench.growth.plot import draw
from bench.growth.results import Point, Series
from elihu.testing.postgres import PostgresServer

JOBS: Statement = {
    "sqlite": "SELECT count(*) FROM job WHERE state = 'completed'",
    "postgresql": "SELECT count(*) FROM elihu.job WHERE state = 'completed'",
}
SERIES = Series(
    growth="rows",
    engine="sqlite",
    about="one node",
    date="2026-11-30",
    machine="2 cores",
    versions="SQLite 3",
    points=(Point(10, 5, (100.0, 300.0, 200.0)), Point(1_000, 5, (50.0, 150.0, 100.0))),
)


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    if request.param == "sqlite":
        return Sqlite(tmp_path)
    started: PostgresServer = request.getfixturevalue("postgres_server")
    return Postgres(started)


BOTH = pytest.mark.parametrize("server", ["sqlite", "postgres"], indirect=True)


@BOTH
@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=pytest.mark.more if one == "nodes" else ()) for one in GROWTHS],
)
async def test_measures(server: Server, name: str) -> None:
    (point,) = await measure(GROWTHS[name], server, sizes=[2], jobs=12, rounds=1)
    assert (point.size, point.jobs) == (2, 12)
    assert point.rate > 0


@BOTH
async def test_a_held_snapshot_does_not_show_later_jobs(server: Server) -> None:
    async with (
        server.fresh("growth", install) as url,
        beside(url) as sql,
        beside(url) as holder,
    ):
        await holder.hold_snapshot()
        await sql.fill(20)
        assert [await each.fetch(JOBS) for each in (holder, sql)] == [0, 20]


def test_plots_are_those_of_the_results() -> None:
    drawn = draw(results.read(results.FILE), AXES)
    kept = {path.name: path.read_text() for path in results.FOLDER.glob("growth-*.svg")}
    assert kept == drawn
    assert set(drawn) == {f"growth-{name}.svg" for name in GROWTHS}


def test_a_plot_is_small_and_names_both_engines() -> None:
    series = [SERIES, replace(SERIES, engine="postgresql")]
    svg = draw(series, AXES)["growth-rows.svg"]
    assert len(svg) < 60_000
    words = [part.text for part in ET.fromstring(svg).iter() if part.text]
    assert {"10", "1,000", "jobs a second", AXES["rows"]} <= set(words)
    assert {f"{name}: 0.50 of the first rate at the last" for name in ("PostgreSQL", "SQLite")} <= {
        *words
    }


def test_results_replace_those_of_the_same_growth_and_engine(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    other = replace(SERIES, growth="nodes")
    results.write(file, [SERIES, other])
    later = replace(SERIES, date="2026-12-01")
    results.write(file, [later])
    assert results.read(file) == [other, later]


def test_draws_the_file_of_results(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    results.write(file, [SERIES])
    main(["--results", str(file), "plot", "--folder", str(tmp_path)])
    assert (tmp_path / "growth-rows.svg").read_text() == draw([SERIES], AXES)["growth-rows.svg"]


@pytest.mark.parametrize(
    "arguments", [[], ["drain", "dig"], ["drain", "rows", "--sizes", "0"], ["drain"]]
)
def test_wrong_use(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
