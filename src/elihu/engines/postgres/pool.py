"""The connections of one event loop, and how many a process may have.

All engines of a loop with the same URL and size share one pool. All pools of a process with
the same URL share one budget: together they hold at most as many connections as the largest
of them may. Only the first connection of a pool and a connection that listens may exceed it
for a while, so that no loop waits for another one's work.
"""

import asyncio
import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import asyncpg

from elihu.engines.postgres.connect import Connection, about, connect
from elihu.engines.postgres.url import Target

CHECK_AFTER: Final = 60.0
"""Seconds of rest after which a connection is checked before its use."""
CLOSE_AFTER: Final = 300.0
"""Seconds of rest after which a connection is closed."""
_LOOK_AFTER: Final = 0.5
"""Seconds of rest after which the loop first reads what the server sent meanwhile."""
_ROUNDS_TO_CLOSE: Final = 5
"""Rounds of the loop in which it reads the server's last message and the end, and closes."""
_CHECK_TIMEOUT: Final = 1.0


class Budget:
    """How many connections the pools of one process hold. Thread-safe."""

    def __init__(self) -> None:
        self._size = 0
        self._open = 0
        self._lock = threading.Lock()
        self._pools: weakref.WeakSet[Pool] = weakref.WeakSet()

    def join(self, pool: "Pool", size: int) -> None:
        with self._lock:
            self._pools.add(pool)
            self._size = max(self._size, size)

    def take(self, *, exceed: bool = False) -> bool:
        """Whether one more connection may be opened; it counts from now on."""
        with self._lock:
            if self._open >= self._size and not exceed:
                return False
            self._open += 1
            return True

    def give_back(self, number: int = 1) -> None:
        """Connections are closed. Another pool that waits may open one."""
        with self._lock:
            self._open -= number
            pools = list(self._pools)
        for pool in pools:
            pool.call(pool.wake)

    def exceeded(self) -> bool:
        return self._open > self._size

    def ask_for_idle(self, asking: "Pool") -> None:
        """Other pools close a connection that rests."""
        with self._lock:
            others = [pool for pool in self._pools if pool is not asking]
        for pool in others:
            pool.call(pool.shed)


class _Idle(NamedTuple):
    connection: Connection
    since: float


class Pool:
    """Open connections, the last used first; who waits for one gets it in turn."""

    def __init__(self, where: Target, size: int, budget: Budget) -> None:
        self.where = where
        self.patient = asyncio.Semaphore(max(1, size // 2))
        """Held by calls that wait for another transaction's locks: at most half."""
        self.explicit = False
        """Whether single statements need a transaction for their isolation."""
        self.owners = 0
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._budget = budget
        self._behind_pooler = False
        self._open = 0
        self._idle: list[_Idle] = []
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._reaper: asyncio.TimerHandle | None = None
        budget.join(self, size)

    async def take(self) -> Connection:
        """A connection that is open. The caller gives it to ``put_back`` or ``drop``."""
        woken = False
        while True:
            if woken or not self._waiters:
                while self._idle:
                    connection, since = self._idle.pop()
                    if await self._usable(connection, since):
                        return connection
                if self._open < self._size and self._budget.take(exceed=self._open == 0):
                    self._open += 1
                    try:
                        return await self._connect()
                    except BaseException:
                        self._left()
                        raise
            await self._wait(first=woken)
            woken = True

    def put_back(self, connection: Connection) -> None:
        """The connection can serve the next call."""
        surplus = self._open > 1 and self._budget.exceeded()
        if surplus or not self.owners or connection.is_closed() or connection.is_in_transaction():
            self.drop(connection)
            return
        self._idle.append(_Idle(connection, self._loop.time()))
        if self._reaper is None:
            self._reaper = self._loop.call_later(CLOSE_AFTER, self._reap)
        self.wake()

    def drop(self, connection: Connection) -> None:
        """The connection cannot be used again."""
        with contextlib.suppress(RuntimeError):  # its loop has ended
            connection.terminate()
        self._left()

    def drop_idle(self) -> None:
        """A server that stalled or broke for one connection did so for all: the next
        callers do not try them.
        """
        while self._idle:
            self.drop(self._idle.pop().connection)

    def shed(self) -> None:
        """Close the connection that rested longest, unless it is the only one."""
        if self._idle and self._open > 1:
            self.drop(self._idle.pop(0).connection)

    def wake(self) -> None:
        """The first who waits tries again."""
        while self._waiters:
            if not (waiter := self._waiters.popleft()).done():
                waiter.set_result(None)
                return

    def call(self, callback: Callable[[], object]) -> None:
        """Call in the pool's loop, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(callback)

    async def close(self, timeout: float) -> None:
        """Close what rests."""
        self._stop_reaping()
        idle, self._idle = self._idle, []
        await asyncio.gather(
            *(each.connection.close(timeout=timeout) for each in idle), return_exceptions=True
        )
        for _ in idle:
            self._left()

    def abandon(self) -> None:
        """The loop has ended: nothing can be closed in order."""
        self._stop_reaping()
        self.drop_idle()
        if self._open:
            self._budget.give_back(self._open)
            self._open = 0

    async def _wait(self, *, first: bool) -> None:
        waiter = self._loop.create_future()
        (self._waiters.appendleft if first else self._waiters.append)(waiter)
        if self._open < self._size:
            self._budget.ask_for_idle(self)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.wake()
            raise

    async def _usable(self, connection: Connection, since: float) -> bool:
        rested = self._loop.time() - since
        if rested > _LOOK_AFTER:
            try:
                for _ in range(_ROUNDS_TO_CLOSE):
                    await asyncio.sleep(0)
            except BaseException:
                self.drop(connection)
                raise
        if connection.is_closed():
            self._left()
            return False
        if rested <= CHECK_AFTER:
            return True
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                await connection.execute("SELECT 1")
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.drop(connection)
            self.drop_idle()  # they rested longer
            return False
        except BaseException:
            self.drop(connection)
            raise
        return True

    async def _connect(self) -> Connection:
        connection = await connect(self.where, cached=not self._behind_pooler)
        try:
            pid, isolation = await about(connection)
            self.explicit = isolation != "read committed"
            if self._behind_pooler or pid == connection.get_server_pid():
                return connection
        except BaseException:
            connection.terminate()
            raise
        # A prepared statement may reach a server process that does not know it.
        connection.terminate()
        self._behind_pooler = True
        self.drop_idle()
        return await connect(self.where, cached=False)

    def _left(self) -> None:
        self._open -= 1
        self._budget.give_back()

    def _reap(self) -> None:
        self._reaper = None
        oldest = self._loop.time() - CLOSE_AFTER
        while self._idle and self._idle[0].since <= oldest:
            self.drop(self._idle.pop(0).connection)
        if self._idle:
            rest = self._idle[0].since - oldest
            self._reaper = self._loop.call_later(rest, self._reap)

    def _stop_reaping(self) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None


_Key = tuple[str, int]
_lock = threading.Lock()


def _renew_lock() -> None:
    """Another thread of the parent may have held the lock when the process forked."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

_budgets: dict[tuple[int, str], Budget] = {}
_pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, Pool]] = (
    weakref.WeakKeyDictionary()
)


def enter(where: Target, size: int) -> Pool:
    """The pool of the running loop, for one more owner."""
    with _lock:
        pools = _pools.setdefault(asyncio.get_running_loop(), {})
        key = where.dsn, size
        if key not in pools:
            pools[key] = Pool(where, size, budget_of(where))
        pools[key].owners += 1
        return pools[key]


def leave(pool: Pool) -> bool:
    """One owner less; whether it was the last, who must close the pool."""
    with _lock:
        pool.owners -= 1
        if pool.owners:
            return False
        for pools in list(_pools.values()):
            for key in [key for key, each in pools.items() if each is pool]:
                del pools[key]
        return True


def budget_of(where: Target) -> Budget:
    """The budget of this process; after a fork the child has one of its own."""
    return _budgets.setdefault((os.getpid(), where.dsn), Budget())
