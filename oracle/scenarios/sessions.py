"""Sessions of PostgreSQL: clients that are cut off inside a transaction, and connections
that are gone before a call.
"""

import asyncio
import contextlib
import time

from elihu.errors import DatabaseError
from elihu.testing.postgres import PostgresServer
from oracle.experiment import Experiment
from oracle.programs.plan import Plan
from oracle.proxy import Proxy
from oracle.scenario import Scenario, Size
from oracle.scenarios.outages import BACK, POSTGRES, terminate
from oracle.waiting import WaitTimeout, until

FREED = 20.0
"""Seconds within which the locks of a client that is cut off are released."""
ANSWERED = 4.0
"""Seconds within which an unrelated call is answered beside such a client."""
PATIENCE = 15.0
"""Seconds after which a client that never has a transaction open is left alone."""


async def cut_off_in_a_transaction(
    experiment: Experiment, size: Size, server: PostgresServer | None
) -> None:
    """Nodes that start and enqueuers of unique jobs lose their network inside a
    transaction; neither side is notified. Others start nodes and store the same jobs.
    """
    await experiment.node()
    direct = experiment.url_of_nodes
    for number in range(size.count(1, 2, 10)):
        async with Proxy(experiment.database.url) as proxy:
            proxy.hold_after = 2 + number % 2
            experiment.url_of_nodes = proxy.url
            frozen = [
                await experiment.node(wait=False),
                *[
                    await experiment.enqueuer(
                        Plan(
                            jobs=100_000,
                            prefix=f"same{number}-",
                            how="unique",
                            together=5,
                            task="oracle.once",
                            pause=0.05,
                            seed=experiment.seed,
                        ),
                        wait=False,
                    )
                    for _ in range(2)
                ],
            ]
            experiment.url_of_nodes = direct
            for worker in frozen:
                worker.expected = {1}  # it may give up
            with contextlib.suppress(WaitTimeout):
                await until(lambda: proxy.held >= 3, within=PATIENCE, what="open transactions")
            experiment.injected(proxy.held)
            await _node_started(experiment)
            await _answered(experiment, f"unrelated{number}", "oracle.wait", ANSWERED)
            known = {line["key"] for line in experiment.progress.lines("acknowledged")}
            intended = {line["key"] for line in experiment.progress.lines("intent")} - known
            for key in sorted(key for key in intended if key.startswith(f"same{number}-"))[:5]:
                await _answered(experiment, key, "oracle.once", FREED)
            for worker in frozen:
                await experiment.kill(worker)
    await experiment.drained(within=30)


async def _node_started(experiment: Experiment) -> None:
    """Start a node again and again until one works, and note how long that takes."""
    began = time.monotonic()
    while time.monotonic() < began + 2 * FREED:
        node = await experiment.node(wait=False)
        await until(
            lambda node=node: not node.alive or experiment.progress.is_ready(node.pid),
            within=2 * FREED,
            what="a node to start or to give up",
        )
        if node.alive:
            break
        node.expected = {1}
    experiment.recovered("a node's start beside a cut-off client", time.monotonic() - began, FREED)


async def _answered(experiment: Experiment, key: str, task: str, bound: float) -> None:
    """Enqueue until it succeeds, and note how long that takes."""
    began = time.monotonic()
    while time.monotonic() < began + 2 * bound:
        with contextlib.suppress(DatabaseError):
            await experiment.enqueue_here(key, task=task)
            break
        await asyncio.sleep(0.1)
    what = "an unrelated call" if task == "oracle.wait" else "a call with the same key"
    experiment.recovered(f"{what} beside a cut-off client", time.monotonic() - began, bound)


async def cut_before_a_call(
    experiment: Experiment, size: Size, server: PostgresServer | None
) -> None:
    """The idle connections of a caller are terminated, or its database is restarted,
    and the next call succeeds.
    """
    assert server is not None
    await experiment.nodes(2)
    await experiment.enqueue_here("first")
    for number in range(size.count(3, 8, 60)):
        if number % 4 == 3:
            await asyncio.to_thread(server.stop, immediate=True)
            await asyncio.to_thread(server.start)
        else:
            await terminate(experiment, "true")
        await asyncio.sleep(experiment.rng.uniform(0.05, 0.5))
        experiment.injected()
        began = time.time()
        try:
            await experiment.enqueue_here(f"call{number}")
        except DatabaseError as error:
            experiment.evidence.problems.append(f"call{number} after a cut: {error!r}")
        else:
            await experiment.begun_again(began, "a job after its caller was cut", BACK)
    await experiment.drained(within=30)


SCENARIOS = (
    Scenario("clients cut off in a transaction", cut_off_in_a_transaction, POSTGRES),
    Scenario("connections cut before a call", cut_before_a_call, POSTGRES),
)
