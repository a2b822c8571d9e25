"""One daemon thread that owns one connection and executes calls in order.

    loop                                   thread
    call() ── queue ─────────────────────> work(session)
    future <── call_soon_threadsafe ────── answer

A call whose caller gave up before it began is left out. A call that has begun ends, and
its answer is dropped. At the deadline of a call its statement is interrupted and its
transaction rolled back. Each statement gives up the interpreter's lock and must win it
back from a busy event loop. So a call has few statements, and none that yields single
rows.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, cast
from weakref import WeakSet

from elihu.engines.sqlite.errors import breaks_connection, translate
from elihu.engines.sqlite.session import Call, Session
from elihu.errors import DatabaseTimeout, DatabaseUnavailable

T = TypeVar("T")

WATCH_INTERVAL: Final = 0.05
"""Seconds between two checks for a write of another connection. An idle node starts a
job of another process within 0.1 s.
"""
EAGER_INTERVAL: Final = 0.01
"""The same while a caller waits for the end of a job."""
CHECK: Final = 1.0
"""Seconds between two checks that the path still names the open file. What is written
to a removed file is lost.
"""
FORK_PATIENCE: Final = 2.0
"""Seconds for which a fork waits for the current call."""


class DatabaseThread:
    """Executes calls of one event loop on the connection that ``connect`` makes.

    ``timeout`` is the deadline of each call in seconds. ``each_second`` is called with the
    connection and its file, at most so often, before a call. A thread that has ended is
    not started again: an engine that is opened again makes another.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], sqlite3.Connection],
        timeout: float,
        each_second: Callable[[sqlite3.Connection, Path], None] | None = None,
    ) -> None:
        self._name = name
        self._connect = connect
        self._timeout = timeout
        self._each_second = each_second
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
        self._every = WATCH_INTERVAL
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def started(self) -> bool:
        """Whether it takes calls."""
        return self._loop is not None

    def start(self) -> None:
        """Begin to take calls of the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        _threads.add(self)
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    async def call(self, work: Callable[[Session], T], *, deadline: bool = True) -> T:
        """Call ``work`` in the thread and return its answer. Raises what ``work`` raises,
        translated by ``errors.translate``.
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

    async def watch(self, changed: Callable[[], None], every: float = WATCH_INTERVAL) -> None:
        """Call ``changed`` in the loop's thread when another connection has written.

        The thread checks each ``every`` seconds. The first watcher decides the
        interval.
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
        """As ``close``, without waiting, since the loop has ended."""
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
                self._call_in(loop, self._deliver)
        with self._working:
            self._disconnect()
        self._call_in(loop, partial(_forget, ended))

    def _next(self, loop: asyncio.AbstractEventLoop) -> Call | None:
        while self._watchers:
            wait = self._due - time.monotonic()
            if wait <= 0:
                self._due = time.monotonic() + self._every
                self._check_writes(loop)
                continue
            try:
                return self._queue.get(timeout=wait)
            except Empty:
                continue
        return self._queue.get()

    def _check_writes(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._working:
            if (connection := self._connection) is None:
                return
            with contextlib.suppress(sqlite3.Error):
                seen = _version(connection)
                if seen != self._seen:
                    self._seen = seen
                    for changed in self._watchers:
                        self._call_in(loop, changed)

    def _begin(self, call: Call) -> Session:
        if self._file is not None and time.monotonic() >= self._check_due:
            self._check_due = time.monotonic() + CHECK
            if not _is_there(*self._file):
                self._disconnect()
            elif self._connection is not None and self._each_second is not None:
                self._each_second(self._connection, self._file[0])
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
    def _call_in(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so no caller waits
            loop.call_soon_threadsafe(what)

    def before_fork(self) -> None:
        """Close the connection between two calls. SQLite's locks belong to the process,
        and the child would get a copy of its lock table.
        """
        self._still = self._working.acquire(timeout=FORK_PATIENCE)
        if self._still:
            self._disconnect()

    def after_fork(self) -> None:
        """Let calls proceed. The next call makes a new connection."""
        if self._still:
            self._still = False
            self._working.release()


def _forget(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _file_of(connection: sqlite3.Connection) -> tuple[Path, os.stat_result] | None:
    """The path of the connection's file and the file's identity. None for a database
    without a file.
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
    """A value that changes when another connection writes. SQLite counts for each
    connection on its own.
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
