"""Many jobs at once: a stream cut into chunks, and the counts."""

import asyncio
import reprlib
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, Final

from elihu.engines.protocol import Inserted
from elihu.errors import InvalidOption
from elihu.job import NewJob

CHUNK_ROWS: Final = 5_000
CHUNK_BYTES: Final = 16 * 1_048_576


@dataclass(slots=True, kw_only=True)
class Enqueued:
    """How many jobs were stored, and how many met an existing unique job. ``ids`` are
    in order of the jobs, None unless ``ids=True``.
    """

    inserted: int = 0
    conflicts: int = 0
    ids: list[int] | None = None

    def add(self, rows: Sequence[Inserted]) -> None:
        """Count a chunk that has been committed."""
        conflicts = sum(row.conflict for row in rows)
        self.conflicts += conflicts
        self.inserted += len(rows) - conflicts
        if self.ids is not None:
            self.ids += [row.id for row in rows]


def check_new(value: Any) -> NewJob:
    """Return ``value``, a job to be stored; raise ``InvalidOption`` for anything else."""
    if not isinstance(value, NewJob):
        raise InvalidOption(f"expected a job made by task.build(…), got {reprlib.repr(value)}")
    return value


def distinct_identifiers(jobs: Sequence[NewJob]) -> list[str]:
    """The identifiers of these jobs. Raises ``InvalidOption`` for a repeated one."""
    identifiers = [new.identifier for new in jobs if new.identifier is not None]
    if len(set(identifiers)) < len(identifiers):
        again = next(each for each in identifiers if identifiers.count(each) > 1)
        raise InvalidOption(f"identifier: expected each once, got {again!r} twice in one call")
    return identifiers


async def store_all(
    store: Callable[[list[NewJob]], Awaitable[Sequence[Inserted]]],
    jobs: Iterable[NewJob] | AsyncIterable[NewJob],
    done: Enqueued,
) -> None:
    """Store jobs chunk by chunk. Those of an asynchronous iterable are read while the
    chunk before them is stored. Raises ``InvalidOption``; the chunks before it are
    stored.
    """
    if not isinstance(jobs, AsyncIterable):
        for chunk in chunks(jobs):
            done.add(await store(chunk))
        return
    storing: asyncio.Future[Sequence[Inserted]] | None = None
    try:
        async for chunk in chunked(jobs):
            if storing is not None:
                before, storing = storing, None
                done.add(await before)
            storing = asyncio.ensure_future(store(chunk))
    finally:
        if storing is not None:
            done.add(await storing)


async def chunked(jobs: Iterable[NewJob] | AsyncIterable[NewJob]) -> AsyncIterator[list[NewJob]]:
    """Lists of at most ``CHUNK_ROWS`` jobs and about ``CHUNK_BYTES`` of arguments and
    meta. Raises ``InvalidOption``.
    """
    if not isinstance(jobs, AsyncIterable):
        for chunk in chunks(jobs):
            yield chunk
        return
    builder = _ChunkBuilder()
    async for job in jobs:
        if full := builder.put(job):
            yield full
    if builder.chunk:
        yield builder.chunk


def chunks(jobs: Iterable[NewJob]) -> Iterator[list[NewJob]]:
    """``chunked`` for a plain iterable."""
    if not isinstance(jobs, Iterable):
        raise InvalidOption(
            "enqueue_many(): expected an iterable of jobs made by task.build(…), got "
            f"{reprlib.repr(jobs)}"
        )
    builder = _ChunkBuilder()
    for job in jobs:
        if full := builder.put(job):
            yield full
    if builder.chunk:
        yield builder.chunk


class _ChunkBuilder:
    """Collects jobs until a chunk is full."""

    def __init__(self) -> None:
        self.chunk: list[NewJob] = []
        self._size = 0

    def put(self, job: NewJob) -> list[NewJob] | None:
        """Add a job. Returns the chunk if this job fills it, and begins the next."""
        self.chunk.append(check_new(job))
        self._size += len(job.args) + len(job.meta or "")
        if len(self.chunk) < CHUNK_ROWS and self._size < CHUNK_BYTES:
            return None
        full, self.chunk, self._size = self.chunk, [], 0
        return full
