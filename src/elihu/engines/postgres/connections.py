"""The connections that one engine uses.

A pool with a reset query costs a round trip for each use, and its holder can be busy with
a dead server while callers wait. These connections keep no state in their sessions, so
that there is nothing to reset. A connection that timed out, broke, or whose caller was
cancelled is not used again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, TypeVar

import asyncpg

from elihu.engines.postgres.connect import Connection
from elihu.engines.postgres.errors import REPEATABLE, keeps_connection, translate
from elihu.engines.postgres.pool import Budget, Pool, budget_of, enter, leave
from elihu.engines.postgres.url import target
from elihu.errors import DatabaseTimeout, DatabaseUnavailable

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]

LOCK_TIMEOUT: Final = 0.25
"""Seconds for which a statement waits for another transaction's lock. After that the call
gives its connection back and tries again.
"""
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.3
_CLOSE_TIMEOUT: Final = 1.0
_TRIES: Final = 3


class Limits(NamedTuple):
    """What the server ends in a transaction of ours, in seconds; 0 is no limit. Without
    them a client that is frozen or cut off keeps its locks.
    """

    idle: float
    statement: float
    lock: float

    def begin(self) -> str:
        """The statement that begins such a transaction. The limits end with it, so that a
        pooler hands out no changed session.
        """
        settings = (
            ("idle_in_transaction_session_timeout", self.idle),
            ("statement_timeout", self.statement),
            ("lock_timeout", self.lock),
        )
        return "BEGIN ISOLATION LEVEL READ COMMITTED; " + "; ".join(
            f"SET LOCAL {name} = {round(seconds * 1_000)}" for name, seconds in settings
        )


class _Call(Generic[T]):
    """One call: its work, how it is executed, and whether a lock was in its way."""

    def __init__(self, work: Work[T], limits: Limits | None, timeout: float | None) -> None:
        self.deadline = asyncio.timeout(timeout)
        self.blocked = False
        self._work = work
        self._limits = limits
        self._timeout = timeout or 0

    async def execute(self, connection: Connection, *, explicit: bool) -> T:
        limits = self._limits
        if limits is None and explicit:
            limits = Limits(idle=self._timeout, statement=self._timeout, lock=0)
        if limits is None:
            return await self._work(connection)
        return await transact(connection, self._work, limits)


class Connections:
    """At most ``size`` connections to one database, shared with every other engine of this
    process that has the same URL.
    """

    def __init__(self, url: str, size: int) -> None:
        self._target = target(url)
        self._place = self._target.place
        self._size = size
        self._pool: Pool | None = None
        self._used: set[Connection] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self, timeout: float) -> None:
        """Connect once, to see that it can be done. Raises ``ConfigError``,
        ``DatabaseUnavailable`` or ``DatabaseTimeout``.
        """
        self._closed = False
        await self.run(_nothing, timeout)

    async def close(self) -> None:
        """Close all; a call that still uses one raises ``DatabaseUnavailable``. Takes about
        a second at most. Safe to call twice.
        """
        self._closed = True
        pool, self._pool = self._pool, None
        for task in self._leaving:
            task.cancel()
        for connection in self._used:
            connection.terminate()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        if pool is not None and leave(pool):
            await pool.close(_CLOSE_TIMEOUT)
        await asyncio.sleep(0)  # a connection terminated just now closes its socket in this round

    def abandon(self) -> None:
        """Drop the connections of a loop that has ended."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is not None and leave(pool):
            pool.abandon()

    def budget(self) -> Budget:
        """That of this process for these connections."""
        return budget_of(self._target)

    async def run(
        self,
        work: Work[T],
        timeout: float | None,
        *,
        limits: Limits | None = None,
        waits: bool = False,
    ) -> T:
        """Give ``work`` a connection and return what it returns. All of it, also the wait
        for a connection, takes at most ``timeout`` seconds. With ``limits`` it is one
        transaction. ``waits`` is for work that may wait for another transaction's lock.

        A deadlock or a serialisation failure, after which nothing has happened, is tried
        again. Raises ``DatabaseUnavailable``, ``DatabaseTimeout``, ``DataRefused``,
        ``PermissionDenied``, ``SchemaOutdated``, ``ConfigError`` and what ``work`` raises.
        """
        call = _Call(work, limits, timeout)
        try:
            async with call.deadline:
                return await (self._run_patiently(call) if waits else self._run_repeatedly(call))
        except TimeoutError as error:
            if not call.deadline.expired():
                raise DatabaseUnavailable(
                    f"PostgreSQL at {self._place}: {error or 'the connection timed out'}"
                ) from error
            if call.blocked:
                raise DatabaseTimeout(
                    f"PostgreSQL at {self._place}: another transaction held a lock for "
                    f"{timeout:g} s"
                ) from error
            if self._pool is not None:
                self._pool.drop_idle()
            raise DatabaseTimeout(
                f"PostgreSQL at {self._place}: no answer within {timeout:g} s"
            ) from error
        except Exception as error:
            meaning = translate(error, self._place)
            if meaning is error:
                raise
            raise meaning from error

    async def _run_patiently(self, call: "_Call[T]") -> T:
        """Try again while another transaction holds a lock. The connection is free in
        between, and at most half of all wait at a time.
        """
        pause = _FIRST_PAUSE
        while True:
            async with self._entered().patient:
                try:
                    return await self._run_repeatedly(call)
                except asyncpg.LockNotAvailableError:
                    call.blocked = True
            await asyncio.sleep(pause * (0.5 + random.random()))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _run_repeatedly(self, call: "_Call[T]") -> T:
        tries = 1
        unsent = False
        while True:
            try:
                return await self._run_once(call)
            except REPEATABLE:
                if tries == _TRIES:
                    raise
                tries += 1
            except asyncpg.InterfaceError as error:
                # Nothing was sent: the connection had ended before.
                if unsent or not _is_of_closed_connection(error) or self._closed:
                    raise
                unsent = True

    async def _run_once(self, call: "_Call[T]") -> T:
        pool = self._entered()
        connection = await pool.take()
        self._used.add(connection)
        try:
            result = await call.execute(connection, explicit=pool.explicit)
        except BaseException as error:
            self._used.discard(connection)
            cancelled = isinstance(error, asyncio.CancelledError)
            if cancelled and call.deadline.expired() and not self._closed:
                self._let_go(connection, pool)
            elif cancelled and not self._closed:
                await _outlast(connection)
                pool.drop(connection)
            elif keeps_connection(error) and not self._closed:
                pool.put_back(connection)
            else:
                pool.drop(connection)
                pool.drop_idle()
            raise
        self._used.discard(connection)
        pool.put_back(connection)
        return result

    def _entered(self) -> Pool:
        if self._closed:
            raise DatabaseUnavailable(f"PostgreSQL at {self._place}: the engine is closed")
        if self._pool is None:
            self._pool = enter(self._target, self._size)
        return self._pool

    def _let_go(self, connection: Connection, pool: Pool) -> None:
        """A call that ran out of time raises at once; its connection keeps its place until
        it is gone.

        A cancelled call waits itself: its loop may be about to close, and would lose a
        task.
        """
        task = asyncio.get_running_loop().create_task(_outlast(connection))
        self._leaving.add(task)

        def gone(task: asyncio.Task[None]) -> None:
            self._leaving.discard(task)
            pool.drop(connection)

        task.add_done_callback(gone)


async def transact(connection: Connection, work: Work[T], limits: Limits) -> T:
    """Run ``work`` in one transaction under READ COMMITTED, whatever the database's
    default; inside one already open, just run it.

    The driver's own context manager rolls back without a deadline when its caller is
    cancelled, and hangs on a stalled server; here such a connection is left as it is, to
    be terminated.
    """
    if connection.is_in_transaction():
        return await work(connection)
    await connection.execute(limits.begin())
    try:
        result = await work(connection)
    except Exception:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
    return result


def _is_of_closed_connection(error: asyncpg.InterfaceError) -> bool:
    return type(error) is asyncpg.InterfaceError and "closed" in str(error)


async def _outlast(connection: Connection) -> None:
    """Give the driver's request to cancel the statement a moment to arrive, so that the
    server does not go on with it and keep its locks.
    """
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await connection.execute("ROLLBACK")
    except (Exception, asyncio.CancelledError):
        pass  # whatever came of it, the connection goes
    finally:
        connection.terminate()


async def _nothing(connection: Connection) -> None:
    return None
