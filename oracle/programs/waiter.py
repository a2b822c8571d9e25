"""Submits jobs, waits for all of them at once, and writes what each wait returned or
raised.
"""

import asyncio
import random

from elihu import Elihu, Relay
from oracle.journal import Journal
from oracle.programs.enqueuer import main
from oracle.programs.plan import Plan
from oracle.programs.tasks import Planned, answer_to


async def wait_for_all(app: Elihu, journal: Journal, plan: Plan) -> None:
    """Return when every wait has ended. Some waits end with the job, the others also
    with a failed first attempt.
    """
    rng = random.Random(f"{plan.seed}{plan.prefix}")
    task = app.task_named(plan.task)
    waits: list[asyncio.Task[None]] = []
    for first in range(0, plan.jobs, plan.together):
        keys = [
            f"{plan.prefix}{number}"
            for number in range(first, min(first + plan.together, plan.jobs))
        ]
        for key in keys:
            journal.write("intent", key=key, awaited=True)
        journal.sync()
        failing = [int(rng.random() < plan.failing) for _ in keys]
        relays = await asyncio.gather(
            *(
                task.asubmit(key, rng.uniform(*plan.seconds), fails)
                for key, fails in zip(keys, failing, strict=True)
            )
        )
        for key, relay, fails in zip(keys, relays, failing, strict=True):
            journal.write("acknowledged", key=key, id=relay.ref)
            attached = relay if rng.random() < 0.5 else app.relay(relay.ref)
            patient = rng.random() < 0.5
            waits.append(
                asyncio.create_task(
                    _wait(
                        journal,
                        key,
                        attached,
                        patient=patient,
                        may_fail=bool(fails) and not patient,
                    )
                )
            )
        await asyncio.sleep(plan.pause)
    await asyncio.gather(*waits)
    journal.write("enqueued", jobs=plan.jobs)


async def _wait(
    journal: Journal, key: str, relay: Relay[object], *, patient: bool, may_fail: bool
) -> None:
    try:
        got: object = await relay.aresult(None, wait_retries=patient)
        right = got == answer_to(key)
    except Exception as error:
        got, right = error, may_fail and isinstance(error, Planned)
    journal.write("answer", key=key, right=right, got=repr(got))


if __name__ == "__main__":
    asyncio.run(main(wait_for_all))
