"""Nodes kill themselves at named points, again and again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from math import inf
from typing import Final

from elihu.testing.postgres import PostgresServer
from oracle.experiment import QUICK, Experiment
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size
from oracle.waiting import WaitTimeout, until

POINTS: Final = {
    "after claim": 6,
    "after start": 40,
    "before effect": 40,
    "after effect": 40,
    "before acknowledge": 20,
    "inside acknowledge": 20,
    "answer lost": 20,
    "before heartbeat": 4,
    "before rescue": 1,
    "inside rescue": 1,
    "after election": 1,
    "inside staging": 3,
    "during shutdown": 1,
    "before complete": 20,
    "inside complete": 20,
    "after complete": 20,
}
"""The failpoints. A node dies at a random time it reaches one, and at most at this
time.
"""

IN_TRIGGERS: Final = {
    "after claim": 6,
    "trigger locked": 20,
    "trigger acted": 20,
    "trigger completed": 20,
    "trigger committed": 20,
    "before on_error": 6,
    "inside on_error": 6,
    "before acknowledge": 6,
}
"""The failpoints that the job of a trigger passes. A third of the records fail."""
AT_ONCE: Final = 4
"""Nodes that die at the same time, with --full."""
PATIENT: Final = {**QUICK, "CALL_TIMEOUT": "10", "DEAD_AFTER": "12"}
"""For tasks that hold the write lock of SQLite in transactions of their own."""
PLAN: Final = Plan(
    jobs=100_000, together=20, pause=0.8, seconds=(0.05, 0.5), delayed=0.3, failing=0.1
)
PATIENCE: Final = 120.0
"""Seconds within which some node must reach its failpoint."""


async def dies(
    point: str,
    latest: int,
    plan: Plan,
    experiment: Experiment,
    size: Size,
    server: PostgresServer | None,
) -> None:
    """Nodes die at the failpoint ``point`` and are replaced at once until there were
    enough deaths. Then two nodes finish the work.
    """
    deaths = size.count(1, 2, 100)
    experiment.with_triggers = plan.how == "records"
    task = _task(point, experiment.engine) if plan.how == "single" else plan.task
    enqueuer = await experiment.enqueuer(replace(plan, task=task, seed=experiment.seed))

    over = asyncio.Event()

    def enough() -> bool:
        return over.is_set() or experiment.deaths >= deaths

    async def live_and_die() -> None:
        while not enough():
            node = await experiment.node(failpoint=f"{point}:{experiment.rng.randint(1, latest)}")
            if point == "during shutdown":
                await asyncio.sleep(experiment.rng.uniform(0.1, 1.0))
                node.process.terminate()
            await until(lambda node=node: enough() or not node.alive, within=inf, what="an end")
            await experiment.kill(node)

    async def be_victims() -> None:
        while not enough():
            await asyncio.sleep(experiment.rng.uniform(0.5, 1.5))
            victim = await experiment.node()
            await until(
                lambda victim=victim: experiment.progress.has_begun_in(victim.pid),
                within=PATIENCE,
                what="a victim's job",
            )
            await experiment.kill(victim)

    async def look_on() -> None:
        while not enough():
            seen = experiment.deaths
            await until(
                lambda seen=seen: enough() or experiment.deaths > seen,
                within=PATIENCE,
                what=f"a node to die {point}",
            )

    async def one_of(part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except WaitTimeout as error:
            experiment.evidence.problems.append(str(error))
            over.set()

    parts = [
        look_on,
        *[live_and_die] * size.count(2, 2, AT_ONCE),
        *[be_victims] * point.endswith("rescue"),
    ]
    await asyncio.gather(*(one_of(part) for part in parts))
    await experiment.kill(enqueuer)
    await experiment.nodes(2)
    await experiment.drained(within=60, hurry=True)


def _task(point: str, engine: str) -> str:
    """Three failpoints are inside a task that completes its job itself."""
    if not point.endswith(" complete"):
        return "oracle.wait"
    return "oracle.complete_sync" if engine == "sqlite" else "oracle.complete"


def scenario(point: str) -> Scenario:
    """The scenario of one failpoint."""
    plan = replace(PLAN, prefix=point.replace(" ", ""))
    return Scenario(
        f"dies: {point}",
        partial(dies, point, POINTS[point], plan),
        settings=PATIENT if point.endswith(" complete") else QUICK,
    )


def trigger_scenario(point: str) -> Scenario:
    """The scenario of one failpoint in the jobs of a trigger."""
    plan = replace(
        PLAN, prefix=point.replace(" ", ""), how="records", task="oracle.trigger", failing=0.3
    )
    return Scenario(
        f"trigger dies: {point}",
        partial(dies, point, IN_TRIGGERS[point], plan),
        settings=PATIENT,
    )


SCENARIOS = (
    *(scenario(point) for point in POINTS),
    *(trigger_scenario(point) for point in IN_TRIGGERS),
)
BY_NAME: Final = {each.name: each for each in SCENARIOS}
