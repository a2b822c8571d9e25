"""What each safeguard is for: the true build passes, and the mutant without it does
not.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg

from elihu.engines.postgres.url import driver_url
from elihu.testing.postgres import PostgresServer
from oracle.experiment import Experiment, Missed
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size


async def copies(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Acknowledgements arrive twice, the second time while the next attempt runs."""
    jobs = size.count(20, 100, 400)
    await experiment.node(wrap="deliver twice", QUEUES=f"default={jobs}")
    await experiment.produce(Plan(jobs=jobs, seconds=(1.5, 2.0), failing=1.0, seed=experiment.seed))
    experiment.injected(jobs)
    await experiment.drained(within=30 + jobs / 2)


async def long_jobs(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Jobs that run for longer than anything that looks for dead nodes waits."""
    await experiment.nodes(2)
    await experiment.produce(Plan(jobs=10, seconds=(3.5, 5.0), seed=experiment.seed))
    await experiment.drained(within=15)


async def locked_row(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """A row of a batch is locked by somebody's transaction; the others of that queue go
    on.
    """
    await experiment.node()
    await experiment.produce(Plan(jobs=1, prefix="held", seconds=(3.0, 3.0)))
    await experiment.until(lambda: experiment.begun() == 1, within=10, what="the job to begin")
    hold = size.pick(7, 7, 20)
    async with held(experiment, "held0"):
        begun = time.monotonic()
        number = 0
        while time.monotonic() < begun + hold:
            key, asked = f"other{number}", time.time()
            await experiment.produce_here(key)
            with contextlib.suppress(Missed):  # that it took too long is noted
                await experiment.until(
                    partial(experiment.ended, key), within=hold, what="a job beside the locked one"
                )
            experiment.recovered("a job beside a locked row", time.time() - asked, 2.0)
            number += 1
            await asyncio.sleep(0.3)
        experiment.injected()
    await experiment.drained(within=15)


@asynccontextmanager
async def held(experiment: Experiment, key: str) -> AsyncIterator[None]:
    """Hold the job of this key in a transaction."""
    connection = await asyncpg.connect(driver_url(experiment.database.url))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT FROM elihu.job WHERE args->>'key' = $1 FOR UPDATE", key)
    try:
        yield
    finally:
        await transaction.rollback()
        await connection.close()


async def lost_answers(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """The database does what it was asked, and the answer is lost."""
    await experiment.nodes(2, wrap="lose answers")
    jobs = size.count(60, 400, 2_000)
    await experiment.produce(
        Plan(jobs=jobs, seconds=(0.0, 0.1), failing=0.3, delayed=0.2, seed=experiment.seed)
    )
    experiment.injected(jobs // 5)
    await experiment.drained(within=30 + jobs / 20)


async def blocked_loop(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """A task holds up its node's event loop for longer than it takes to be taken for
    dead.
    """
    await experiment.nodes(2)
    seconds = size.pick(7, 10, 30)
    await experiment.produce(
        Plan(jobs=1, prefix="block", task="oracle.block", seconds=(seconds, seconds))
    )
    await experiment.until(lambda: experiment.begun() == 1, within=10, what="the job to begin")
    await experiment.produce(
        Plan(jobs=50, prefix="beside", seconds=(0.0, 0.2), seed=experiment.seed)
    )
    experiment.injected()
    await experiment.drained(within=seconds + 20)


async def holders(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Several producers store the same unique jobs at the same moment."""
    plan = Plan(
        jobs=size.count(40, 200, 2_000),
        prefix="twin",
        how="unique",
        together=5,
        task="oracle.once",
        seed=experiment.seed,
    )
    await experiment.node()
    producers = await asyncio.gather(*(experiment.producer(plan) for _ in range(3)))
    for producer in producers:
        await experiment.end_of(producer, within=60 + plan.jobs / 5)
    experiment.injected(plan.jobs)
    await experiment.drained(within=20 + plan.jobs / 20)


async def no_polling(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Nothing polls, and a node that also produces, one job after the other, must hear
    of each.
    """
    hour = "1h"
    jobs = size.count(5, 20, 100)
    await experiment.node(
        plan=Plan(jobs=jobs, together=1, pause=0.2, seconds=(0, 0)),
        POLL=hour,
        POLL_FALLBACK=hour,
        STAGER__INTERVAL=hour,
        LIFELINE__INTERVAL=hour,
    )
    await experiment.until(
        lambda: bool(experiment.lines("produced")), within=20 + jobs, what="the producer's end"
    )
    await experiment.drained(within=3)


SCENARIOS = (
    Scenario("acknowledgements delivered twice", copies),
    Scenario("jobs longer than every interval", long_jobs),
    Scenario("a row of a batch locked by another", locked_row, ("postgres",)),
    Scenario("answers lost after the commit", lost_answers),
    Scenario("an event loop blocked", blocked_loop),
    Scenario("unique jobs from many sides", holders),
    Scenario("announcements without polling", no_polling),
)

BY_MUTANT = {
    "guard without the claim": SCENARIOS[0],
    "rescue by age": SCENARIOS[1],
    "acknowledgement waits for locks": SCENARIOS[2],
    "no reconcile": SCENARIOS[3],
    "heartbeat on the event loop": SCENARIOS[4],
    "unique index dropped": SCENARIOS[5],
    "announcement before commit, no polling": SCENARIOS[6],
}
