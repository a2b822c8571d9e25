"""How long lists and the overview take with a large table: ``python -m bench.pages``.

Fills the tables with SQL, then asks for each route of the API and each page again and again,
and prints one JSON line for each, in milliseconds: the median and the 95th percentile of the
times, and how much of the processor this process used for one.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.large import fill, fill_history, living_nodes
from elihu import Elihu
from elihu.testing.postgres import PostgresServer
from elihu.web import create_app, guard
from elihu.web.app import lifespan
from elihu.web.server import keep_what_is_loaded

ROUTES = (
    "/api/system/jobs",
    "/api/system/jobs?state=available",
    "/api/system/jobs?state=available&queue=q3",
    "/api/system/jobs?state=scheduled",
    "/api/system/jobs?state=completed",
    "/api/system/jobs?state=discarded",
    "/api/system/jobs?state=executing",
    "/api/system/jobs?task=rare",
    "/api/system/jobs/counts",
    "/api/system/queues",
    "/api/system/failures",
    "/api/system/tasks/t1/usual",
    "/api/runs",
    "/api/runs?status=failed",
    "/api/overview",
    "/api/overview/ahead",
    "/",
    "/?span=week",
    "/runs",
    "/runs?view=failed",
    "/runs?group=command",
    "/runs?since=30d",
    "/commands",
    "/schedules",
    "/jobs",
    "/jobs?state=completed",
    "/jobs?state=discarded",
    "/jobs?task=t1",
    "/jobs?queue=q3&state=available",
    "/jobs/5000",
    "/queues",
    "/nodes",
    "/triggers",
    "/audit",
)


async def make(url: str, jobs: int, runs: int) -> None:
    """Fill the tables where there are no jobs."""
    async with Elihu(url) as app:
        await app.migrate()
        if not (await app.jobs.summaries(limit=1)).items:
            await fill(app, jobs, runs)
            await fill_history(app)


async def measure(url: str, jobs: int, rounds: int, only: str) -> None:
    """Print the times of each route."""
    guard.Rates.wait = lambda self, address: 0.0  # type: ignore[method-assign]
    async with Elihu(url) as app:
        web = create_app(app, open_on_loopback=True)
        keep_what_is_loaded()
        transport = httpx.ASGITransport(web, client=("127.0.0.1", 1))
        async with (
            living_nodes(app),
            lifespan(web),
            httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as http,
        ):
            for route in (each for each in ROUTES if each.startswith(only)):
                times = []
                await http.get(route)
                used = time.process_time()
                for _ in range(rounds):
                    web.state.elihu.menu = None
                    begun = time.perf_counter()
                    answer = await http.get(route)
                    times.append(1_000 * (time.perf_counter() - begun))
                    assert answer.status_code == 200, f"{route}: {answer.text[:200]}"
                used = time.process_time() - used
                times.sort()
                print(
                    json.dumps(
                        {
                            "engine": "sqlite" if url.startswith("sqlite") else "postgres",
                            "jobs": jobs,
                            "route": route,
                            "median_ms": round(statistics.median(times), 1),
                            "p95_ms": round(times[int(0.95 * (len(times) - 1))], 1),
                            "cpu_ms": round(1_000 * used / rounds, 1),
                        }
                    ),
                    flush=True,
                )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default="/", help="routes that begin so")
    parser.add_argument("--engine", choices=["sqlite", "postgres"], action="append")
    parser.add_argument("--database", metavar="URL", help="one to keep: filled if it has no jobs")
    given = parser.parse_args(arguments)
    if given.database:
        asyncio.run(make(given.database, given.jobs, given.runs))
        asyncio.run(measure(given.database, given.jobs, given.rounds, given.only))
        return
    for engine in given.engine or ["postgres", "sqlite"]:
        if engine == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{Path(folder) / 'pages.db'}"
                asyncio.run(make(url, given.jobs, given.runs))
                asyncio.run(measure(url, given.jobs, given.rounds, given.only))
        else:
            with PostgresServer() as server:
                url = server.create_database("pages")
                asyncio.run(make(url, given.jobs, given.runs))
                asyncio.run(measure(url, given.jobs, given.rounds, given.only))


if __name__ == "__main__":
    main(sys.argv[1:])
