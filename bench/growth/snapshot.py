"""A transaction elsewhere that keeps its snapshot, so that the database cannot remove what
later jobs leave behind.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bench.compare.servers import Server
from bench.growth.place import new_place
from bench.growth.subject import Drain, Growth

PIECE: Final = 50_000
"""The most jobs that are stored before they are drained."""


@asynccontextmanager
async def at(server: Server, size: int, jobs: int) -> AsyncIterator[Drain]:
    """Do so many jobs while a snapshot is held, and hold it further."""
    async with new_place(server) as place:
        await place.holder.hold_snapshot()
        for done in range(0, size, PIECE):
            piece = min(PIECE, size - done)
            await place.store(piece)
            await place.drain(piece)

        async def drain() -> float:
            await place.store(jobs)
            return await place.drain(jobs)

        yield drain


SNAPSHOT = Growth(
    name="snapshot",
    axis="jobs done since the snapshot was taken",
    about="one node, one queue of 100 slots",
    sizes=(1_000, 10_000, 100_000, 1_000_000),
    at=at,
)
