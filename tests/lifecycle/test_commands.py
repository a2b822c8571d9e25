"""Dispatch by whole nodes: the one that dispatches a minute is killed in the middle."""

import asyncio
import os
import signal
from collections import Counter
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from elihu import Elihu
from elihu.commands import CommandScheduler
from elihu.commands.models import CommandJob
from elihu.commands.rules import commands, crons, environments, schedules
from tests.lifecycle.nodes import Processes

SCHEDULES = 600
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SETTINGS = {"CALL_TIMEOUT": "10", "DEAD_AFTER": "12", "QUEUES": "commands_dispatch=4,commands=1"}


async def fill(scheduler: CommandScheduler) -> None:
    """Commands that are due each minute."""
    async with scheduler.sessions.begin(deadline=60) as session:
        place = await environments.create(session, name="here")
        cron = await crons.create(session, name="minute", expression="* * * * *")
        for number in range(SCHEDULES):
            command = await commands.create(
                session, name=f"c{number}", shell_command="true", overlap="allow"
            )
            await schedules.create(
                session, command_id=command.id, environment_ids=[place.id], cron_ids=[cron.id]
            )


async def dispatching(app: Elihu) -> int:
    """The process that dispatches a minute, as soon as there is one."""
    while True:
        found = await app.jobs.list(task="commands.dispatch_due", state="executing")
        for job in found.items:
            for node in await app.nodes.list():
                if node.id == job.node and isinstance(pid := node.info["pid"], int):
                    return pid
        await asyncio.sleep(0.005)


async def ticks(scheduler: CommandScheduler) -> Counter[datetime]:
    """How many runs each tick has."""
    async with scheduler.sessions.read() as session:
        found = await session.scalars(select(CommandJob.occurrence))
        return Counter(at for at in found if at is not None)


@pytest.mark.more
@pytest.mark.timeout(300)
async def test_a_minute_whose_dispatcher_is_killed_is_dispatched_once_by_another(
    app: Elihu, processes: Processes
) -> None:
    await app.migrate("commands")
    async with CommandScheduler(app) as scheduler:
        await fill(scheduler)
        nodes = [await processes.run("up", **SETTINGS) for _ in range(2)]
        for node in nodes:
            await processes.printed(node, "event NodeStarted")
        async with asyncio.timeout(100):
            pid = await dispatching(app)
        os.kill(pid, signal.SIGKILL)
        assert pid in {node.pid for node in nodes}

        async def all_there() -> bool:
            return any(count == SCHEDULES for count in (await ticks(scheduler)).values())

        await processes.until_found(all_there, within=90)
        counts = await ticks(scheduler)
        assert set(counts.values()) == {SCHEDULES}
        assert await app.jobs.count(task="commands.run") == sum(counts.values())
