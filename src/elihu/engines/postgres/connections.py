"""The engine's own set of connections.

A pool with a reset query costs a round trip a use, and its holder can be busy with a
dead server while callers wait. This set keeps no state in its sessions, so that there
is nothing to reset: at most ``size`` connections, the last used first. A connection
that timed out, broke, or whose caller was cancelled never comes back.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import asyncpg

from elihu.engines.postgres.errors import REPEATABLE, keeps_connection, translate
from elihu.engines.postgres.url import driver_url, place
from elihu.errors import ConfigError, DatabaseTimeout, DatabaseUnavailable

T = TypeVar("T")
Connection = Any  # the driver's connections carry no types
Work = Callable[[Connection], Awaitable[T]]

CONNECT_TIMEOUT: Final = 5.0
OLDEST_SERVER: Final = 14
_CLOSE_TIMEOUT: Final = 1.0
_TRIES: Final = 3
_ABOUT = "SELECT pg_backend_pid(), current_setting('default_transaction_isolation')"


class Connections:
    """At most ``size`` connections to one database, for one event loop."""

    def __init__(self, url: str, size: int) -> None:
        self._url = driver_url(url)
        self._place = place(url)
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._used: set[Connection] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._pooled = False
        self._explicit = False
        self._closed = False

    async def open(self, timeout: float) -> None:
        """Connect once, to see that it can be done. Raises ``ConfigError``,
        ``DatabaseUnavailable`` or ``DatabaseTimeout``.
        """
        self._closed = False
        await self.run(_nothing, timeout)

    async def close(self) -> None:
        """Close all; whoever still uses one gets ``DatabaseUnavailable``. Takes about a
        second at most. Safe to call twice.
        """
        self._closed = True
        for task in self._leaving:
            task.cancel()
        for connection in self._used:
            connection.terminate()
        idle, self._idle = self._idle, []
        await asyncio.gather(
            *self._leaving,
            *(connection.close(timeout=_CLOSE_TIMEOUT) for connection in idle),
            return_exceptions=True,
        )
        await asyncio.sleep(
            0
        )  # what was terminated just now closes its socket in the loop's next round

    def abandon(self) -> None:
        """Drop the connections of a loop that has ended."""
        self._closed = True
        self._drop_idle()

    async def run(self, work: Work[T], timeout: float | None) -> T:
        """Give ``work`` a connection and return what it returns; all of it, the wait
        for a connection too, within ``timeout`` seconds.

        A deadlock or a serialisation failure, after which nothing has happened, is
        tried again. Raises ``DatabaseUnavailable``, ``DatabaseTimeout``,
        ``DataRefused``, ``SchemaOutdated``, ``ConfigError`` and whatever ``work``
        raises of Elihu's own.
        """
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                for _ in range(_TRIES - 1):
                    try:
                        return await self._run_once(work, deadline)
                    except REPEATABLE:
                        continue
                return await self._run_once(work, deadline)
        except TimeoutError as error:
            if not deadline.expired():
                raise DatabaseUnavailable(
                    f"PostgreSQL at {self._place}: {error or 'the connection timed out'}"
                ) from error
            self._drop_idle()
            raise DatabaseTimeout(
                f"PostgreSQL at {self._place}: expected an answer within {timeout:g} s, got none"
            ) from error
        except Exception as error:
            meaning = translate(error, self._place)
            if meaning is error:
                raise
            raise meaning from error

    async def _run_once(self, work: Work[T], deadline: asyncio.Timeout) -> T:
        await self._slots.acquire()
        slot_is_ours = True
        try:
            connection = await self._take()
            self._used.add(connection)
            try:
                result = await (transact(connection, work) if self._explicit else work(connection))
            except BaseException as error:
                self._used.discard(connection)
                if isinstance(error, asyncio.CancelledError) and not deadline.expired():
                    await _outlast(connection)
                elif isinstance(error, asyncio.CancelledError) and not self._closed:
                    self._let_go(connection)
                    slot_is_ours = False
                elif keeps_connection(error):
                    self._put_back(connection)
                else:
                    connection.terminate()
                    self._drop_idle()
                raise
            self._used.discard(connection)
            self._put_back(connection)
            return result
        finally:
            if slot_is_ours:
                self._slots.release()

    async def _take(self) -> Connection:
        if self._closed:
            raise DatabaseUnavailable(
                f"PostgreSQL at {self._place}: expected an open engine, got one that is closed"
            )
        while self._idle:
            if not (connection := self._idle.pop()).is_closed():
                return connection
        return await self._connect()

    async def _connect(self) -> Connection:
        connection = await _connect(self._url, self._place, cached=not self._pooled)
        try:
            pid, isolation = await _about(connection)
            self._explicit = isolation != "read committed"
            if self._pooled or pid == connection.get_server_pid():
                return connection
        except BaseException:
            connection.terminate()
            raise
        # A pooler stands between: a prepared statement may meet a server that does not know it.
        connection.terminate()
        self._pooled = True
        self._drop_idle()
        return await _connect(self._url, self._place, cached=False)

    def _put_back(self, connection: Connection) -> None:
        if self._closed or connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
        else:
            self._idle.append(connection)

    def _drop_idle(self) -> None:
        """A server that stalled or broke for one connection did so for all: do not let
        each caller find out.
        """
        for connection in self._idle:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                connection.terminate()
        self._idle.clear()

    def _let_go(self, connection: Connection) -> None:
        """A call that ran out of time answers at once; its connection keeps its place
        until it is gone.

        A cancelled call waits itself: its loop may be about to close, and would lose a
        task.
        """
        task = asyncio.get_running_loop().create_task(_outlast(connection))
        self._leaving.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._leaving.discard(task)
        self._slots.release()


async def connect_alone(url: str) -> Connection:
    """A connection outside of any set, for the caller to close. Raises what
    ``Connections.run`` raises.
    """
    try:
        return await _connect(driver_url(url), place(url), cached=False)
    except Exception as error:
        meaning = translate(error, place(url))
        if meaning is error:
            raise
        raise meaning from error


async def transact(connection: Connection, work: Work[T]) -> T:
    """Run ``work`` in one transaction under READ COMMITTED, whatever the database's
    default; inside one already open, just run it.

    The driver's own context manager rolls back without a deadline when its caller is
    cancelled, and hangs on a stalled server; here such a connection is left as it is,
    to be terminated.
    """
    if connection.is_in_transaction():
        return await work(connection)
    await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
    try:
        result = await work(connection)
    except Exception:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
    return result


async def _connect(url: str, where: str, *, cached: bool) -> Connection:
    try:
        connection = await asyncpg.connect(
            url, timeout=CONNECT_TIMEOUT, statement_cache_size=500 if cached else 0
        )
    except asyncpg.ClientConfigurationError as error:
        raise ConfigError(
            f"database_url: expected a PostgreSQL URL, got one for {where} of which the driver "
            f"says: {error}"
        ) from error
    except TimeoutError as error:
        raise DatabaseUnavailable(
            f"PostgreSQL at {where}: expected a connection within {CONNECT_TIMEOUT:g} s, got none"
        ) from error
    except ValueError:
        # Not chained: what could not be read may be a piece of the password.
        raise ConfigError(
            f"database_url: expected a PostgreSQL URL, got one for {where} that cannot be read"
        ) from None
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        connection.terminate()
        raise ConfigError(
            f"database_url: expected PostgreSQL {OLDEST_SERVER} or later, got "
            f"{version.major}.{version.minor} at {where}"
        )
    return connection


async def _about(connection: Connection) -> tuple[int, str]:
    """The process that really answers and its default isolation, asked without a
    prepared statement: COPY takes none.
    """
    answer = bytearray()

    async def receive(data: bytes) -> None:
        answer.extend(data)

    await connection.copy_from_query(_ABOUT, output=receive)
    pid, isolation = answer.decode().rstrip("\n").split("\t")
    return int(pid), isolation


async def _outlast(connection: Connection) -> None:
    """Give the driver's request to cancel the statement a moment to arrive, lest the
    server go on with it and keep its locks.
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
