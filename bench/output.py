"""A command that prints much, from its start to its stored end, with the most memory that
the node and a supervisor take meanwhile. It is compared with a shell whose output this
process reads and drops.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import func, select

from bench.subject import Case, Figures, Options, Subject, expect
from bench.tables import Tables
from elihu.commands import CommandScheduler
from elihu.commands.models import CommandJob
from elihu.commands.rules import commands, environments, runs
from elihu.processes.proc import descendants, read_stat

MIB = 1_024
LOOK = 0.02
"""Seconds between two looks at the memory."""
READ = 2**16


def cases(options: Options) -> list[Case]:
    """One command that prints 1 GiB."""
    return [Case(jobs=options.jobs or 1, mib=options.mib or MIB)]


def text_of(case: Case) -> str:
    """What prints so much."""
    return f"yes 'a line of output' | head -c {(case.mib or 1) * 2**20}"


async def ours(tables: Tables, case: Case) -> Figures:
    """One node in this process; the output goes to the database."""
    async with tables.app() as app:
        await app.migrate("commands")
        async with CommandScheduler(app) as scheduler:
            async with scheduler.sessions.begin() as session:
                place = await environments.create(session, name="bench")
                made = [
                    await commands.create(
                        session, name=f"c{number}", shell_command=text_of(case), timeout=3_600
                    )
                    for number in range(case.jobs)
                ]
            async with app.running(queues={"commands": case.jobs}), watched() as memory:
                began = time.perf_counter()
                async with scheduler.sessions.begin() as session:
                    for command in made:
                        await runs.run(session, scheduler.host, command.id, environment_id=place.id)
                while await ended(scheduler) < case.jobs:  # noqa: ASYNC110 (the node writes it)
                    await asyncio.sleep(LOOK)
                seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "node_mib": memory.own / 2**20,
        "supervisor_mib": memory.child / 2**20,
    }


async def ended(scheduler: CommandScheduler) -> int:
    """How many runs have succeeded. A run that failed is an error."""
    statement = select(CommandJob.status, func.count()).group_by(CommandJob.status)
    async with scheduler.sessions.read() as session:
        counts: dict[str, int] = {row[0]: row[1] for row in await session.execute(statement)}
    expect("runs failed", 0, counts.get("failed", 0))
    return counts.get("succeeded", 0)


async def pipe(_tables: Tables, case: Case) -> Figures:
    """As many shells; what they print is read and dropped."""

    async def one() -> None:
        process = await asyncio.create_subprocess_shell(
            text_of(case), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout
        size = 0
        while data := await process.stdout.read(READ):
            size += len(data)
        expect("bytes", (case.mib or 1) * 2**20, size)
        expect("status", 0, await process.wait())

    async with watched() as memory:
        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(case.jobs)))
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "node_mib": memory.own / 2**20}


@dataclass(slots=True)
class Memory:
    """The most bytes that were resident in this process, and in one of its children."""

    own: int = 0
    child: int = 0

    def look(self) -> None:
        own = read_stat(os.getpid())
        self.own = max(self.own, own.memory if own else 0)
        for each in descendants(os.getpid()):
            if each.parent == os.getpid():
                self.child = max(self.child, each.memory)


@asynccontextmanager
async def watched() -> AsyncIterator[Memory]:
    """Look at the memory again and again."""
    memory = Memory()
    memory.look()

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK)
            memory.look()

    looking = asyncio.create_task(look())
    try:
        yield memory
    finally:
        looking.cancel()


SUBJECT = Subject("output", cases, ours, pipe, beside="pipe")
