"""Many jobs at once: a stream of them cut into chunks, and what came of it."""

import reprlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from elihu.engines.base import Inserted
from elihu.errors import InvalidOption
from elihu.job import NewJob

CHUNK_ROWS: Final = 5_000
CHUNK_BYTES: Final = 16 * 1_048_576


@dataclass(slots=True, kw_only=True)
class Enqueued:
    """How many jobs were stored, and how many met a unique job that was there; ``ids`` in order, where asked for."""

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
        raise InvalidOption(f"expected a job that task.build(…) made, got {reprlib.repr(value)}")
    return value


async def chunked(jobs: Iterable[NewJob] | AsyncIterable[NewJob]) -> AsyncIterator[list[NewJob]]:
    """Lists of at most ``CHUNK_ROWS`` jobs and about ``CHUNK_BYTES`` of arguments and meta. Raises ``InvalidOption``."""
    chunk: list[NewJob] = []
    size = 0
    async for job in _stream(jobs):
        chunk.append(check_new(job))
        size += len(job.args) + len(job.meta or "")
        if len(chunk) == CHUNK_ROWS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


async def _stream(jobs: Iterable[NewJob] | AsyncIterable[NewJob]) -> AsyncIterator[NewJob]:
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    elif isinstance(jobs, Iterable):
        for job in jobs:
            yield job
    else:
        raise InvalidOption(f"enqueue_many(): expected an iterable of jobs that task.build(…) made, got {reprlib.repr(jobs)}")
