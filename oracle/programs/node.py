"""A node that writes its events to a journal, with the mutant or interceptor that the
experiment asks for.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

from elihu import Elihu
from elihu.runtime.node import Node
from elihu.telemetry.events import LeaderElected, LeaderLost, NodeRejoined, NodeRemoved
from oracle import mutants
from oracle.journal import Journal
from oracle.programs import interceptors
from oracle.programs.enqueuer import enqueue
from oracle.programs.plan import plan_of
from oracle.programs.tasks import Effects, declare

CANCEL_AGAIN: Final = 0.3
"""Seconds between two cancellations of a stop."""
STAY: Final = 2.0
"""Seconds that the process stays after its node is stopped."""


async def main() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    mutants.apply(os.environ.get("ORACLE_MUTANT"))
    interceptors.apply(
        os.environ.get("ORACLE_INTERCEPTOR"), int(os.environ.get("ORACLE_SEED", "0"))
    )
    folder = Path(os.environ["ORACLE_FOLDER"])
    journal = Journal(folder, "node")
    app = Elihu()
    declare(app, journal, Effects(folder / f"effects-{os.getpid()}.db"))
    if os.environ.get("ORACLE_TRIGGERS"):
        import_module("oracle.programs.triggers").declare_trigger(app, journal)
    app.on(
        NodeRejoined,
        lambda event: journal.write("rejoined", node=event.node, removed=event.removed),
    )
    app.on(NodeRemoved, lambda event: journal.write("removed", removed=event.dead))
    app.on(LeaderElected, lambda event: journal.write("elected", node=event.node))
    app.on(LeaderLost, lambda event: journal.write("deposed", node=event.node))
    stopping, now = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        (now if stopping.is_set() else stopping).set()

    loop.add_signal_handler(signal.SIGTERM, stop)
    async with app:
        if os.environ.get("ORACLE_STOP") == "cancelled":
            await cancel_stop(app, journal, stopping)
        else:
            async with running(app, journal) as node:
                await stopping.wait()
                hurry = asyncio.create_task(now.wait())
                hurry.add_done_callback(lambda _: node.hurry())
            hurry.cancel()
    journal.write("stopped")


@asynccontextmanager
async def running(app: Elihu, journal: Journal) -> AsyncIterator[Node]:
    """A node that has done what the environment asks it to enqueue."""
    async with app.running() as node:
        journal.write("node", node=node.id)
        journal.write("ready")
        if plan := os.environ.get("ORACLE_PLAN"):
            await enqueue(app, journal, plan_of(plan))
        yield node


async def cancel_stop(app: Elihu, journal: Journal, stopping: asyncio.Event) -> None:
    """Run a node in a task. Cancel the task and, while the node stops, cancel it again
    and again; then stay for a while, so that an attempt that runs on is seen.
    """

    async def serve() -> None:
        async with running(app, journal):
            await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    await stopping.wait()
    while not serving.done():
        serving.cancel()
        await asyncio.wait([serving], timeout=CANCEL_AGAIN)
    journal.write("left")
    await asyncio.sleep(STAY)


if __name__ == "__main__":
    asyncio.run(main())
