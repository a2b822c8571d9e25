"""What the verbs of a node cost beside many kept jobs, and while a snapshot is held.

    python -m bench.growth verbs [--kept N] [--rounds N]

Prints a table for ``docs/reliability/growth.md``: medians in milliseconds on empty tables,
beside the kept jobs, and beside them while a snapshot has been held since the jobs of the
queue were done.
"""

import tempfile
import time
from collections.abc import Awaitable, Callable
from statistics import median
from uuid import uuid4

from bench.growth.beside import beside
from bench.tables import SQLITE, engine_of
from elihu.config import Config
from elihu.engines.protocol import Ack, Engine, Position
from elihu.engines.select import engine_for
from elihu.job import JobFilter, JobState, NewJob, RunOutcome
from elihu.telemetry.bus import Bus
from elihu.testing.postgres import PostgresServer

DEAD = 100_000
"""Jobs of the queue that are done while the snapshot is held."""
DONE = {
    "sqlite": "UPDATE job SET state = 'completed', finished_at = 1.7e9, started_at = 1.7e9, "
    "prune_at = 4e9 WHERE state = 'available'",
    "postgresql": "UPDATE elihu.job SET state = 'completed', finished_at = now(), "
    "started_at = now(), prune_at = now() + interval '99 days' WHERE state = 'available'",
}


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


async def columns(url: str, kept: int, rounds: int) -> list[dict[str, float]]:
    engine = engine_for(Config(database_url=url, call_timeout=60), Bus())
    await engine.open()
    await engine.migrate()
    node = str(uuid4())
    await engine.register_node(node, "bench", {})
    async with beside(url) as sql, beside(url) as holder:
        empty = await measure(engine, node, rounds)
        await sql.fill(kept)
        full = await measure(engine, node, rounds)
        for _ in range(DEAD // 5_000):
            await engine.insert([NewJob(task="t")] * 5_000)
        await holder.hold_snapshot()
        await sql.execute(DONE)
        held = await measure(engine, node, rounds)
    await engine.deregister_node(node)
    await engine.close()
    return [empty, full, held]


async def verbs(kept: int, rounds: int) -> None:
    """Print the table."""
    print(f"| verb | engine | empty | {kept:,} kept | with a snapshot held |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        for url in (f"{SQLITE}{folder}/jobs.db", server.url):
            found = await columns(url, kept, rounds)
            for verb in found[0]:
                values = " | ".join(f"{column[verb]:.1f} ms" for column in found)
                print(f"| {verb} | {engine_of(url)} | {values} |", flush=True)
