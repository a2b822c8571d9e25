"""Nodes kill themselves at named points, again and again."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from elihu.testing.postgres import PostgresServer
from oracle.arena import Arena, Missed, Worker
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size

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
}
"""The names, and the most times a node reaches each before it dies there."""

PATIENCE: Final = 25.0
"""Seconds for which a node may not come to its point before another way is tried."""


async def dies(point: str, arena: Arena, size: Size, server: PostgresServer | None) -> None:
    """Two nodes at a time that die at ``point``, replaced until there were enough deaths; then two that live finish the work."""
    deaths = size.count(1, 2, 100)
    producer = await arena.producer(
        Plan(
            jobs=100_000,
            prefix=point.replace(" ", ""),
            together=20,
            pause=0.5,
            seconds=(0.05, 0.5),
            delayed=0.3,
            failing=0.1,
            seed=arena.seed,
        )
    )

    async def fresh() -> Worker:
        return await arena.node(failpoint=f"{point}:{arena.chance.randint(1, POINTS[point])}")

    nodes = list(await asyncio.gather(fresh(), fresh()))
    while arena.deaths < deaths:
        if point == "during shutdown":
            nodes[0].process.terminate()
        elif point.endswith("rescue"):
            await asyncio.sleep(arena.chance.uniform(0.5, 1.5))
            victim = await arena.node()
            await arena.until(
                lambda pid=victim.pid: any(line["pid"] == pid for line in arena.lines("begin")), within=15, what="a victim's job"
            )
            await arena.kill(victim)
        try:
            await arena.until(lambda: any(not node.alive for node in nodes), within=PATIENCE, what=f"a node to die {point}")
        except Missed:
            arena.evidence.problems.append(f"no node came to the point {point!r} within {PATIENCE:g} s")
            break
        for number, node in enumerate(nodes):
            if not node.alive:
                nodes[number] = await fresh()
        if producer.process.returncode is not None:
            break
    await arena.kill(producer)
    await arena.nodes(2)
    for node in nodes:
        await arena.kill(node)
    await arena.drained(within=60 + 2 * deaths, hurry=True)


def scenario(point: str) -> Scenario:
    """The experiment of one point."""
    run: Callable[[Arena, Size, PostgresServer | None], Awaitable[None]] = partial(dies, point)
    return Scenario(f"dies: {point}", run)


SCENARIOS = tuple(scenario(point) for point in POINTS)
