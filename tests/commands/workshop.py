"""An app with the scheduler, and short ways to fill and watch it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from elihu.commands import CommandScheduler
from elihu.commands.models import (
    Command,
    CommandJob,
    CommandJobEvent,
    Cron,
    Environment,
    Output,
    Schedule,
)
from elihu.commands.rules import commands, crons, environments, runs, schedules
from elihu.orm.sessions import now

ENDED = ("succeeded", "failed", "timed_out", "killed", "skipped", "lost", "cancelled")


class Workshop:
    """Makes rows through the rules and reads what became of runs."""

    def __init__(self, scheduler: CommandScheduler) -> None:
        self.scheduler = scheduler
        self.host = scheduler.host
        self.app = scheduler.app
        self.sessions = scheduler.sessions
        self._count = 0

    async def command(self, text: str = "true", **given: Any) -> Command:
        self._count += 1
        async with self.sessions.begin() as session:
            name = given.pop("name", f"command {self._count}")
            return await commands.create(session, name=name, shell_command=text, **given)

    async def environment(self, name: str = "prod", **given: Any) -> Environment:
        async with self.sessions.begin() as session:
            return await environments.create(session, name=name, **given)

    async def cron(self, expression: str = "* * * * *", **given: Any) -> Cron:
        self._count += 1
        async with self.sessions.begin() as session:
            name = given.pop("name", f"cron {self._count}")
            return await crons.create(session, name=name, expression=expression, **given)

    async def schedule(
        self,
        command: Command,
        environments: Sequence[Environment] = (),
        crons: Sequence[Cron] = (),
        *,
        since: datetime | None = None,
        **given: Any,
    ) -> Schedule:
        """A schedule; with ``since`` it, and all that it links, counts from then."""
        async with self.sessions.begin() as session:
            made = await schedules.create(
                session,
                command_id=command.id,
                environment_ids=[each.id for each in environments],
                cron_ids=[each.id for each in crons],
                **given,
            )
        if since is not None:
            async with self.sessions.begin() as session:
                found = await schedules.get(session, made.id)
                kept: list[Any] = [await session.get(Command, command.id), found]
                kept += [await session.get(Environment, each.id) for each in environments]
                kept += [await session.get(Cron, each.id) for each in crons]
                for row in kept:
                    row.active_since = since
                links: list[Any] = [*found.environments, *found.crons]
                for link in links:
                    link.since = since
        return made

    async def run(self, command: Command, **given: Any) -> CommandJob:
        async with self.sessions.begin() as session:
            return await runs.run(session, self.host, command.id, **given)

    async def kill(self, run: CommandJob) -> CommandJob:
        async with self.sessions.begin() as session:
            return await runs.kill(session, self.host, run.id)

    async def get(self, run_id: UUID) -> CommandJob:
        async with self.sessions.read() as session:
            found = await session.get(CommandJob, run_id)
            assert found is not None
            return found

    async def all(self) -> list[CommandJob]:
        async with self.sessions.read() as session:
            return list(await session.scalars(select(CommandJob).order_by(CommandJob.id)))

    async def events(self, run_id: UUID) -> list[CommandJobEvent]:
        """The events of a run, oldest first."""
        statement = select(CommandJobEvent).where(CommandJobEvent.command_job_id == run_id)
        async with self.sessions.read() as session:
            return list(await session.scalars(statement.order_by(CommandJobEvent.id)))

    async def text(self, run_id: UUID) -> str:
        """The output of a run."""
        statement = select(Output.data).where(Output.command_job_id == run_id)
        async with self.sessions.read() as session:
            found = await session.scalars(statement.order_by(Output.attempt, Output.sequence))
            return b"".join(found).decode()

    async def until(
        self, run: CommandJob, statuses: Collection[str] = ENDED, *, within: float = 20
    ) -> CommandJob:
        """The run when it has one of these statuses."""

        async def there() -> bool:
            return (await self.get(run.id)).status in statuses

        await until(there, within=within)
        return await self.get(run.id)

    async def until_output(self, run: CommandJob, text: str, *, within: float = 20) -> None:
        """Return when the output of the run has this text."""

        async def there() -> bool:
            return text in await self.text(run.id)

        await until(there, within=within)

    async def now(self) -> datetime:
        async with self.sessions.read() as session:
            return await now(session)


async def until(there: Callable[[], Awaitable[bool]], *, within: float = 20) -> None:
    """Return when ``there`` returns True, asked again and again."""
    async with asyncio.timeout(within):
        while not await there():  # noqa: ASYNC110 (other processes write what is waited for)
            await asyncio.sleep(0.02)
