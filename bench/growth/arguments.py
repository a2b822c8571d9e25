"""Jobs with large arguments."""

import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bench.compare.servers import Server
from bench.growth.place import new_place
from bench.growth.subject import JOBS, Drain, Growth

MOST_BYTES: Final = 200_000_000
"""The arguments of one drain together."""


@asynccontextmanager
async def at(server: Server, size: int, jobs: int) -> AsyncIterator[Drain]:
    """Jobs with one argument of so many bytes, which no database can compress much."""
    text = base64.b64encode(random.Random(size).randbytes(size)).decode()[:size]
    async with new_place(server) as place:

        async def drain() -> float:
            await place.renew(jobs, text)
            return await place.drain(jobs)

        yield drain


ARGUMENTS = Growth(
    name="arguments",
    axis="bytes of each job's argument",
    about="one node, one queue of 100 slots",
    sizes=(100, 1_000, 10_000, 100_000, 1_000_000),
    at=at,
    jobs=lambda size: min(JOBS, max(1, MOST_BYTES // size)),
)
