"""One daemon thread that owns one connection and works through calls in order.

    loop                                   thread
    call() ── queue ─────────────────────> work(session)
    future <── call_soon_threadsafe ────── answer

A call that its caller gave up before it began is left out; one that has begun ends, and
its answer is dropped. At its deadline a running statement is interrupted and the
transaction rolled back. Each statement gives the interpreter's lock away and must win
it back from a busy event loop, so a call is made of few statements, and none that
yields a row at a time.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final, TypeVar, cast
from weakref import WeakSet

from elihu.engines.sqlite.errors import breaks_connection, translate
from elihu.errors import DatabaseTimeout, DatabaseUnavailable

T = TypeVar("T")
Parameters = Sequence[Any] | Mapping[str, Any]

LOOK: Final = 0.05
"""Seconds between two looks at whether another connection wrote: an idle node starts
another process's job within a tenth of a second.
"""
EAGER_LOOK: Final = 0.01
"""The same while somebody waits for an end."""
CHECK: Final = 1.0
"""Seconds between two looks at whether the path still names the file that is open: what
is written to one that was removed is lost.
"""
FORK_PATIENCE: Final = 2.0
"""Seconds for which a fork waits for the call that is being worked on."""


class Session:
    """What a call can do with the connection."""

    __slots__ = ("_call", "connection")

    def __init__(self, connection: sqlite3.Connection, call: "Call | None" = None) -> None:
        self.connection = connection
        self._call = call

    def execute(self, statement: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """Execute a statement that returns no rows."""
        return self.connection.execute(statement, parameters)

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Any]:
        """All rows of a statement: one that is not read to its end keeps its lock."""
        return self.connection.execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: Parameters = ()) -> Any:
        """The one row of a statement, None where there is none."""
        found = self.rows(statement, parameters)
        return found[0] if found else None

    def write(self) -> "Transaction":
        """A transaction that takes the write lock at once: one that read first would
        fail, without waiting, where another wrote since.
        """
        return Transaction(self.connection, self._call)


class Transaction:
    """``BEGIN IMMEDIATE`` … ``COMMIT``, or ``ROLLBACK`` on any error and past the
    call's deadline.
    """

    __slots__ = ("_call", "_connection")

    def __init__(self, connection: sqlite3.Connection, call: "Call | None") -> None:
        self._connection = connection
        self._call = call

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not (self._call and self._call.expired):
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class Call:
    """A piece of work on its way, and the future that waits for its answer."""

    __slots__ = ("expired", "future", "work")

    def __init__(self, work: Callable[[Session], Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.expired = False


class DatabaseThread:
    """Executes calls of one event loop on the connection that ``connect`` makes;
    ``timeout`` is each call's deadline in seconds.

    It lives once: after its end an engine that is opened again makes another.
    """

    def __init__(
        self, name: str, connect: Callable[[], sqlite3.Connection], timeout: float
    ) -> None:
        self._name = name
        self._connect = connect
        self._timeout = timeout
        self._queue: SimpleQueue[Call | None] = SimpleQueue()
        self._answers: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._delivering = False
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[Path, os.stat_result] | None = None
        self._check_due = 0.0
        self._current: Call | None = None
        self._interrupting = threading.Lock()
        self._working = threading.Lock()
        self._still = False
        self._watchers: tuple[Callable[[], None], ...] = ()
        self._seen: tuple[sqlite3.Connection, int] | None = None
        self._due = 0.0
        self._every = LOOK
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Begin to take calls of the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        _threads.add(self)
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    async def call(self, work: Callable[[Session], T], *, deadline: bool = True) -> T:
        """What ``work`` returns in the thread. Raises what it raises, in the terms of
        every engine.
        """
        loop = self._loop
        if loop is None:
            raise DatabaseUnavailable("expected an open engine, got one that is closed")
        future: asyncio.Future[T] = loop.create_future()
        call = Call(work, future)
        timer = loop.call_later(self._timeout, self._expire, call) if deadline else None
        self._queue.put(call)
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()

    async def watch(self, changed: Callable[[], None], every: float = LOOK) -> None:
        """Call ``changed`` in the loop's thread when, at a look every so many seconds,
        another connection has written.

        All who watch a thread look as often as the one that began.
        """

        def begin(session: Session) -> None:
            if not self._watchers:
                self._seen = _version(session.connection)
                self._every = every
                self._due = time.monotonic() + every
            self._watchers = (*self._watchers, changed)

        await self.call(begin)

    def unwatch(self, changed: Callable[[], None]) -> None:
        """End what ``watch`` began."""
        self._watchers = tuple(watcher for watcher in self._watchers if watcher != changed)

    def abandon(self) -> None:
        """Let the thread finish its calls, close the connection and end, without
        waiting for it: the loop is no more.
        """
        self._loop = None
        self._watchers = ()
        self._queue.put(None)

    async def close(self) -> None:
        """Finish the calls made so far and close the connection. Safe to call twice."""
        loop, self._loop = self._loop, None
        if loop is None or self._ended is None:
            return
        self._watchers = ()
        self._queue.put(None)
        await asyncio.wait([self._ended], timeout=self._timeout)

    def _expire(self, call: Call) -> None:
        with self._interrupting:
            call.expired = True
            if self._current is call and self._connection is not None:
                self._connection.interrupt()
        if not call.future.done():
            call.future.set_exception(
                DatabaseTimeout(
                    f"expected an answer of the database within {self._timeout:g} s, got none"
                )
            )

    def _run(self) -> None:
        loop, ended = (
            cast(asyncio.AbstractEventLoop, self._loop),
            cast("asyncio.Future[None]", self._ended),
        )
        while (call := self._next(loop)) is not None:
            if call.future.done():
                continue
            answer: Any = None
            failure: BaseException | None = None
            with self._working:
                try:
                    answer = call.work(self._begin(call))
                except BaseException as error:
                    failure = translate(error)
                    self._recover(error)
                with self._interrupting:
                    self._current = None
            self._answers.append((call.future, answer, failure))
            del call, answer, failure
            if not self._delivering:
                self._delivering = True
                self._tell(loop, self._deliver)
        with self._working:
            self._disconnect()
        self._tell(loop, partial(_forget, ended))

    def _next(self, loop: asyncio.AbstractEventLoop) -> Call | None:
        while self._watchers:
            wait = self._due - time.monotonic()
            if wait <= 0:
                self._due = time.monotonic() + self._every
                self._look(loop)
                continue
            try:
                return self._queue.get(timeout=wait)
            except Empty:
                continue
        return self._queue.get()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._working:
            if (connection := self._connection) is None:
                return
            with contextlib.suppress(sqlite3.Error):
                seen = _version(connection)
                if seen != self._seen:
                    self._seen = seen
                    for changed in self._watchers:
                        self._tell(loop, changed)

    def _begin(self, call: Call) -> Session:
        if self._file is not None and time.monotonic() >= self._check_due:
            self._check_due = time.monotonic() + CHECK
            if not _is_there(*self._file):
                self._disconnect()
        if self._connection is None:
            self._connection = self._connect()
            self._file = _file_of(self._connection)
        with self._interrupting:
            self._current = call
        return Session(self._connection, call)

    def _recover(self, error: BaseException) -> None:
        if self._connection is None:
            return
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as worse:
            error = worse
        if breaks_connection(error):
            self._disconnect()

    def _disconnect(self) -> None:
        with self._interrupting:
            connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _deliver(self) -> None:
        self._delivering = False
        while self._answers:
            future, answer, failure = self._answers.popleft()
            if future.done():
                continue
            if failure is None:
                future.set_result(answer)
            else:
                future.set_exception(failure)

    @staticmethod
    def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(what)

    def before_fork(self) -> None:
        """Close the connection between two calls: SQLite's locks belong to the process,
        its notes of them would be copied to the child.
        """
        self._still = self._working.acquire(timeout=FORK_PATIENCE)
        if self._still:
            self._disconnect()

    def after_fork(self) -> None:
        """Go on; the next call connects anew."""
        if self._still:
            self._still = False
            self._working.release()


def _forget(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _file_of(connection: sqlite3.Connection) -> tuple[Path, os.stat_result] | None:
    """The path of the connection's file, and the file that it names now; None for a
    database without one.
    """
    path: str = connection.execute("PRAGMA database_list").fetchone()[2]
    try:
        return (Path(path), Path(path).stat()) if path else None
    except FileNotFoundError:
        return None


def _is_there(path: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), file)
    except FileNotFoundError:
        return False


def _version(connection: sqlite3.Connection) -> tuple[sqlite3.Connection, int]:
    """What changes when another connection writes: SQLite counts for each connection on
    its own.
    """
    return connection, connection.execute("PRAGMA data_version").fetchone()[0]


_threads: WeakSet[DatabaseThread] = WeakSet()


def _before_fork() -> None:
    for thread in list(_threads):
        thread.before_fork()


def _after_fork() -> None:
    for thread in list(_threads):
        thread.after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
