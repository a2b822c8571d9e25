"""What the verbs of a node cost beside many kept jobs, and while a snapshot is held.

    python -m bench.growth [--kept N] [--rounds N]

Prints a table for ``docs/reliability/growth.md``: medians in milliseconds on empty tables,
beside the kept jobs, and beside them while a snapshot has been held since the jobs of the
queue were done.
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import asyncpg

from elihu.config import Config
from elihu.engines.protocol import Ack, Engine, Position
from elihu.engines.select import engine_for
from elihu.job import JobFilter, JobState, NewJob, RunOutcome
from elihu.telemetry.bus import Bus
from elihu.testing.postgres import PostgresServer

DEAD = 100_000
"""Jobs of the queue that are done while the snapshot is held."""
COLUMNS = (
    "state, task, node, claim, attempt, started_at, finished_at, prune_at, unique_key, "
    "unique_scope, keep_until"
)
FILL = {
    "sqlite": f"""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {{kept}})
        INSERT INTO job ({COLUMNS})
        SELECT 'completed', 't', 'gone', 1, 1, 1.7e9, 1.7e9, 4e9,
          iif(i % 10, NULL, 'key' || i), iif(i % 10, NULL, 1), iif(i % 10, NULL, 4e9) FROM n""",
    "postgres": f"""
        INSERT INTO elihu.job ({COLUMNS})
        SELECT 'completed', 't', gen_random_uuid(), 1, 1, now() - interval '9 days',
          now() - interval '9 days', now() + interval '99 days',
          CASE WHEN i % 10 = 0 THEN sha256(i::text::bytea) END, CASE WHEN i % 10 = 0 THEN 1 END,
          CASE WHEN i % 10 = 0 THEN now() + interval '99 days' END
        FROM generate_series(1, {{kept}}) i""",
}
DONE = {
    "sqlite": "UPDATE job SET state = 'completed', finished_at = 1.7e9, started_at = 1.7e9, "
    "prune_at = 4e9 WHERE state = 'available'",
    "postgres": "UPDATE elihu.job SET state = 'completed', finished_at = now(), "
    "started_at = now(), prune_at = now() + interval '99 days' WHERE state = 'available'",
}
HOLD = {"sqlite": "BEGIN", "postgres": "BEGIN ISOLATION LEVEL REPEATABLE READ"}
READ = {"sqlite": "SELECT count(*) FROM node", "postgres": "SELECT count(*) FROM elihu.node"}


class Sql:
    """A connection beside the engine's."""

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url

    async def open(self) -> "Sql":
        if self._name == "sqlite":
            path = self._url.removeprefix("sqlite:///")
            self._sqlite = sqlite3.connect(
                path, isolation_level=None, timeout=60, check_same_thread=False
            )
        else:
            self._postgres: Any = await asyncpg.connect(self._url)
        return self

    async def execute(self, sql: str) -> None:
        if self._name == "sqlite":
            await asyncio.to_thread(lambda: self._sqlite.execute(sql).fetchall())
        else:
            await self._postgres.execute(sql)

    async def close(self) -> None:
        if self._name == "sqlite":
            await asyncio.to_thread(self._sqlite.close)
        else:
            await self._postgres.close()


async def timed(work: Callable[[], Awaitable[object]], rounds: int) -> float:
    """The median of milliseconds."""
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        await work()
        took.append(time.perf_counter() - begun)
    return 1_000 * median(took)


async def measure(engine: Engine, node: str, rounds: int) -> dict[str, float]:
    """Each verb as a node calls it, with one job in the queue."""
    reached: list[Position | None] = [None]

    async def run_one(*, behind: bool) -> None:
        after = reached[0] if behind else None
        (claim,) = (await engine.exchange(node, "default", 1, [], after=after)).claims
        reached[0] = Position(claim.priority, claim.scheduled_at, claim.id)
        ack = Ack(claim.id, claim.claim, RunOutcome.COMPLETED, JobState.COMPLETED)
        await engine.exchange(node, "default", 0, [ack])

    async def job(*, behind: bool) -> None:
        await engine.insert([NewJob(task="t")])
        await run_one(behind=behind)

    config = Config()
    await job(behind=False)
    return {
        "a job, stored, fetched from the front and done": await timed(
            lambda: job(behind=False), rounds
        ),
        "the same, fetched from behind the last one": await timed(lambda: job(behind=True), rounds),
        "stage, nothing due": await timed(lambda: engine.stage(5_000), rounds),
        "prune, nothing due": await timed(lambda: engine.prune(config.retention, 5_000), rounds),
        "expire, nothing due": await timed(lambda: engine.expire(1_000), rounds),
        "a page of 50 jobs": await timed(lambda: engine.find(JobFilter(), None, 50), rounds),
    }


async def columns(name: str, url: str, kept: int, rounds: int) -> list[dict[str, float]]:
    engine = engine_for(Config(database_url=url, call_timeout=60), Bus())
    await engine.open()
    await engine.migrate()
    node = str(uuid4())
    await engine.register_node(node, "bench", {})
    sql, holder = await Sql(name, url).open(), await Sql(name, url).open()
    empty = await measure(engine, node, rounds)
    await sql.execute(FILL[name].format(kept=kept))
    await sql.execute("ANALYZE" if name == "sqlite" else "VACUUM ANALYZE elihu.job")
    full = await measure(engine, node, rounds)
    for _ in range(DEAD // 5_000):
        await engine.insert([NewJob(task="t")] * 5_000)
    await holder.execute(HOLD[name])
    await holder.execute(READ[name])
    await sql.execute(DONE[name])
    held = await measure(engine, node, rounds)
    await holder.close()
    await sql.close()
    await engine.deregister_node(node)
    await engine.close()
    return [empty, full, held]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=int, default=3_000_000, help="finished jobs")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of which the median counts")
    given = parser.parse_args()
    print(f"| verb | engine | empty | {given.kept:,} kept | with a snapshot held |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        urls = {"sqlite": f"sqlite:///{Path(folder) / 'jobs.db'}", "postgres": server.url}
        for name, url in urls.items():
            found = await columns(name, url, given.kept, given.rounds)
            for verb in found[0]:
                values = " | ".join(f"{column[verb]:.1f} ms" for column in found)
                print(f"| {verb} | {name} | {values} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
