"""A table with many finished jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.compare.servers import Server
from bench.growth.place import new_place
from bench.growth.subject import Drain, Growth


@asynccontextmanager
async def at(server: Server, size: int, jobs: int) -> AsyncIterator[Drain]:
    """One queue beside so many finished jobs."""
    async with new_place(server) as place:
        await place.sql.fill(size)

        async def drain() -> float:
            await place.renew(jobs)
            return await place.drain(jobs)

        yield drain


ROWS = Growth(
    name="rows",
    axis="finished jobs in the table",
    about="one node, one queue of 100 slots",
    sizes=(10_000, 100_000, 1_000_000, 5_000_000),
    at=at,
)
