"""How long lists and the overview take with a large table: ``python -m bench.pages``.

Fills the tables with SQL, then asks for each route of the API and each page again and again,
and prints one JSON line for each: the median and the 95th percentile in milliseconds.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import httpx

from elihu import Elihu
from elihu.testing.postgres import PostgresServer
from elihu.web import create_app, guard
from elihu.web.app import lifespan

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
    "/jobs/500000",
    "/queues",
    "/nodes",
    "/triggers",
    "/audit",
)

POSTGRES = """
INSERT INTO elihu.job (state, queue, task, priority, inserted_at, scheduled_at, started_at,
  finished_at, prune_at, node, reason)
SELECT state, 'q' || n % 10, 't' || n % 20, n % 3, at, at,
  CASE WHEN state IN ('completed', 'discarded', 'executing') THEN at END,
  CASE WHEN state IN ('completed', 'discarded') THEN at + interval '1 second' END,
  CASE WHEN state IN ('completed', 'discarded') THEN at + interval '1 day' END,
  CASE WHEN state = 'executing' THEN gen_random_uuid() END,
  CASE WHEN state = 'discarded' THEN 'ValueError: number ' || n END
FROM (SELECT n, now() - make_interval(secs => ($1 - n) / 100.0) AS at,
  CASE WHEN n % 100 < 80 THEN 'completed' WHEN n % 100 < 90 THEN 'available'
    WHEN n % 100 < 98 THEN 'scheduled' WHEN n % 100 < 99 THEN 'discarded'
    WHEN n % 10000 = 99 THEN 'executing' ELSE 'completed' END AS state
  FROM generate_series(1, $1::bigint) AS n) AS made
"""
POSTGRES_RUNS = """
INSERT INTO elihu.command_job (id, command_name, environment_name, shell_command, source, forced,
  admitted, mode, status, attempt, max_attempts, created_at, due_at, started_at, finished_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' ||
    substr(md5(n::text), 1, 19))::uuid,
  'command ' || n % 50, 'production', 'true', 'schedule', false, true, 'shell',
  CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'succeeded' END, 1, 1, at, at, at, at
FROM (SELECT n, now() - make_interval(secs => ($1 - n)::float8) AS at
  FROM generate_series(1, $1::bigint) AS n) AS made
"""
SQLITE = """
INSERT INTO job (state, queue, task, priority, inserted_at, scheduled_at, started_at,
  finished_at, prune_at, node, reason)
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :jobs),
made AS (SELECT n, :now - (:jobs - n) / 100.0 AS at,
  CASE WHEN n % 100 < 80 THEN 'completed' WHEN n % 100 < 90 THEN 'available'
    WHEN n % 100 < 98 THEN 'scheduled' WHEN n % 100 < 99 THEN 'discarded'
    WHEN n % 10000 = 99 THEN 'executing' ELSE 'completed' END AS state FROM number)
SELECT state, 'q' || n % 10, 't' || n % 20, n % 3, at, at,
  CASE WHEN state IN ('completed', 'discarded', 'executing') THEN at END,
  CASE WHEN state IN ('completed', 'discarded') THEN at + 1 END,
  CASE WHEN state IN ('completed', 'discarded') THEN at + 86400 END,
  CASE WHEN state = 'executing' THEN 'n' END,
  CASE WHEN state = 'discarded' THEN 'ValueError: number ' || n END FROM made
"""


async def fill(app: Elihu, jobs: int, runs: int) -> None:
    """Make the tables and fill them."""
    await app.migrate("commands")
    await app.migrate("accounts")
    url = app.config.database_url
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        with connection:
            connection.execute(SQLITE, {"jobs": jobs, "now": time.time()})
        connection.execute("ANALYZE")
        connection.close()
        return
    connected = await asyncpg.connect(url)
    await connected.execute("SET session_replication_role = replica")
    await connected.execute(POSTGRES, jobs)
    await connected.execute(POSTGRES_RUNS, runs)
    await connected.execute("VACUUM ANALYZE")
    await connected.close()


async def measure(url: str, jobs: int, runs: int, rounds: int, only: str) -> None:
    """Print the times of each route."""
    guard.Rates.wait = lambda self, address: 0.0  # type: ignore[method-assign]
    async with Elihu(url) as app:
        await fill(app, jobs, runs)
        web = create_app(app, open_on_loopback=True)
        transport = httpx.ASGITransport(web, client=("127.0.0.1", 1))
        async with (
            lifespan(web),
            httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as http,
        ):
            for route in (each for each in ROUTES if each.startswith(only)):
                times = []
                for _ in range(rounds):
                    web.state.elihu.menu = None
                    begun = time.perf_counter()
                    answer = await http.get(route)
                    times.append(1_000 * (time.perf_counter() - begun))
                    assert answer.status_code == 200, f"{route}: {answer.text}"
                times.sort()
                print(
                    json.dumps(
                        {
                            "engine": "sqlite" if url.startswith("sqlite") else "postgres",
                            "jobs": jobs,
                            "route": route,
                            "median_ms": round(statistics.median(times), 1),
                            "p95_ms": round(times[int(0.95 * (len(times) - 1))], 1),
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
    given = parser.parse_args(arguments)
    for engine in given.engine or ["postgres", "sqlite"]:
        if engine == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{Path(folder) / 'pages.db'}"
                asyncio.run(measure(url, given.jobs, given.runs, given.rounds, given.only))
        else:
            with PostgresServer() as server:
                url = server.create_database("pages")
                asyncio.run(measure(url, given.jobs, given.runs, given.rounds, given.only))


if __name__ == "__main__":
    main(sys.argv[1:])
