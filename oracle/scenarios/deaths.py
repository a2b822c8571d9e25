"""Processes are killed, frozen and stopped."""

import asyncio
import signal
import time
from functools import partial

from elihu.testing.postgres import PostgresServer
from oracle.experiment import Experiment
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size
from oracle.waiting import until

SOON = 20.0
"""Seconds within which, with the quick settings, a dead node's job runs again."""


async def killed_nodes(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """One of four nodes is killed every 0.5 to 3 s, and replaced."""
    experiment.first_run_bound = SOON
    nodes = await experiment.nodes(4)
    jobs = size.count(300, 3_000, 20_000)
    enqueuers = [
        await experiment.enqueuer(
            Plan(
                jobs=jobs // 2,
                prefix="bulk",
                how="bulk",
                together=200,
                seconds=(0, 0.6),
                delayed=0.1,
                failing=0.05,
                seed=experiment.seed,
            )
        ),
        await experiment.enqueuer(
            Plan(jobs=jobs // 4, prefix="one", pause=0.1, seconds=(0, 0.2), seed=experiment.seed)
        ),
        await experiment.enqueuer(
            Plan(
                jobs=jobs // 4,
                prefix="thread",
                task="oracle.thread",
                pause=0.2,
                seconds=(0, 0.2),
                seed=experiment.seed,
            )
        ),
    ]
    kills = size.count(2, 0, 0)
    deadline = time.monotonic() + size.pick(20, 30, 900)
    while time.monotonic() < deadline and (not kills or experiment.injections < kills):
        await asyncio.sleep(experiment.rng.uniform(0.5, 3))
        victim = nodes.pop(experiment.rng.randrange(len(nodes)))
        await experiment.kill(victim)
        nodes.append(await experiment.node())
        if (
            not any(enqueuer.alive for enqueuer in enqueuers)
            and not await experiment.database.unfinished()
        ):
            break
    for enqueuer in enqueuers:
        await enqueuer.end(within=120)
    await experiment.drained(within=300, hurry=True)


async def killed_with_waiting_claims(
    experiment: Experiment, size: Size, server: PostgresServer | None
) -> None:
    """Nodes whose claims wait for slots are killed, frozen and stopped."""
    experiment.first_run_bound = SOON
    node = partial(experiment.node, QUEUES="default=4+40", GRACE="0.3")
    nodes = [await node() for _ in range(3)]
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=size.count(300, 2_000, 10_000),
            how="bulk",
            together=200,
            seconds=(0, 0.1),
            delayed=0.1,
            failing=0.05,
            seed=experiment.seed,
        )
    )
    for number in range(size.count(3, 12, 100)):
        await asyncio.sleep(experiment.rng.uniform(0.5, 2))
        victim = nodes.pop(experiment.rng.randrange(len(nodes)))
        match number % 3:
            case 0:
                await experiment.kill(victim)
            case 1:
                experiment.terminate(victim)
                await victim.end(within=20)
            case _:
                experiment.freeze(victim)
                await asyncio.sleep(experiment.rng.uniform(0.5, 9))
                experiment.thaw(victim)
                nodes.append(victim)
                continue
        nodes.append(await node())
        if not enqueuer.alive and not await experiment.database.unfinished():
            break
    await enqueuer.end(within=120)
    await experiment.drained(within=300, hurry=True)


async def killed_enqueuers(
    experiment: Experiment, size: Size, server: PostgresServer | None
) -> None:
    """An enqueuer is killed during its commits."""
    await experiment.node()
    for number in range(size.count(2, 8, 100)):
        how = ("single", "bulk", "unique")[number % 3]
        task = "oracle.once" if how == "unique" else "oracle.wait"
        enqueuer = await experiment.enqueuer(
            Plan(
                jobs=100_000,
                prefix=f"p{number}-",
                how=how,
                task=task,
                together=25,
                seconds=(0, 0),
                seed=experiment.seed,
            )
        )
        await asyncio.sleep(experiment.rng.uniform(0.0, 0.4))
        await experiment.kill(enqueuer)
    await experiment.drained(within=size.pick(60, 60, 300))


async def frozen_briefly(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """SIGSTOP for less than ``dead_after``: nothing happens."""
    nodes = await experiment.nodes(2)
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=size.count(100, 400, 2_000),
            together=20,
            pause=0.4,
            seconds=(0, 0.3),
            seed=experiment.seed,
        )
    )
    while enqueuer.alive:
        node = experiment.rng.choice(nodes)
        experiment.injected()
        node.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(experiment.rng.uniform(0.2, 1.8))
        experiment.thaw(node)
        await asyncio.sleep(experiment.rng.uniform(0.5, 1.0))
    await experiment.drained(within=30)


async def frozen_long(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """SIGSTOP for longer than ``dead_after``: on PostgreSQL the node is removed and
    rejoins as another, on SQLite it keeps its jobs.
    """
    nodes = await experiment.nodes(3)
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=size.count(100, 400, 2_000),
            together=20,
            pause=size.pick(0.5, 1, 1),
            seconds=(0, 0.5),
            failing=0.1,
            seed=experiment.seed,
        )
    )
    for _ in range(size.count(1, 2, 10)):
        node = experiment.rng.choice(nodes)
        experiment.freeze(node)
        await asyncio.sleep(experiment.rng.uniform(7, 10))
        experiment.thaw(node)
        await asyncio.sleep(1)
    await enqueuer.end(within=120)
    await experiment.drained(within=60, hurry=True)


async def stopped_nodes(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """SIGTERM, and a second one, while jobs run for longer than ``grace``."""
    node = await experiment.node(GRACE="0.3")
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=size.count(100, 250, 2_000),
            together=size.count(20, 20, 10),
            pause=size.pick(0.2, 0.2, 1),
            seconds=(0, 1.5),
            seed=experiment.seed,
        )
    )
    while enqueuer.alive:
        await asyncio.sleep(experiment.rng.uniform(0.5, 1.5))
        following = await experiment.node(GRACE="0.3")
        experiment.terminate(node)
        if experiment.rng.random() < 0.5:
            await asyncio.sleep(0.1)
            experiment.terminate(node)
        await node.end(within=20)
        node = following
    await experiment.drained(within=size.pick(60, 60, 300))


async def defaults(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """The promised figures, with the default settings: nodes die, freeze and stop, and
    the database is restarted.
    """
    experiment.first_run_bound = 30
    nodes = await experiment.nodes(3)
    enqueuer = await experiment.enqueuer(
        Plan(jobs=100_000, together=10, pause=0.3, seconds=(0.1, 1.5), seed=experiment.seed)
    )
    for _ in range(size.count(1, 1, 3)):
        await until(lambda: experiment.leader() is not None, within=20, what="a leader")
        begun = experiment.progress.begun()
        await until(
            partial(experiment.progress.has_begun, begun + 60), within=30, what="jobs to begin"
        )
        leader = experiment.leader()
        assert leader is not None
        nodes.remove(leader)
        died = time.time()
        await experiment.kill(leader)
        await experiment.elected_after(died, "a new leader after the old one's death", 12)
        await asyncio.sleep(25)
        nodes.append(await experiment.node())
        leader = experiment.leader()
        assert leader is not None
        nodes.remove(leader)
        since = time.time()
        experiment.terminate(leader)
        await leader.end(within=20)
        # it waits for its running jobs first, then it resigns
        stopped = max(line["at"] for line in experiment.progress.lines("stopped"))
        await until(
            lambda since=since: bool(experiment.progress.elected_since(since)),
            within=20,
            what="a new leader after a clean stop",
        )
        elected = max(line["at"] for line in experiment.progress.lines("elected"))
        experiment.recovered("a new leader after a clean stop", max(0.0, elected - stopped), 1)
        nodes.append(await experiment.node())
        node = experiment.rng.choice(nodes)
        experiment.injected()
        node.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(12)
        experiment.thaw(node)
        await asyncio.sleep(2)
        if experiment.engine == "postgres" and server is not None:
            await asyncio.to_thread(server.stop, immediate=True)
            experiment.injected()
            await asyncio.sleep(size.pick(5, 5, 60))
            await asyncio.to_thread(server.start)
            await experiment.begun_again(
                time.time(), "the first job after the database was back", 5
            )
    await experiment.kill(enqueuer)
    await experiment.drained(within=90, hurry=True)


SCENARIOS = (
    Scenario("nodes killed", killed_nodes),
    Scenario("nodes killed with waiting claims", killed_with_waiting_claims),
    Scenario("enqueuers killed around their commit", killed_enqueuers),
    Scenario("nodes frozen briefly", frozen_briefly),
    Scenario("nodes frozen for long", frozen_long),
    Scenario("nodes stopped", stopped_nodes),
    Scenario("default settings: death, stop, freeze, outage", defaults, settings={}, alone=True),
)
