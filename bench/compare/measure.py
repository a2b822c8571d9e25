"""The measurements. Each returns its figures by unit."""

import asyncio
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bench.compare.processes import BOUND, Failed, Program, Side, program
from bench.compare.programs.protocol import Tally, new_tally
from bench.compare.servers import Postgres
from elihu.processes.proc import ProcessStat, descendants, read_stat

Figures = Mapping[str, float]
"""Value by unit."""

LOOK: Final = 0.005
PAUSE: Final = 0.02
"""Seconds between two jobs of latency."""
SETTLE: Final = 15.0
"""Seconds that an idle worker gets before it is looked at. PostgreSQL counts the transactions
of a connection at its next statement: those of a start come many seconds later.
"""
STARTS: Final = 5
"""Starts of an interpreter in one round."""
IMPORT: Final = """
import sys, time
_, package, name = sys.argv
began = time.perf_counter()
module = __import__(package)
imported = time.perf_counter()
getattr(module, name)
print((imported - began) * 1_000)
print((time.perf_counter() - began) * 1_000)
"""


async def insert(side: Side, jobs: int, callers: int) -> Figures:
    """Jobs that concurrent callers of one process store, one at a time each."""
    async with side.fresh() as url:
        return rate(await side.ask("insert", url, jobs=max(jobs, callers), callers=callers))


async def bulk(side: Side, jobs: int) -> Figures:
    """Jobs that one process stores by the fastest documented way."""
    async with side.fresh() as url:
        return rate(await side.ask("bulk", url, jobs=jobs))


def rate(answer: Mapping[str, float]) -> Figures:
    """Jobs a second."""
    return {"jobs/s": answer["jobs"] / answer["seconds"]}


async def drain(
    side: Side, jobs: int, slots: int, processes: int = 1, kind: str = "", rows: int = 0
) -> Figures:
    """Stored jobs that do nothing, from the first start to the last. Afterwards all must
    be finished, and each must have started once.
    """
    async with side.fresh(kind, rows) as url, AsyncExitStack() as stack:
        await side.ask("bulk", url, jobs=jobs)
        if isinstance(side.server, Postgres):
            await side.server.tidy(url)
        tally = stack.enter_context(new_tally())
        watcher = await stack.enter_async_context(side.watcher(url))
        if int(await watcher.line()) != jobs:
            raise Failed(f"jobs stored: expected {jobs:,}")
        workers = [
            await stack.enter_async_context(side.worker(url, slots=slots, tally=tally.path))
            for _ in range(processes)
        ]
        for worker in workers:
            worker.go()
        await all_started(tally, jobs, workers)
        await all_finished(watcher)
        if tally.started() != jobs:
            raise Failed(f"jobs started: expected {jobs:,}, got {tally.started():,}")
        return {"jobs/s": jobs / tally.seconds()}


async def all_started(tally: Tally, jobs: int, workers: Sequence[Program]) -> None:
    """Wait for it. Raises ``Failed``."""
    deadline = time.monotonic() + BOUND
    while tally.started() < jobs:
        if time.monotonic() > deadline:
            raise Failed(f"{tally.started():,} of {jobs:,} jobs in {BOUND:.0f} s")
        if any(worker.ended() for worker in workers):
            raise Failed(f"a worker ended after {tally.started():,} of {jobs:,} jobs")
        await asyncio.sleep(LOOK)


async def all_finished(watcher: Program) -> None:
    """Wait for it. Raises ``Failed``."""
    deadline = time.monotonic() + BOUND
    while True:
        watcher.go()
        left = int(await watcher.line())
        if not left:
            return
        if time.monotonic() > deadline:
            raise Failed(f"{left:,} jobs are not finished after {BOUND:.0f} s")
        await asyncio.sleep(10 * LOOK)


async def latency(side: Side, jobs: int) -> Figures:
    """From the call that stores a job to its start in an idle worker of another process."""
    async with side.fresh() as url:
        answer = await side.ask(
            "latency", url, jobs=jobs, pause=PAUSE, slots=max(10, side.contestant.slots)
        )
    latencies = answer["latencies"]
    if len(latencies) != jobs:
        raise Failed(f"jobs started: expected {jobs:,}, got {len(latencies):,}")
    if jobs == 1:
        latencies = latencies * 2
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    return {"p50 ms": percentiles[49] * 1_000, "p99 ms": percentiles[98] * 1_000}


async def idle(side: Side, seconds: float) -> Figures:
    """The transactions, the time of the processor and the memory of one worker."""
    slots = max(10, side.contestant.slots)
    async with side.fresh() as url, side.worker(url, slots=slots) as worker:
        worker.go()
        await worker.expect("ready")
        await asyncio.sleep(SETTLE)
        server = side.server if isinstance(side.server, Postgres) else None
        before = (await server.transactions(url) if server else 0, ticks(worker.pid))
        began = time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - began
        after = (await server.transactions(url) if server else 0, ticks(worker.pid))
        memory = sum(each.memory for each in family(worker.pid)) / 2**20
    figures = {
        "MiB": memory,
        "% of a core": 100 * (after[1] - before[1]) / os.sysconf("SC_CLK_TCK") / took,
    }
    if server:
        figures["transactions/s"] = (after[0] - before[0]) / took
    return figures


def family(pid: int) -> list[ProcessStat]:
    """The process and its descendants."""
    own = read_stat(pid)
    if own is None:
        raise Failed("the worker ended")
    return [own, *descendants(pid)]


def ticks(pid: int) -> int:
    """The time of the processor that they have taken."""
    return sum(each.cpu_ticks for each in family(pid))


async def start(side: Side) -> Figures:
    """The import of the library in a new interpreter, with its main class and without,
    and its command with ``--help``. For the limit: an interpreter that does nothing.
    """
    contestant = side.contestant
    times: dict[str, list[float]] = {}
    for _ in range(STARTS):
        if contestant.imports:
            async with program([side.python, "-c", IMPORT, *contestant.imports]) as running:
                times.setdefault("import ms", []).append(float(await running.line()))
                times.setdefault("import of the main class ms", []).append(
                    float(await running.line())
                )
        command = [side.python, "-c", "pass"]
        if contestant.help:
            name, *arguments = contestant.help
            command = [str(Path(side.python).parent / name), *arguments]
        times.setdefault("--help ms", []).append(await run_time(command))
    return {unit: statistics.median(each) for unit, each in times.items()}


async def run_time(command: Sequence[str]) -> float:
    """The milliseconds of a command that prints little."""
    began = time.perf_counter()
    async with program(command) as running:
        await running.wait()
        return (time.perf_counter() - began) * 1_000
