"""Tasks that keep the interpreter's lock, or the leader's event loop."""

import asyncio
import time
from functools import partial

from elihu.testing.postgres import PostgresServer
from oracle.experiment import QUICK, Experiment
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size
from oracle.waiting import until

DUE = 2.0
"""Seconds within which a due job starts on an idle node."""


async def interpreter_lock(
    task: str, experiment: Experiment, size: Size, server: PostgresServer | None
) -> None:
    """A task keeps the interpreter's lock: no line of Python runs in its process. The
    task runs in a process for longer than ``dead_after``, or in a thread for less. Its
    node is not removed, and no job runs twice.
    """
    await experiment.node()
    seconds = size.count(7, 10, 30)
    await experiment.enqueue(Plan(jobs=1, prefix="lock", task=task, seconds=(seconds, seconds)))
    await experiment.enqueue(Plan(jobs=5, prefix="with", seconds=(1, 2), seed=experiment.seed))
    await until(lambda: bool(experiment.progress.running()), within=20, what="a job to begin")
    await experiment.node()
    await experiment.enqueue(
        Plan(jobs=50, prefix="beside", seconds=(0.0, 0.2), seed=experiment.seed)
    )
    experiment.injected()
    await experiment.drained(within=seconds + 20)


async def leaders_loop(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """A task blocks the event loop of the leader's node. Jobs of another queue become
    due meanwhile, and start in time on an idle node.
    """
    await experiment.node(QUEUES="heavy=5")
    await until(lambda: experiment.leader() is not None, within=20, what="a leader")
    await experiment.node(QUEUES="default=10")
    blocks = size.count(2, 3, 10)
    await experiment.enqueue_here(
        "block", task="oracle.block", queue="heavy", seconds=4.5, times=blocks
    )
    await until(lambda: experiment.progress.begun() == 1, within=10, what="the job to begin")
    experiment.injected()
    end = time.monotonic() + 4.5 * blocks
    number = 0
    while time.monotonic() < end:
        key = f"due{number}"
        due = time.time() + 1
        await experiment.enqueue_here(key, delay=1)
        await until(
            lambda key=key: experiment.progress.ended(key), within=30, what="a due job to start"
        )
        began = next(
            line["at"] for line in experiment.progress.lines("begin") if line["key"] == key
        )
        experiment.recovered("a due job while the leader's loop is blocked", began - due, DUE)
        number += 1
        await asyncio.sleep(0.1)
    await experiment.drained(within=30)


SCENARIOS = (
    Scenario(
        "interpreter lock kept in a process", partial(interpreter_lock, "oracle.lock_in_process")
    ),
    Scenario(
        "interpreter lock kept in a thread",
        partial(interpreter_lock, "oracle.lock"),
        settings={**QUICK, "DEAD_AFTER": "45"},
    ),
    Scenario(
        "the leader's loop blocked",
        leaders_loop,
        settings={**QUICK, "LEASE": "10", "DEAD_AFTER": "15"},
    ),
)
