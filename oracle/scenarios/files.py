"""Faults of an SQLite file."""

import asyncio
import resource
import sqlite3
import time
from contextlib import closing

from elihu.testing.postgres import PostgresServer
from oracle.experiment import Experiment
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size
from oracle.waiting import until

LIMIT = 1_500_000
"""The most bytes of a file while the disk is full: less than the write-ahead log has
before a checkpoint.
"""
NO_LIMIT = resource.RLIM_INFINITY


async def disk_full(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """No file may grow beyond a limit: commits fail until the limit is lifted."""
    nodes = await experiment.nodes(2)
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=100_000,
            together=20,
            pause=0.02,
            seconds=(0, 0.1),
            failing=0.05,
            seed=experiment.seed,
        )
    )
    for _ in range(size.count(1, 3, 6)):
        processes = [*nodes, enqueuer]
        await asyncio.sleep(0.5)
        for worker in processes:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (LIMIT, NO_LIMIT))
        experiment.injected()
        await until(lambda: stuck(experiment), within=60, what="commits to fail")
        await asyncio.sleep(experiment.rng.uniform(1, 4))
        for worker in processes:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (NO_LIMIT, NO_LIMIT))
        await experiment.begun_again(time.time(), "the first job after there was room again", 5)
    await experiment.kill(enqueuer)
    await experiment.drained(within=60)


def stuck(experiment: Experiment) -> bool:
    """Whether enqueues fail and no attempt has begun for a second."""
    refused, begun = experiment.progress.lines("refused"), experiment.progress.lines("begin")
    now = time.time()
    return (
        bool(refused)
        and now - max(line["at"] for line in refused) < 1
        and now - max(line["at"] for line in begun) > 1
    )


async def long_writer(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Another transaction holds the write lock, for less and for more than
    ``call_timeout``.
    """
    await experiment.nodes(2)
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=100_000,
            together=10,
            pause=0.1,
            seconds=(0, 0.2),
            failing=0.05,
            seed=experiment.seed,
        )
    )
    for seconds in (
        (3.0,) if size.quick else (1.0, 6.0) if not size.full else (1.0, 3.0, 6.0, 30.0, 60.0)
    ):
        await asyncio.sleep(1)
        experiment.injected()
        with closing(
            sqlite3.connect(experiment.database.path, timeout=20, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(seconds)
            connection.execute("ROLLBACK")
        await experiment.begun_again(
            time.time(), f"the first job after the file was locked for {seconds:g} s", 5
        )
    await experiment.kill(enqueuer)
    await experiment.drained(within=60)


SQLITE = ("sqlite",)
SCENARIOS = (
    Scenario("disk full", disk_full, SQLITE),
    Scenario("a long write transaction", long_writer, SQLITE),
)
