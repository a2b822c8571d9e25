"""What each safeguard is for: the true build passes, and the mutant without the
safeguard does not.
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
from oracle.experiment import Experiment
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size
from oracle.scenarios import commands, points, rescues
from oracle.waiting import WaitTimeout, until


async def copies(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Acknowledgements arrive twice, the second time while the next attempt runs."""
    jobs = size.count(20, 100, 400)
    await experiment.node(interceptor="deliver twice", QUEUES=f"default={jobs}")
    await experiment.enqueue(Plan(jobs=jobs, seconds=(1.5, 2.0), failing=1.0, seed=experiment.seed))
    experiment.injected(jobs)
    await experiment.drained(within=30 + jobs / 2)


async def long_jobs(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Jobs that run for longer than every interval of the services."""
    await experiment.nodes(2)
    await experiment.enqueue(Plan(jobs=10, seconds=(3.5, 5.0), seed=experiment.seed))
    await experiment.drained(within=15)


async def locked_row(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Another transaction locks a row of a batch. The other jobs of the queue still
    run.
    """
    await experiment.node()
    await experiment.enqueue(Plan(jobs=1, prefix="held", seconds=(3.0, 3.0)))
    await until(lambda: experiment.progress.begun() == 1, within=10, what="the job to begin")
    hold = size.pick(7, 7, 20)
    async with held(experiment, "held0"):
        begun = time.monotonic()
        number = 0
        while time.monotonic() < begun + hold:
            key, asked = f"other{number}", time.time()
            await experiment.enqueue_here(key)
            with contextlib.suppress(WaitTimeout):  # that it took too long is noted
                await until(
                    partial(experiment.progress.ended, key),
                    within=hold,
                    what="a job beside the locked one",
                )
            experiment.recovered("a job beside a locked row", time.time() - asked, 2.0)
            number += 1
            await asyncio.sleep(0.3)
        experiment.injected()
    await experiment.drained(within=15)


@asynccontextmanager
async def held(experiment: Experiment, key: str) -> AsyncIterator[None]:
    """Lock the row of this job in a transaction."""
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
    """The database commits, and the answer is lost."""
    await experiment.nodes(2, interceptor="lose answers")
    jobs = size.count(60, 400, 2_000)
    await experiment.enqueue(
        Plan(jobs=jobs, seconds=(0.0, 0.1), failing=0.3, delayed=0.2, seed=experiment.seed)
    )
    experiment.injected(jobs // 5)
    await experiment.drained(within=30 + jobs / 20)


async def blocked_loop(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """A task blocks its node's event loop for longer than ``dead_after``."""
    await experiment.nodes(2)
    seconds = size.pick(7, 10, 30)
    await experiment.enqueue(
        Plan(jobs=1, prefix="block", task="oracle.block", seconds=(seconds, seconds))
    )
    await until(lambda: experiment.progress.begun() == 1, within=10, what="the job to begin")
    await experiment.enqueue(
        Plan(jobs=50, prefix="beside", seconds=(0.0, 0.2), seed=experiment.seed)
    )
    experiment.injected()
    await experiment.drained(within=seconds + 20)


async def holders(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Several enqueuers store the same unique jobs at the same moment."""
    plan = Plan(
        jobs=size.count(40, 200, 2_000),
        prefix="twin",
        how="unique",
        together=5,
        task="oracle.once",
        seed=experiment.seed,
    )
    await experiment.node()
    enqueuers = await asyncio.gather(*(experiment.enqueuer(plan) for _ in range(3)))
    for enqueuer in enqueuers:
        await enqueuer.end(within=60 + plan.jobs / 5)
    experiment.injected(plan.jobs)
    await experiment.drained(within=20 + plan.jobs / 20)


async def no_polling(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Nothing polls. A node that enqueues one job after the other must be notified of
    each.
    """
    hour = "1h"
    jobs = size.count(5, 20, 100)
    await experiment.node(
        interceptor="read the front",
        plan=Plan(jobs=jobs, together=1, pause=0.2, seconds=(0, 0)),
        POLL=hour,
        POLL_FALLBACK=hour,
        STAGER__INTERVAL=hour,
        LIFELINE__INTERVAL=hour,
    )
    await until(
        lambda: bool(experiment.progress.lines("enqueued")),
        within=20 + jobs,
        what="the enqueuer's end",
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
    "rescue by the table of nodes": rescues.SCENARIOS[0],
    "acknowledgement waits for locks": SCENARIOS[2],
    "no reconcile": SCENARIOS[3],
    "heartbeat on the event loop": SCENARIOS[4],
    "unique index dropped": SCENARIOS[5],
    "announcement before commit, no polling": SCENARIOS[6],
    "triggers end outside of their transactions": points.BY_NAME["trigger dies: trigger committed"],
    "orphans of commands not adopted": commands.SCENARIOS[0],
}
