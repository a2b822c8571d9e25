"""Storing jobs in the caller's own transaction, on the caller's connection. The app's own
database connections are not used.
"""

from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from typing import Any

from elihu.config import Config
from elihu.engines.in_transaction import Session, Stored, open_session
from elihu.enqueue.bulk import Enqueued, check_new, chunked, chunks, distinct_identifiers
from elihu.enqueue.stored import stored_job
from elihu.errors import InvalidOption
from elihu.job import Job, NewJob


class TransactionInserter:
    """Stores jobs of one app through connections of its callers.

    Every verb raises ``InvalidOption`` for a connection that cannot be used, and then
    stores nothing. After any error, ``IdentifierTaken`` too, the transaction of the
    connection is as it was before.
    """

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config

    def one(self, conn: object, new: NewJob, *, notify: bool) -> Job:
        """Store one job through a synchronous connection."""
        session = open_session(conn, self._config())
        session.require_sync("enqueue()", "await task.using(conn=…).aenqueue(…)")
        return _job(new, *session.insert([check_new(new)], notify=notify))

    async def aone(self, conn: object, new: NewJob, *, notify: bool) -> Job:
        """Store one job through an asynchronous connection."""
        session = open_session(conn, self._config())
        session.require_async("aenqueue()", "task.using(conn=…).enqueue(…)")
        return _job(new, *await session.ainsert([check_new(new)], notify=notify))

    def many(
        self,
        conn: object,
        jobs: Iterable[NewJob] | AsyncIterable[NewJob],
        *,
        ids: bool,
        notify: bool,
    ) -> Coroutine[Any, Any, Enqueued]:
        """Store jobs, one statement for each chunk. On a synchronous connection all is
        done in this call, in the caller's thread.
        """
        session = open_session(conn, self._config())
        done = Enqueued(ids=[] if ids else None)
        if session.asynchronous:
            return _amany(session, jobs, done, notify)
        if isinstance(jobs, AsyncIterable):
            raise InvalidOption(
                "enqueue_many(): expected a plain iterable with a synchronous conn, got an "
                "asynchronous one"
            )
        for chunk in chunks(jobs):
            distinct_identifiers(chunk)
            done.add([stored.row for stored in session.insert(chunk, notify=notify)])
        return _given(done)


async def _amany(
    session: Session, jobs: Iterable[NewJob] | AsyncIterable[NewJob], done: Enqueued, notify: bool
) -> Enqueued:
    async for chunk in chunked(jobs):
        distinct_identifiers(chunk)
        done.add([stored.row for stored in await session.ainsert(chunk, notify=notify)])
    return done


def _job(new: NewJob, stored: Stored) -> Job:
    return stored_job(new, stored.row) if stored.holder is None else stored.holder


async def _given(done: Enqueued) -> Enqueued:
    return done
