"""Stops that are cancelled, and what process tasks started."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from elihu.testing.postgres import PostgresServer
from oracle.experiment import QUICK, Experiment
from oracle.processes import Worker
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size
from oracle.waiting import WaitTimeout, until

GONE = 10.0
"""Seconds after the end of an attempt within which the programs that it started end."""
LEFT = 0.5
"""Seconds after the end of a stop within which attempts write their ends."""


async def cancelled_stops(
    experiment: Experiment, size: Size, server: PostgresServer | None
) -> None:
    """The stop of a node is cancelled again and again while its jobs run. No attempt
    runs on in that process, and every job is returned.
    """
    node = await experiment.node(stop="cancelled", GRACE="1")
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=size.count(60, 200, 2_000),
            together=10,
            pause=size.pick(1, 1, 1),
            seconds=(1, 4),
            seed=experiment.seed,
        )
    )
    while enqueuer.alive:
        await asyncio.sleep(experiment.rng.uniform(1, 2))
        following = await experiment.node(stop="cancelled", GRACE="1")
        experiment.terminate(node)
        await node.end(within=20)
        _check_left(experiment, node)
        node = following
    await experiment.drained(within=60, hurry=True)


def _check_left(experiment: Experiment, node: Worker) -> None:
    left = [line["at"] for line in experiment.progress.lines("left") if line["pid"] == node.pid]
    if not left:
        experiment.evidence.problems.append(f"process {node.pid} did not leave its node")
        return
    ends = {(line["id"], line["claim"]): line["at"] for line in experiment.progress.lines("end")}
    experiment.evidence.problems += [
        f"attempt {line['id']}.{line['claim']} ran on after its node was stopped"
        for line in experiment.progress.lines("begin")
        if line["pid"] == node.pid
        and ends.get((line["id"], line["claim"]), float("inf")) > left[0] + LEFT
    ]


async def programs(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Process tasks start programs through a shell. Their attempts are killed, time
    out, or lose their node to SIGKILL, and the programs end soon after.
    """
    nodes = await experiment.nodes(2, QUEUES="default=4")
    plan = Plan(
        jobs=size.count(12, 40, 400),
        task="oracle.program",
        together=2,
        pause=1,
        seconds=(0.5, 3),
        timed=0.3,
        seed=experiment.seed,
    )
    enqueuer = await experiment.enqueuer(plan)
    await experiment.enqueuer(replace(plan, prefix="b", timed=0, jobs=plan.jobs // 2))
    number = 0
    while enqueuer.alive:
        await asyncio.sleep(experiment.rng.uniform(1, 2))
        number += 1
        if number % 3 == 0:
            victim = nodes.pop(0)
            nodes.append(await experiment.node(QUEUES="default=4"))
            with suppress(WaitTimeout):  # the other node may have taken all jobs
                await until(
                    lambda victim=victim: bool(_programs(experiment, victim.pid)),
                    within=10,
                    what="a victim's program",
                )
            mine = _programs(experiment, victim.pid)
            await experiment.kill(victim)
            await _gone(experiment, "the programs of a killed node", mine)
        elif running := experiment.progress.running():
            job_id = experiment.rng.choice(running)
            mine = [
                line["program"]
                for line in experiment.progress.lines("program")
                if line["id"] == job_id and _alive(line["program"])
            ]
            await experiment.request("kill", job_id)
            await _gone(experiment, "the programs of a killed attempt", mine)
        await experiment.database.hurry()
    await experiment.drained(within=60, hurry=True)
    await _gone(
        experiment,
        "the programs of all attempts",
        [line["program"] for line in experiment.progress.lines("program")],
    )


def _programs(experiment: Experiment, node_pid: int) -> list[int]:
    return [
        line["program"]
        for line in experiment.progress.lines("program")
        if line["node_pid"] == node_pid and _alive(line["program"])
    ]


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


async def _gone(experiment: Experiment, what: str, pids: list[int]) -> None:
    if not pids:
        return
    began = time.monotonic()
    await until(lambda: not any(map(_alive, pids)), within=2 * GONE, what=f"the end of {what}")
    experiment.recovered(what, time.monotonic() - began, GONE)


SCENARIOS = (
    Scenario("stops cancelled", cancelled_stops),
    Scenario("programs of process tasks", programs, settings={**QUICK, "KILL_GRACE": "2"}),
)
