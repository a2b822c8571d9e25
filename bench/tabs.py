"""Draining while the overview is open on eight tabs: ``python -m bench.tabs``.

Each tab has a stream, and asks for the page again after an event, at most once a second, as
the script of the page does. Turns without and with tabs alternate. The server of the page is
a process of its own, as under ``elihu up``, and runs in both turns. Prints one JSON line for
each engine: jobs a second without and with tabs, the median of the rounds, and the ratio of
the two.
"""

import argparse
import asyncio
import json
import socket
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from bench import drain
from bench.subject import Case
from bench.tables import Tables, new_tables
from elihu.testing.postgres import PostgresServer

TABS = 8
STREAM = "/api/stream?topic=overview&topic=queues&topic=nodes"
READERS = """
import asyncio, sys, httpx
async def refresh(client, changed):
    while True:
        await changed.wait()
        changed.clear()
        answer = await client.get(sys.argv[3], headers={"HX-Request": "true", "X-Live": "1"})
        answer.raise_for_status()
        await asyncio.sleep(1.0)
async def tab(client):
    changed = asyncio.Event()
    task = asyncio.create_task(refresh(client, changed))
    async with client.stream("GET", sys.argv[1]) as answer:
        answer.raise_for_status()
        first = True
        async for line in answer.aiter_lines():
            if not line.startswith("data:"):
                continue
            changed.set()
            if first:
                print("open", flush=True)
                first = False
    await task
async def main():
    async with httpx.AsyncClient(timeout=None) as client:
        await asyncio.gather(*(tab(client) for _ in range(int(sys.argv[2]))))
asyncio.run(main())
"""


@asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process that is ended at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def page(tables: Tables) -> AsyncIterator[str]:
    """The address of a server of the page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with tables.app() as app:
        await app.migrate("commands")
        await app.migrate("accounts")
    options = ("--database", tables.url, "--schema", tables.schema)
    address = f"http://127.0.0.1:{port}"
    async with program("-m", "elihu", "web", *options, "--port", str(port)):
        async with httpx.AsyncClient() as client, asyncio.timeout(60):
            while True:
                try:
                    (await client.get(f"{address}/readyz")).raise_for_status()
                    break
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
        yield address


async def turn(tables: Tables, jobs: int) -> float:
    """Jobs a second of one drain."""
    figures = await drain.ours(tables, Case(slots=100, jobs=jobs))
    return next(iter(figures.values()))


async def turns(url: str, jobs: int, rounds: int) -> None:
    """Print the figures of one engine."""
    without: list[float] = []
    with_tabs: list[float] = []
    for _ in range(rounds):
        async with new_tables(url) as tables, page(tables):
            without.append(await turn(tables, jobs))
        async with (
            new_tables(url) as tables,
            page(tables) as address,
            program("-c", READERS, address + STREAM, str(TABS), f"{address}/") as tabs,
        ):
            assert tabs.stdout is not None
            for _ in range(TABS):
                await tabs.stdout.readline()
            with_tabs.append(await turn(tables, jobs))
    plain, watched = statistics.median(without), statistics.median(with_tabs)
    print(
        json.dumps(
            {
                "engine": "sqlite" if url.startswith("sqlite") else "postgres",
                "tabs": TABS,
                "without": round(plain),
                "with": round(watched),
                "ratio": round(watched / plain, 3),
            }
        ),
        flush=True,
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.tabs", description=__doc__)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engine", choices=["sqlite", "postgres"], action="append")
    given = parser.parse_args(arguments)
    for engine in given.engine or ["postgres", "sqlite"]:
        if engine == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(turns(f"sqlite:///{folder}/tabs.db", given.jobs, given.rounds))
        else:
            with PostgresServer() as server:
                url = server.create_database("tabs")
                asyncio.run(turns(url, given.jobs, given.rounds))


if __name__ == "__main__":
    main(sys.argv[1:])
