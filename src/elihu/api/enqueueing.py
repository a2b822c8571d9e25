"""Storing jobs: ``app.enqueue``, ``app.aenqueue`` and ``app.enqueue_many``."""

from collections.abc import AsyncIterable, Coroutine, Iterable
from typing import Any

from elihu.clients.clients import Clients
from elihu.config import Config
from elihu.enqueue import (
    Carriers,
    Enqueued,
    TransactionInserter,
    check_free,
    check_new,
    store_all,
)
from elihu.job import Job, NewJob


class EnqueuesJobs:
    """What of an app stores jobs. ``carriers`` are functions of each new job, called where
    it is enqueued; the texts that they return are added to its ``meta``.
    """

    config: Config
    carriers: Carriers
    _clients: Clients
    _in_transaction: TransactionInserter

    async def aenqueue(self, new: NewJob, *, conn: Any = None, notify: bool = True) -> Job:
        """Store a job made by ``task.build`` and return after the commit. Raises
        ``InvalidOption`` for anything else.

        With ``conn``, the caller's asynchronous connection or session, the job exists if
        and only if that transaction commits; ``notify=False`` then omits the
        announcement.
        """
        if self.carriers:
            new = self.carriers.apply(new)
        if conn is not None:
            return await self._in_transaction.aone(conn, new, notify=notify)
        check_free(self.config.database_url)
        return await self._store(new)

    def enqueue(self, new: NewJob, *, conn: Any = None, notify: bool = True) -> Job:
        """``aenqueue`` for synchronous code and connections. Without ``conn`` it raises
        ``WrongLoop`` inside a running event loop.
        """
        if self.carriers:
            new = self.carriers.apply(new)
        if conn is not None:
            return self._in_transaction.one(conn, new, notify=notify)
        check_free(self.config.database_url)
        return self._clients.run(
            self._store(new), called="enqueue()", instead="await task.aenqueue(…)"
        )

    def enqueue_many(
        self,
        jobs: Iterable[NewJob] | AsyncIterable[NewJob],
        *,
        ids: bool = False,
        conn: Any = None,
        notify: bool = True,
    ) -> Coroutine[Any, Any, Enqueued]:
        """Store jobs made by ``task.build``, streamed in chunks. Each chunk is committed
        by itself, or is part of the transaction of ``conn``.

        ``ids=True`` returns the ids too, in order; for a conflict the id of the existing
        job. Raises ``InvalidOption`` for anything that ``task.build`` did not make; the
        chunks before it are stored. With a synchronous ``conn`` the jobs are stored in
        the caller's thread before the coroutine is returned.
        """
        if self.carriers:
            jobs = self.carriers.apply_all(jobs)
        if conn is not None:
            return self._in_transaction.many(conn, jobs, ids=ids, notify=notify)
        check_free(self.config.database_url)
        return self._enqueue_many(jobs, Enqueued(ids=[] if ids else None))

    async def _enqueue_many(
        self, jobs: Iterable[NewJob] | AsyncIterable[NewJob], done: Enqueued
    ) -> Enqueued:
        client = self._clients.client()
        await store_all(client.insert_bulk if done.ids is None else client.insert_many, jobs, done)
        return done

    async def _store(self, new: NewJob) -> Job:
        return await self._clients.client().insert(check_new(new))
