"""Does one round of ``elihu tick`` after the other, until SIGTERM."""

import asyncio
import logging
import os
import signal
from pathlib import Path

from elihu import Elihu
from elihu.errors import DatabaseError
from elihu.telemetry.events import NodeRemoved
from oracle import mutants
from oracle.journal import Journal
from oracle.programs.tasks import Effects, declare

PAUSE = 0.05
"""Seconds between two rounds."""


async def main() -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    mutants.apply(os.environ.get("ORACLE_MUTANT"))
    folder = Path(os.environ["ORACLE_FOLDER"])
    journal = Journal(folder, "ticker")
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with Elihu() as app:
        declare(app, journal, Effects(folder / f"effects-{os.getpid()}.db"))
        app.on(NodeRemoved, lambda event: journal.write("removed", removed=event.dead))
        await app.nodes.list()  # connected before it reports
        journal.write("ready")
        while not stopping.is_set():
            try:
                done = await app.tick(1, stopping=stopping)
            except DatabaseError as error:
                journal.write("tick failed", error=str(error))
            else:
                journal.write("tick", rescued=done.expire.ok)
            await asyncio.sleep(PAUSE)
    journal.write("stopped")


if __name__ == "__main__":
    asyncio.run(main())
