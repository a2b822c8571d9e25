"""A node that serves many queues."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.compare.servers import Server
from bench.growth.place import new_place
from bench.growth.subject import SLOTS, Drain, Growth


@asynccontextmanager
async def at(server: Server, size: int, jobs: int) -> AsyncIterator[Drain]:
    """The jobs spread evenly over so many queues."""
    async with new_place(server, {f"queue{number}": SLOTS for number in range(size)}) as place:

        async def drain() -> float:
            await place.renew(jobs)
            return await place.drain(jobs)

        yield drain


QUEUES = Growth(
    name="queues",
    axis="queues of the node",
    about="one node, queues of 100 slots each, as many jobs in each",
    sizes=(1, 10, 100, 500),
    at=at,
    jobs=lambda _size: 100_000,
)
