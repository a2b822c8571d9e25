"""``python -m bench.growth drain|plot|verbs``: how the cost of a job grows.

``drain`` measures how many jobs a second are drained at each size of what grows, on new
databases of both engines. The sizes take turns, round by round, and a figure is the median
of its rounds. Prints one line of JSON a figure and writes them to the file of results,
where they replace those of the same growth and engine. ``plot`` draws an SVG of each
growth in that file. ``verbs`` prints what single calls of the database cost.
"""

import argparse
import asyncio
import logging
import platform
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.__main__ import natural, table
from bench.compare.servers import Postgres, Server, Sqlite, shape
from bench.growth import results
from bench.growth.arguments import ARGUMENTS
from bench.growth.nodes import NODES
from bench.growth.plot import draw
from bench.growth.queues import QUEUES
from bench.growth.results import Point, Series
from bench.growth.rows import ROWS
from bench.growth.snapshot import SNAPSHOT
from bench.growth.subject import Growth
from bench.growth.verbs import verbs
from bench.loop import run
from elihu.testing.postgres import PostgresServer

GROWTHS: Final = {each.name: each for each in (ROWS, QUEUES, NODES, ARGUMENTS, SNAPSHOT)}
AXES: Final = {name: each.axis for name, each in GROWTHS.items()}
ENGINES: Final = ("postgresql", "sqlite")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth", description="Measure how the cost of a job grows."
    )
    parser.add_argument("--results", type=Path, metavar="FILE", default=results.FILE)
    steps = parser.add_subparsers(dest="step", required=True)
    drain = steps.add_parser("drain", help="measure, and write the file of results")
    drain.add_argument(
        "growths", nargs="+", choices=GROWTHS, metavar="GROWTH", help=", ".join(GROWTHS)
    )
    drain.add_argument("--engine", choices=ENGINES, action="append", help="only this one")
    drain.add_argument("--sizes", type=natural, nargs="+", metavar="N", help="other sizes")
    drain.add_argument("--jobs", type=natural, metavar="N", help="jobs of a drain")
    drain.add_argument("--rounds", type=natural, metavar="N", default=3, help="(3)")
    plot = steps.add_parser("plot", help="draw the file of results")
    plot.add_argument("--folder", type=Path, default=results.FOLDER)
    calls = steps.add_parser("verbs", help="print what single calls cost")
    calls.add_argument("--kept", type=natural, default=3_000_000, help="finished jobs")
    calls.add_argument("--rounds", type=natural, default=30, help="rounds, the median counts")
    given = parser.parse_args(arguments)
    if given.step == "plot":
        for name, text in draw(results.read(given.results), AXES).items():
            (given.folder / name).write_text(text)
        return
    logging.getLogger("elihu").setLevel(logging.ERROR)
    if given.step == "verbs":
        asyncio.run(verbs(given.kept, given.rounds))
    else:
        run(drain_all(given))


async def drain_all(given: argparse.Namespace) -> None:
    """Measure the growths of the command line."""
    rows: list[list[str]] = []
    for engine in given.engine or ENGINES:
        for name in given.growths:
            async with new_server(engine) as (server, version):
                points = await measure(GROWTHS[name], server, given.sizes, given.jobs, given.rounds)
            series = Series(
                growth=name,
                engine=engine,
                about=GROWTHS[name].about,
                date=datetime.now(UTC).date().isoformat(),
                machine=shape(),
                versions=f"{version}, Python {platform.python_version()}",
                points=points,
            )
            results.write(given.results, [series])
            print(*results.lines(series), sep="\n", flush=True)
            rows += summary(series)
    print(table(["growth", "engine", "size", "jobs/s", "ratio"], rows, words=2), file=sys.stderr)


async def measure(
    growth: Growth,
    server: Server,
    sizes: Sequence[int] | None = None,
    jobs: int | None = None,
    rounds: int = 3,
) -> tuple[Point, ...]:
    """The rates at each size; the sizes take turns."""
    counts = {size: jobs or growth.jobs(size) for size in sizes or growth.sizes}
    rates: dict[int, list[float]] = {size: [] for size in counts}
    async with AsyncExitStack() as stack:
        drains = {
            size: await stack.enter_async_context(growth.at(server, size, count))
            for size, count in counts.items()
        }
        for _ in range(rounds):
            for size, drain in drains.items():
                rates[size].append(await drain())
    return tuple(Point(size, count, tuple(rates[size])) for size, count in counts.items())


@asynccontextmanager
async def new_server(engine: str) -> AsyncIterator[tuple[Server, str]]:
    """A durable server, or a folder of files; and the engine's name and version."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory(prefix="elihu-bench-") as folder:
            yield Sqlite(Path(folder)), f"SQLite {sqlite3.sqlite_version}"
        return
    with PostgresServer(durable=True) as started:
        server = Postgres(started)
        yield server, f"PostgreSQL {await server.version()}"


def summary(series: Series) -> Iterator[list[str]]:
    """Rows of the table; the ratio is to the smallest size."""
    first = series.points[0].rate
    for point in series.points:
        yield [
            series.growth,
            series.engine,
            f"{point.size:,}",
            f"{point.rate:,.0f}",
            f"{point.rate / first:.2f}",
        ]


if __name__ == "__main__":
    main()
