"""A worker that reports when its jobs start, until standard input ends: `python -m
bench.worker elihu URL SCHEMA` is a node, and `limit` in place of `elihu` plain SQL.
"""

import asyncio
import sys
import time

from bench.limit import claim_announced, open_limit
from bench.loop import run
from bench.tables import Tables

SLOTS = 10


async def work(tables: Tables) -> None:
    """Print a line when the node is ready, and for each job the seconds since it was
    sent.
    """
    async with tables.app() as app:

        @app.task(name="bench.note")
        async def note(sent: float) -> None:
            report(sent)

        async with app.running():
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)


async def work_plainly(tables: Tables) -> None:
    """The same by plain SQL: claim a job when it is announced, and complete it."""
    async with open_limit(tables) as sql, claim_announced(sql, SLOTS, report):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


def report(sent: float) -> None:
    """A job that was sent then starts now."""
    print(time.monotonic() - sent, flush=True)


if __name__ == "__main__":
    works = {"elihu": work, "limit": work_plainly}
    run(works[sys.argv[1]](Tables(sys.argv[2], sys.argv[3])))
