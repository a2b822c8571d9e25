"""Stores jobs. The intent is on the disk before the enqueue begins, the acknowledgement
after it has returned.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from elihu import Elihu
from elihu.errors import DatabaseError
from elihu.job import NewJob
from oracle import mutants
from oracle.journal import Journal
from oracle.programs.plan import Plan, plan_of
from oracle.programs.tasks import COMPLETING, declare

AFTER_FAILURE = 0.2
"""Seconds before the next group after a database error; the fate of the failed group is
not known.
"""

TIMEOUT = 0.6
"""The timeout of an attempt that is to outlast it, in seconds."""
OUTLASTS = 8.0
"""Seconds that the first attempt of such a job lasts longer."""


async def enqueue(app: Elihu, journal: Journal, plan: Plan) -> None:
    """Store every group once. A database error is written and not retried."""
    rng = plan.rng()
    for keys in plan.groups():
        timed = [plan.timed > 0 and rng.random() < plan.timed for _ in keys]
        jobs = [
            build(app, plan, key, rng, timed=late) for key, late in zip(keys, timed, strict=True)
        ]
        for key, late in zip(keys, timed, strict=True):
            journal.write("intent", key=key, timed=late, once=plan.task in COMPLETING)
        journal.sync()
        try:
            if plan.how == "bulk":
                done = await app.enqueue_many(jobs, ids=True)
                for key, job_id in zip(keys, done.ids or (), strict=True):
                    journal.write("acknowledged", key=key, id=job_id)
            else:
                times = 3 if plan.how == "unique" else 1
                calls = [
                    one(app, journal, key, job)
                    for key, job in zip(keys, jobs, strict=True)
                    for _ in range(times)
                ]
                if not all(await asyncio.gather(*calls)):
                    await asyncio.sleep(AFTER_FAILURE)
            journal.sync()
        except DatabaseError as error:
            journal.write("refused", keys=keys, error=str(error))
            await asyncio.sleep(AFTER_FAILURE)
        await asyncio.sleep(plan.pause)
    journal.write("enqueued", jobs=plan.jobs)


async def one(app: Elihu, journal: Journal, key: str, job: NewJob) -> bool:
    """Store one job; returns whether the database acknowledged it."""
    try:
        stored = await app.aenqueue(job)
    except DatabaseError as error:
        journal.write("refused", keys=[key], error=str(error))
        return False
    journal.write("acknowledged", key=key, id=stored.id)
    return True


def build(app: Elihu, plan: Plan, key: str, rng: random.Random, *, timed: bool) -> NewJob:
    """One job of the plan."""
    task = app.task_named(plan.task)
    options: dict[str, Any] = (
        {"delay": rng.uniform(0.1, 2.0)} if rng.random() < plan.delayed else {}
    )
    arguments: dict[str, Any] = {"key": key, "seconds": rng.uniform(*plan.seconds)}
    if rng.random() < plan.failing:
        arguments["fails"] = 1
    if timed:
        options["timeout"] = TIMEOUT
        arguments |= {"seconds": 0.0, "drags": OUTLASTS}
    return (task.using(**options) if options else task).build(**arguments)


async def main(enqueue: Callable[[Elihu, Journal, Plan], Awaitable[None]]) -> None:
    """Enqueue what the environment asks for."""
    mutants.apply(os.environ.get("ORACLE_MUTANT"))
    journal = Journal(Path(os.environ["ORACLE_FOLDER"]), "enqueuer")
    async with Elihu() as app:
        declare(app)
        await app.nodes.list()  # connected before the first intent
        journal.write("ready")
        await enqueue(app, journal, plan_of(os.environ["ORACLE_PLAN"]))


if __name__ == "__main__":
    asyncio.run(main(enqueue))
