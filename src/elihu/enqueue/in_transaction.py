"""Storing jobs in the caller's own transaction, on the caller's connection. Nothing of
the app's own database connections is used.
"""

from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from elihu.config import Config
from elihu.engines.in_transaction.connections import Link, check_engine, link_to
from elihu.engines.in_transaction.steps import Steps, Stored, arun, run
from elihu.engines.postgres import in_transaction as postgres
from elihu.engines.sqlite import in_transaction as sqlite
from elihu.enqueue.bulk import Enqueued, check_new, chunked, chunks, distinct_identifiers
from elihu.enqueue.stored import stored_job
from elihu.errors import InvalidOption
from elihu.job import Job, NewJob


class TransactionInserter:
    """Stores jobs of the app that ``config`` tells of. Every verb raises
    ``InvalidOption`` for a connection that it cannot use, and then nothing is stored;
    after any refusal, ``IdentifierTaken`` too, the connection's transaction is as it
    was.
    """

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config

    def one(self, conn: object, new: NewJob, *, notify: bool) -> Job:
        """Store one job through a synchronous connection."""
        link = link_to(conn)
        if link.asynchronous:
            raise _wrong_verb(
                conn,
                "a synchronous connection for enqueue()",
                "await task.using(conn=…).aenqueue(…)",
            )
        return _job(new, *self._insert(link, [check_new(new)], notify))

    async def aone(self, conn: object, new: NewJob, *, notify: bool) -> Job:
        """Store one job through an asynchronous connection."""
        link = link_to(conn)
        if not link.asynchronous:
            raise _wrong_verb(
                conn, "an asynchronous connection for aenqueue()", "task.using(conn=…).enqueue(…)"
            )
        return _job(new, *await self._ainsert(link, [check_new(new)], notify))

    def many(
        self,
        conn: object,
        jobs: Iterable[NewJob] | AsyncIterable[NewJob],
        *,
        ids: bool,
        notify: bool,
    ) -> Coroutine[Any, Any, Enqueued]:
        """Store jobs, a statement a chunk. On a synchronous connection all is done in
        this call, in the caller's thread.
        """
        link = link_to(conn)
        done = Enqueued(ids=[] if ids else None)
        if link.asynchronous:
            return self._amany(link, jobs, done, notify)
        if isinstance(jobs, AsyncIterable):
            raise InvalidOption(
                "enqueue_many(): expected a plain iterable with a synchronous conn, got an "
                "asynchronous one"
            )
        for chunk in chunks(jobs):
            done.add([stored.row for stored in self._insert(link, chunk, notify)])
        return _given(done)

    async def _amany(
        self,
        link: Link,
        jobs: Iterable[NewJob] | AsyncIterable[NewJob],
        done: Enqueued,
        notify: bool,
    ) -> Enqueued:
        async for chunk in chunked(jobs):
            done.add([stored.row for stored in await self._ainsert(link, chunk, notify)])
        return done

    def _insert(self, link: Link, jobs: Sequence[NewJob], notify: bool) -> list[Stored]:
        link.open()
        return run(link, self._steps(link, jobs, notify))

    async def _ainsert(self, link: Link, jobs: Sequence[NewJob], notify: bool) -> list[Stored]:
        await link.open()
        return await arun(link, self._steps(link, jobs, notify))

    def _steps(self, link: Link, jobs: Sequence[NewJob], notify: bool) -> Steps[list[Stored]]:
        config = self._config()
        check_engine(link, config)
        identifiers = distinct_identifiers(jobs)
        if link.engine == "sqlite":
            return sqlite.guarded(sqlite.insert(link.raw_sqlite, jobs), identifiers)
        return postgres.saved(
            postgres.insert(config.schema, jobs, notify=notify), config.schema, identifiers
        )


def _job(new: NewJob, stored: Stored) -> Job:
    return stored_job(new, stored.row) if stored.holder is None else stored.holder


def _wrong_verb(conn: object, expected: str, right: str) -> InvalidOption:
    return InvalidOption(f"conn: expected {expected}, got a {type(conn).__name__}: write {right}")


async def _given(done: Enqueued) -> Enqueued:
    return done
