"""A node that reports when its jobs start: `python -m bench.worker URL SCHEMA`, until
standard input ends.
"""

import asyncio
import sys
import time

from bench.loop import run
from bench.tables import Tables


async def work(tables: Tables) -> None:
    """Print a line when the node is ready, and for each job the seconds since it was
    sent.
    """
    async with tables.app() as app:

        @app.task(name="bench.note")
        async def note(sent: float) -> None:
            print(time.monotonic() - sent, flush=True)

        async with app.running():
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    run(work(Tables(sys.argv[1], sys.argv[2])))
