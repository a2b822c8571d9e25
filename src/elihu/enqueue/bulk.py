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

from elihu.engines.protocol import Counts, Inserted
from elihu.errors import InvalidOption
from elihu.job import NewJob

CHUNK_ROWS: Final = 5_000
CHUNK_BYTES: Final = 16 * 1_048_576
TURN: Final = 250
"""After so many jobs of a plain iterable the event loop has its turn."""


@dataclass(slots=True, kw_only=True)
class Enqueued:
    """How many jobs were stored, and how many met an existing unique job. ``ids`` are
    in order of the jobs, None unless ``ids=True``.
    """

    inserted: int = 0
    conflicts: int = 0
    ids: list[int] | None = None

    def add(self, rows: Sequence[Inserted] | Counts) -> None:
        """Count a chunk that has been committed: what was stored, or only the counts where
        nobody asks for ids.
        """
        if isinstance(rows, Counts):
            self.inserted += rows.inserted
            self.conflicts += rows.conflicts
            return
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
    store: Callable[[list[NewJob]], Awaitable[Sequence[Inserted] | Counts]],
    jobs: Iterable[NewJob] | AsyncIterable[NewJob],
    done: Enqueued,
) -> None:
    """Store jobs chunk by chunk. The next ones are read while a chunk is stored. Raises
    ``InvalidOption``; the chunks before it are stored.
    """
    storing: asyncio.Future[Sequence[Inserted] | Counts] | None = None
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
    builder = _ChunkBuilder()
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            if full := builder.put(job):
                yield full
    else:
        for number, job in enumerate(_iterable(jobs)):
            if full := builder.put(job):
                yield full
            if number % TURN == 0:
                await asyncio.sleep(0)
    if builder.chunk:
        yield builder.chunk


def chunks(jobs: Iterable[NewJob]) -> Iterator[list[NewJob]]:
    """``chunked`` for a plain iterable, in one go."""
    builder = _ChunkBuilder()
    for job in _iterable(jobs):
        if full := builder.put(job):
            yield full
    if builder.chunk:
        yield builder.chunk


def _iterable(jobs: Iterable[NewJob]) -> Iterable[NewJob]:
    if not isinstance(jobs, Iterable):
        raise InvalidOption(
            "enqueue_many(): expected an iterable of jobs made by task.build(…), got "
            f"{reprlib.repr(jobs)}"
        )
    return jobs


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
