"""Nodes end while commands run, whose processes hide and resist. Nothing of them is
left.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from elihu.testing.postgres import PostgresServer
from oracle.experiment import Experiment
from oracle.processes import Worker, processes_with
from oracle.programs.command_tasks import GRACE, NODE
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size
from oracle.waiting import WaitTimeout, until

BOUND: Final = GRACE + 5.0
"""Seconds after the end of a node within which nothing of its commands is left."""

POINTS: Final = {
    "before command": 10,
    "before order": 10,
    "after order": 10,
    "command started": 10,
    "after command": 10,
}
"""The failpoints of the runner. A node dies at most this time it reaches one."""


def plan(experiment: Experiment, jobs: int) -> Plan:
    """Commands of every kind, some at once."""
    return Plan(
        jobs=jobs,
        task="oracle.command",
        together=6,
        pause=1.0,
        seconds=(0.2, 2.0),
        seed=experiment.seed,
    )


async def ends(experiment: Experiment, node: Worker, how: str) -> None:
    """Note how long after its end the last process of a node's commands ended."""
    await node.process.wait()
    ended = time.monotonic()
    mark = f"{NODE}={node.pid}"
    try:
        await until(lambda: not processes_with(mark), within=2 * BOUND, what="no process left")
    except WaitTimeout:
        experiment.evidence.problems.append(f"left of node {node.pid}: {processes_with(mark)}")
    experiment.recovered(
        f"the end of the commands of a node that {how}", time.monotonic() - ended, BOUND
    )


async def faults(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Nodes are killed and stopped at random times, and commands are killed."""
    rounds = size.count(2, 6, 60)
    enqueuer = await experiment.enqueuer(plan(experiment, 100_000))
    checks = []
    for number in range(rounds):
        node = await experiment.node(QUEUES="default=6", GRACE="0.5")
        await until(
            lambda node=node: experiment.progress.has_begun_in(node.pid),
            within=60,
            what="a command",
        )
        await asyncio.sleep(experiment.rng.uniform(0, 1.5))
        if number % 2:
            experiment.terminate(node)
        else:
            await experiment.kill(node)
        how = "was stopped" if number % 2 else "was killed"
        checks.append(asyncio.create_task(ends(experiment, node, how)))
    await asyncio.gather(*checks)
    await experiment.kill(enqueuer)
    await experiment.nodes(2)
    await experiment.drained(within=60, hurry=True)


async def dies(
    point: str, experiment: Experiment, size: Size, server: PostgresServer | None
) -> None:
    """Nodes die at a failpoint of the runner, and are replaced."""
    enqueuer = await experiment.enqueuer(plan(experiment, 100_000))
    for _ in range(size.count(1, 2, 30)):
        node = await experiment.node(
            failpoint=f"{point}:{experiment.rng.randint(1, POINTS[point])}", QUEUES="default=6"
        )
        await ends(experiment, node, "died")
    await experiment.kill(enqueuer)
    await experiment.nodes(2)
    await experiment.drained(within=60, hurry=True)


def scenario(point: str) -> Scenario:
    """The scenario of one failpoint."""
    run: Callable[[Experiment, Size, PostgresServer | None], Awaitable[None]] = partial(dies, point)
    return Scenario(f"dies: {point}", run)


SCENARIOS = (
    Scenario("nodes that run commands killed and stopped", faults),
    *(scenario(point) for point in POINTS),
)
