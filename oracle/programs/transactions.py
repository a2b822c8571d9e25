"""Stores jobs in transactions of the enqueuer's own, beside a row of its own, through
every kind of connection.
"""

import asyncio
import os
import random
from typing import Final

from elihu import Elihu
from oracle.journal import Journal
from oracle.programs.enqueuer import main
from oracle.programs.plan import Plan
from tests.features.caller import Caller
from tests.features.callers import KINDS

ROLLED_BACK: Final = 0.3
"""The share of transactions that are rolled back."""
MANY: Final = 0.3
"""The share of the others in which one call stores all jobs."""


async def enqueue_in_transactions(app: Elihu, journal: Journal, plan: Plan) -> None:
    """Store every group in one transaction, committed or rolled back. Each kind of
    connection has its turn in random order.
    """
    rng = plan.rng()
    url = os.environ["ELIHU_DATABASE_URL"]
    engine = "sqlite" if url.startswith("sqlite") else "postgres"
    waiting: list[type[Caller]] = []
    for keys in plan.groups():
        if not waiting:
            waiting = [kind for kind in KINDS if kind.engine == engine]
            rng.shuffle(waiting)
        caller = waiting.pop()()
        journal.write("caller", caller=type(caller).__name__)
        for key in keys:
            journal.write("intent", key=key, beside=True)
        journal.sync()
        await caller.open(url)
        try:
            await _transact(app, journal, plan, caller, keys, rng)
        finally:
            await caller.close()
    journal.write("enqueued", jobs=plan.jobs)


async def _transact(
    app: Elihu, journal: Journal, plan: Plan, caller: Caller, keys: list[str], rng: random.Random
) -> None:
    schema = "" if caller.engine == "sqlite" else "elihu."
    task = app.task_named(plan.task)
    for key in keys:
        await caller.execute(f"INSERT INTO {schema}oracle_beside (key) VALUES ('{key}')")
    if rng.random() < MANY:
        done = await caller.enqueue_many(
            app, [task.build(key, rng.uniform(*plan.seconds)) for key in keys], ids=True
        )
        ids = list(done.ids or ())
    else:
        ids = [(await caller.enqueue(task, key, rng.uniform(*plan.seconds))).id for key in keys]
    if rng.random() < ROLLED_BACK:
        await caller.rollback()
        return
    await caller.commit()
    for key, job_id in zip(keys, ids, strict=True):
        journal.write("acknowledged", key=key, id=job_id)
    journal.sync()


if __name__ == "__main__":
    asyncio.run(main(enqueue_in_transactions))
