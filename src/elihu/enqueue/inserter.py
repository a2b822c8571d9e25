"""From validated jobs to rows. Concurrent callers share one statement; a queue is
announced after the commit.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from elihu.engines.protocol import Counts, Engine, Inserted, are_alike, queues_to_announce
from elihu.enqueue.bulk import distinct_identifiers
from elihu.errors import DataRefused
from elihu.job import NewJob

BATCH_ROWS: Final = 1_000
BATCH_BYTES: Final = 4 * 1_048_576


class Announce(Protocol):
    """Announces queues that have available jobs: in this process alone where the engine has
    announced them to the others.
    """

    def __call__(self, names: Iterable[str], /, *, only_here: bool = False) -> None: ...


class _Pending(NamedTuple):
    new: NewJob
    answer: asyncio.Future[Inserted]


class Inserter:
    """Stores jobs through one engine.

    The first call is sent at once. Calls that arrive while its statement runs form the
    next one, so no timer adds delay. A unique job, or one with an identifier, has a
    statement of its own, since it may wait for another transaction.
    """

    def __init__(self, engine: Engine, announce: Announce) -> None:
        self._engine = engine
        self._announce = announce
        self._waiting: list[_Pending] = []
        self._sender: asyncio.Task[None] | None = None

    async def one(self, new: NewJob) -> Inserted:
        """Store one job and return after the commit. A caller that is cancelled before
        its statement began stores nothing.
        """
        if new.unique_key is not None or new.identifier is not None:
            return (await self.many([new]))[0]
        waiting = _Pending(new, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send(), name="elihu-inserter")
        return await waiting.answer

    async def many(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        """Store these jobs in one transaction. Raises ``IdentifierTaken``, and
        ``InvalidOption`` for an identifier that two of them have.
        """
        distinct_identifiers(jobs)
        inserted = await self._engine.insert(jobs)
        queues = queues_to_announce(jobs, inserted)
        self._announce(queues, only_here=all(row.announced for row in inserted))
        return inserted

    async def bulk(self, jobs: Sequence[NewJob]) -> Sequence[Inserted] | Counts:
        """``many`` where nobody asks for ids. Plain jobs and those that are alike are only
        counted.
        """
        if not all(new.is_plain for new in jobs) and not are_alike(jobs):
            return await self.many(jobs)
        inserted = await self._engine.insert_bulk(jobs)
        if inserted:
            self._announce({new.queue for new in jobs if new.notify})
        return Counts(inserted, len(jobs) - inserted)

    async def _send(self) -> None:
        try:
            while batch := self._next_batch():
                await self._insert(batch)
        finally:
            self._sender = None

    def _next_batch(self) -> list[_Pending]:
        batch: list[_Pending] = []
        size = taken = 0
        for waiting in self._waiting:
            if len(batch) == BATCH_ROWS or size > BATCH_BYTES:
                break
            taken += 1
            if not waiting.answer.done():
                batch.append(waiting)
                size += len(waiting.new.args) + len(waiting.new.meta or "")
        del self._waiting[:taken]
        return batch

    async def _insert(self, batch: list[_Pending]) -> None:
        try:
            inserted = await self.many([waiting.new for waiting in batch])
        except DataRefused as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._insert(batch[:middle])
                await self._insert(batch[middle:])
            else:
                self._fail(batch, error)
        except Exception as error:
            self._fail(batch, error)
        else:
            for waiting, row in zip(batch, inserted, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(row)

    @staticmethod
    def _fail(batch: list[_Pending], error: Exception) -> None:
        for waiting in batch:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)
