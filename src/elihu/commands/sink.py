"""Where the output of a run goes: chunks to the database, excerpts to the event."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import DatabaseTimeout, DatabaseUnavailable
from elihu.commands.host import Host
from elihu.commands.models import Output
from elihu.commands.runner import OutputChunk, Stream
from elihu.commands.signals import OutputSignals
from elihu.orm.sessions import now

EXCERPT: Final = 64 * 1_024
"""Bytes of each stream that an event keeps: half from the start, half from the end."""
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
_DROPPED: Final = "\n… {} bytes left out …\n"


class Excerpt:
    """The first and the last half of ``EXCERPT`` bytes of a stream."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        """Take what follows."""
        half = EXCERPT // 2
        room = half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room > 0 else data
        if (over := len(self._tail) - half) > 0:
            self._dropped += over
            del self._tail[:over]

    def text(self) -> str:
        """As text that any database holds; bytes that are not UTF-8 are replaced."""
        mark = _DROPPED.format(f"{self._dropped:,}") if self._dropped else ""
        parts = (bytes(part).decode("utf-8", "replace") for part in (self._head, self._tail))
        return mark.join(parts).replace("\0", "\ufffd")


class DatabaseSink:
    """Writes each batch of chunks in a transaction of its own. While the database is
    away it tries again.
    """

    def __init__(self, host: Host, run_id: UUID, attempt: int) -> None:
        self.excerpts: dict[Stream, Excerpt] = {"stdout": Excerpt(), "stderr": Excerpt()}
        self._host = host
        self._run_id = run_id
        self._attempt = attempt
        self._signals = OutputSignals(host, run_id)

    async def write(self, chunks: Sequence[OutputChunk]) -> None:
        """Store these chunks."""
        for chunk in chunks:
            self.excerpts[chunk.stream].add(chunk.data)

        again = False

        async def store(session: AsyncSession) -> None:
            nonlocal again
            known = await self._sequences(session, chunks) if again else set()
            again = True
            moment = await now(session)
            session.add_all(
                Output(
                    command_job_id=self._run_id,
                    attempt=self._attempt,
                    sequence=chunk.sequence,
                    stream=chunk.stream,
                    data=chunk.data,
                    written_at=moment,
                )
                for chunk in chunks
                if chunk.sequence not in known
            )

        await persist(self._host, store)
        self._signals.written()

    async def discard(self, first: int, before: int) -> None:
        """Remove chunks that are in neither half of the output any more."""
        statement = delete(Output).where(
            Output.command_job_id == self._run_id,
            Output.attempt == self._attempt,
            Output.sequence >= first,
            Output.sequence < before,
        )

        async def remove(session: AsyncSession) -> None:
            await session.execute(statement)

        await persist(self._host, remove)

    def close(self) -> None:
        """Nothing follows."""
        self._signals.close()

    async def _sequences(self, session: AsyncSession, chunks: Sequence[OutputChunk]) -> set[int]:
        """Those of the chunks that are stored: an earlier try was committed, and its
        answer was lost.
        """
        found = await session.scalars(
            select(Output.sequence).where(
                Output.command_job_id == self._run_id,
                Output.attempt == self._attempt,
                Output.sequence.in_([chunk.sequence for chunk in chunks]),
            )
        )
        return set(found)


async def persist(host: Host, work: Callable[[AsyncSession], Awaitable[None]]) -> None:
    """Do something in a transaction; while the database is away or slow, again and
    again, with longer pauses. What it does must bear being done twice: a commit whose
    answer is lost may have happened.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            async with host.sessions.begin() as session:
                await work(session)
            return
        except (DatabaseUnavailable, DatabaseTimeout):
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
