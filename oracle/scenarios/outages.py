"""PostgreSQL is stopped, cuts connections or has none left; the network stalls, drops
and loses what it carries.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from elihu.engines.postgres.url import driver_url
from elihu.testing.postgres import PostgresServer
from oracle.experiment import QUICK, Experiment
from oracle.processes import Worker
from oracle.programs.plan import Plan
from oracle.proxy import Proxy
from oracle.scenario import Scenario, Size
from oracle.waiting import until

BACK = 5.0
"""Seconds after the database is back within which the first job must begin."""


async def stopped(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """The server is stopped as by a crash, and starts again after a while."""
    assert server is not None
    await experiment.nodes(2)
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=100_000,
            together=10,
            pause=0.05,
            seconds=(0, 0.3),
            delayed=0.1,
            failing=0.05,
            seed=experiment.seed,
        )
    )
    for away in (
        (0.0, 2.0) if size.quick else (0.0, 2.0, 10.0, 60.0) if size.full else (0.0, 2.0, 10.0)
    ):
        await asyncio.sleep(experiment.rng.uniform(0.5, 2))
        experiment.injected()
        await asyncio.to_thread(server.stop, immediate=True)
        await asyncio.sleep(away)
        await asyncio.to_thread(server.start)
        await experiment.begun_again(
            time.time(), f"the first job after {away:g} s without the database", BACK
        )
    await experiment.kill(enqueuer)
    await experiment.drained(within=60)


async def cut_all(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Every connection is terminated, every second."""
    await experiment.nodes(2)
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=100_000,
            together=20,
            pause=0.1,
            seconds=(0, 0.2),
            failing=0.05,
            seed=experiment.seed,
        )
    )
    for _ in range(size.count(5, 15, 60)):
        await asyncio.sleep(1)
        await terminate(experiment, "true")
        experiment.injected()
    await experiment.begun_again(time.time(), "the first job after the last cut", BACK)
    await experiment.kill(enqueuer)
    await experiment.drained(within=60)


async def cut_listener(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Only the listening connections are terminated. Nothing else finds work soon."""
    await experiment.nodes(2, POLL="30", POLL_FALLBACK="0.5")
    for number in range(size.count(2, 5, 50)):
        await terminate(experiment, "query LIKE 'LISTEN%'")
        experiment.injected()
        asked = time.time()
        await experiment.enqueue_here(f"notified{number}")
        await experiment.begun_again(asked, "a job after the listener was cut", BACK)
        await asyncio.sleep(experiment.rng.uniform(0, 1))
    await experiment.drained(within=20)


async def terminate(experiment: Experiment, which: str) -> None:
    """Terminate the connections to the experiment's database for which the condition
    holds.
    """
    await experiment.database.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() "
        f"AND backend_type = 'client backend' AND {which}"
    )


@asynccontextmanager
async def behind_proxy(
    experiment: Experiment, number: int = 2
) -> AsyncIterator[tuple[Proxy, list[Worker], Worker]]:
    """Nodes and an enqueuer that reach their database through a proxy."""
    async with Proxy(experiment.database.url) as proxy:
        experiment.url_of_nodes = proxy.url
        nodes = await experiment.nodes(number)
        enqueuer = await experiment.enqueuer(
            Plan(
                jobs=100_000,
                together=10,
                pause=0.1,
                seconds=(0, 0.3),
                failing=0.1,
                seed=experiment.seed,
            )
        )
        await until(lambda: experiment.progress.begun() > 20, within=20, what="jobs to begin")
        yield proxy, nodes, enqueuer
        await experiment.kill(enqueuer)
        await experiment.drained(within=120, hurry=True)
        for worker in experiment.workers:
            if worker.alive:
                worker.process.terminate()
                await worker.end(within=30)


async def stalls(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """No byte passes and no connection closes, for less and for longer than
    ``call_timeout``. Then everything arrives at once.
    """
    async with behind_proxy(experiment) as (proxy, _, _):
        for seconds in (
            (3.0,)
            if size.quick
            else (0.5, 3.0, 8.0)
            if not size.full
            else (0.5, 1.5, 3.0, 8.0, 20.0, 60.0)
        ):
            experiment.injected()
            proxy.stalled = True
            await asyncio.sleep(seconds)
            proxy.stalled = False
            await experiment.begun_again(
                time.time(), f"the first job after a stall of {seconds:g} s", BACK
            )
            await asyncio.sleep(2)


async def one_cut_off(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """One node alone is cut off for longer than ``dead_after``."""
    await experiment.node()
    async with behind_proxy(experiment, 1) as (proxy, nodes, _):
        for _ in range(size.count(1, 1, 10)):
            experiment.cut_off(nodes[0])
            proxy.stalled = True
            await asyncio.sleep(experiment.rng.uniform(7, 9))
            proxy.stalled = False
            await asyncio.sleep(3)


async def drops(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Every connection is cut at random moments, in the middle of a message."""
    async with behind_proxy(experiment) as (proxy, _, _):
        for _ in range(size.count(5, 20, 200)):
            await asyncio.sleep(experiment.rng.uniform(0.1, 0.8))
            proxy.drop()
            experiment.injected()
        await experiment.begun_again(time.time(), "the first job after the last cut", BACK)


async def slows(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Each message is late, by up to half of ``call_timeout``."""
    async with behind_proxy(experiment) as (proxy, _, _):
        for delay in (0.05, 0.2, 0.5):
            experiment.injected()
            proxy.delay = delay
            await asyncio.sleep(size.pick(1, 4, 30))
        proxy.delay = 0


async def swallows(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """An answer never arrives, and the database has done the work."""
    async with behind_proxy(experiment) as (proxy, _, _):
        for _ in range(size.count(5, 20, 200)):
            await asyncio.sleep(experiment.rng.uniform(0.1, 0.7))
            proxy.swallow()
            experiment.injected()
        await experiment.begun_again(
            time.time(), "the first job after the last answer was lost", BACK
        )


async def snapshot(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """A snapshot is held open all the time, so that no dead row can be removed."""
    connection = await asyncpg.connect(driver_url(experiment.database.url))
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    await connection.fetchval("SELECT count(*) FROM elihu.job")
    experiment.injected()
    try:
        await experiment.nodes(2)
        await experiment.enqueue(
            Plan(
                jobs=size.count(500, 5_000, 50_000),
                how="bulk",
                together=500,
                seconds=(0, 0),
                failing=0.05,
                seed=experiment.seed,
            )
        )
        await experiment.drained(within=size.pick(60, 120, 600))
    finally:
        await transaction.rollback()
        await connection.close()


async def exhausted(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """No connection is left for less than ``dead_after``, and the existing ones are
    terminated.
    """
    await experiment.nodes(2)
    enqueuer = await experiment.enqueuer(
        Plan(jobs=100_000, together=10, pause=0.1, seconds=(0, 0.3), seed=experiment.seed)
    )
    for _ in range(size.count(1, 2, 10)):
        taken: list[asyncpg.Connection] = []
        try:
            while True:
                taken.append(await asyncpg.connect(driver_url(experiment.database.url)))
        except asyncpg.TooManyConnectionsError:
            pass
        experiment.injected()
        own = ",".join(str(each.get_server_pid()) for each in taken)
        await taken[0].execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            f"current_database() AND pid NOT IN ({own})"
        )
        try:
            while True:
                taken.append(await asyncpg.connect(driver_url(experiment.database.url)))
        except asyncpg.TooManyConnectionsError:
            pass
        await asyncio.sleep(experiment.rng.uniform(3, 6))
        for each in taken:
            each.terminate()
        await experiment.begun_again(
            time.time(), "the first job after there were connections again", BACK
        )
    await experiment.kill(enqueuer)
    await experiment.drained(within=60)


POSTGRES = ("postgres",)
SCENARIOS = (
    Scenario("database stopped and started", stopped, POSTGRES),
    Scenario("all connections cut every second", cut_all, POSTGRES),
    Scenario("listening connection cut", cut_listener, POSTGRES),
    Scenario("network stalls", stalls, POSTGRES),
    Scenario("network stalls for one node", one_cut_off, POSTGRES),
    Scenario("network drops connections", drops, POSTGRES),
    Scenario("network is slow", slows, POSTGRES),
    Scenario("network swallows answers", swallows, POSTGRES, {**QUICK, "DEAD_AFTER": "10"}),
    Scenario("a snapshot held open", snapshot, POSTGRES),
    Scenario("connections exhausted", exhausted, POSTGRES, {**QUICK, "DEAD_AFTER": "15"}),
)
