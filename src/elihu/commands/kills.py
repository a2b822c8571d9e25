"""Ends the runs of this node that were asked to end."""

import asyncio
from typing import Final
from uuid import UUID

from sqlalchemy import select

from elihu import DatabaseError
from elihu.commands.host import Host
from elihu.commands.models import CommandJob
from elihu.commands.runner import CommandRun

INTERVAL: Final = 0.5
"""Seconds between two looks. There are none while no command runs."""


class Kills:
    """Looks whether a running command is to be killed: one query for all of them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._running: dict[UUID, CommandRun] = {}
        self._looking: asyncio.Task[None] | None = None

    def add(self, token: UUID, running: CommandRun) -> None:
        """Look for the attempt with this token from now on."""
        self._running[token] = running
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="elihu-commands-kills")

    def remove(self, token: UUID) -> None:
        """The attempt has ended."""
        self._running.pop(token, None)

    async def aclose(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def tick(self) -> None:
        """Look once. Raises ``DatabaseError``."""
        statement = select(CommandJob.token, CommandJob.kill_reason).where(
            CommandJob.token.in_(list(self._running)),
            CommandJob.kill_reason.is_not(None),
        )
        async with self._host.sessions.read() as session:
            for token, reason in await session.execute(statement):
                if token and reason and (running := self._running.pop(token, None)):
                    running.stop(reason)

    async def _look(self) -> None:
        while self._running:
            await asyncio.sleep(INTERVAL)
            try:
                await self.tick()
            except DatabaseError:
                continue  # the writes of the same runs report it
