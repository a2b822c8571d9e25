"""Features on top of the core, while processes are killed: callers' transactions, waits
for results, kill and cancel.
"""

import asyncio
import time
from dataclasses import replace

from elihu.testing.postgres import PostgresServer
from oracle.experiment import QUICK, Experiment
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size
from tests.features.callers import KINDS


async def in_transactions(
    experiment: Experiment, size: Size, server: PostgresServer | None
) -> None:
    """Enqueuers are killed inside transactions of their own, on every kind of
    connection. Nodes are killed now and then.
    """
    nodes = await experiment.nodes(2)

    def plan(name: str, jobs: int, together: int) -> Plan:
        return Plan(
            jobs=jobs,
            prefix=name,
            how="transactions",
            together=together,
            seconds=(0, 0.05),
            seed=experiment.seed,
        )

    for number in range(size.count(1, 6, 30)):
        enqueuers = await asyncio.gather(
            *(experiment.enqueuer(plan(f"t{number}{name}-", 100_000, 3)) for name in "ab")
        )
        await asyncio.sleep(experiment.rng.uniform(0.2, 2))
        for enqueuer in enqueuers:
            await experiment.kill(enqueuer)
        if number % 5 == 4:
            await experiment.kill(nodes.pop(0))
            nodes.append(await experiment.node())
    kinds = [kind for kind in KINDS if kind.engine == experiment.engine]
    await experiment.enqueue(plan("whole", len(kinds) * size.count(3, 3, 30), 3))
    used = {line["caller"] for line in experiment.progress.lines("caller")}
    if missing := [kind.__name__ for kind in kinds if kind.__name__ not in used]:
        experiment.evidence.problems.append(
            f"expected every kind of connection to be used, not {', '.join(missing)}"
        )
    await experiment.drained(within=60)


async def awaited(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Two processes without a node wait for many jobs at once. One of four nodes is
    killed every 0.5 to 3 s.
    """
    nodes = await experiment.nodes(4)
    jobs = size.count(60, 400, 2_000)
    plan = Plan(
        jobs=jobs // 2,
        how="awaited",
        task="oracle.answer",
        seconds=(0.5, 4),
        failing=0.2,
        pause=0.5,
        seed=experiment.seed,
    )
    waiters = await asyncio.gather(
        *(experiment.enqueuer(replace(plan, prefix=name)) for name in ("a", "b"))
    )
    deadline = time.monotonic() + 600
    while any(waiter.alive for waiter in waiters) and time.monotonic() < deadline:
        await asyncio.sleep(experiment.rng.uniform(0.5, 3))
        await experiment.kill(nodes.pop(experiment.rng.randrange(len(nodes))))
        nodes.append(await experiment.node())
    for waiter in waiters:
        await waiter.end(within=60)
    await experiment.drained(within=60, hurry=True)


async def intended(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Attempts in the loop, in threads and in processes are killed, cancelled and
    stopped, or outlast their timeout, while nodes die.
    """
    nodes = await experiment.nodes(3)
    jobs = size.count(30, 200, 1_500)
    plan = Plan(
        jobs=jobs,
        together=10,
        pause=size.pick(0.5, 1, 1),
        seconds=(0.2, 2.5),
        failing=0.1,
        timed=0.15,
        seed=experiment.seed,
    )
    enqueuers = [
        await experiment.enqueuer(
            replace(
                plan,
                prefix=task,
                task=f"oracle.{task}",
                pause=plan.pause * (3 if task == "process" else 1),
                jobs=jobs // (3 if task == "process" else 1),
            )
        )
        for task in ("wait", "thread", "process")
    ]
    dying = time.monotonic() + 3
    over = time.monotonic() + 600
    while any(enqueuer.alive for enqueuer in enqueuers) or (
        await experiment.database.unfinished() and time.monotonic() < over
    ):
        await asyncio.sleep(experiment.rng.uniform(0.05, 0.3))
        running = experiment.progress.running()
        waiting = [line["id"] for line in experiment.progress.lines("acknowledged")[-20:]]
        if which := running if experiment.rng.random() < 0.8 else waiting:
            await experiment.request(
                experiment.rng.choice(("kill", "kill", "cancel", "stop")),
                experiment.rng.choice(which),
            )
        if time.monotonic() > dying:
            await experiment.kill(nodes.pop(experiment.rng.randrange(len(nodes))))
            nodes.append(await experiment.node())
            dying = time.monotonic() + experiment.rng.uniform(2, 6)
        await experiment.database.hurry()


async def missed_ticks(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Entries have missed half an hour of ticks. Leaders are killed, and kill
    themselves, while they fire them.
    """
    nodes = [await experiment.node(), await experiment.node()]
    for number in range(size.count(3, 10, 100)):
        await experiment.add_cron_entry(f"entry {number}", behind=30)
        if number % 3 == 2:
            nodes.append(
                await experiment.node(failpoint=f"inside cron:{experiment.rng.randint(1, 2)}")
            )
        await asyncio.sleep(experiment.rng.uniform(0.1, 1))
        if (leader := experiment.leader()) is not None and experiment.rng.random() < 0.7:
            await experiment.kill(leader)
            nodes.append(await experiment.node())
    await experiment.ticks_fired(within=60)
    await experiment.drained(within=60, hurry=True)


async def minutes(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """One entry fires every minute. Around each tick the leader is killed, frozen
    briefly, or frozen for longer than its lease.
    """
    for _ in range(3):
        await experiment.node()
    await experiment.add_cron_entry("each minute")
    end = time.monotonic() + 60 * 20 + 5
    number = 0
    while time.monotonic() < end:
        await asyncio.sleep(60 - time.time() % 60 - experiment.rng.uniform(-0.7, 1.5))
        leader = experiment.leader()
        if leader is not None:
            match ("kill", "pause", "freeze")[number % 3]:
                case "kill":
                    await experiment.kill(leader)
                    await experiment.node()
                case "pause":
                    experiment.freeze(leader)
                    await asyncio.sleep(experiment.rng.uniform(0.5, 2))
                    experiment.thaw(leader)
                case "freeze":
                    experiment.freeze(leader)
                    await asyncio.sleep(experiment.rng.uniform(6, 12))
                    experiment.thaw(leader)
        number += 1
        await asyncio.sleep(5)
    await experiment.ticks_fired(within=60)
    await experiment.drained(within=30, hurry=True)


SCENARIOS = (
    Scenario("enqueuers with their own transactions killed", in_transactions),
    Scenario("nodes killed whose jobs are awaited", awaited),
    Scenario("ticks missed, leaders killed", missed_ticks),
    Scenario("a tick each minute, leaders killed and frozen", minutes, full_only=True),
    Scenario(
        "attempts killed, cancelled and stopped", intended, settings={**QUICK, "KILL_GRACE": "2"}
    ),
)
