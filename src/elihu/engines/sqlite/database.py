"""The threads of an engine: one writes, one reads, and one reads for people.

The writer also answers what a node asks in its course. The reader serves the jobs API
and the waiters for results, so that a long read never delays the hot path. The third
thread serves lists and figures; it starts at its first call.
"""

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from elihu.config import Config
from elihu.engines.sqlite import checkpoints
from elihu.engines.sqlite.connection import check_library, connect, database_path
from elihu.engines.sqlite.datagrams import Datagrams
from elihu.engines.sqlite.migrations import schema_version
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.session import Session
from elihu.engines.sqlite.thread import DatabaseThread
from elihu.errors import DatabaseUnavailable, SchemaOutdated
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import EngineCalled

P = ParamSpec("P")
T = TypeVar("T")

NAME: Final = "sqlite"
_ENDS_TABLE: Final = statement("exchange_ends")


class _Threads(NamedTuple):
    writer: DatabaseThread
    reader: DatabaseThread
    browser: DatabaseThread


class Database:
    """Executes the functions of the verbs, each with a deadline and an event.

    Raises ``ConfigError`` for a URL that names no file, and for a SQLite older than
    3.40.
    """

    def __init__(self, config: Config, bus: Bus) -> None:
        check_library()
        self.path = database_path(config.database_url)
        self.schema: Final = config.schema
        self.datagrams: Final = Datagrams(self.path, bus)
        self._config = config
        self._bus = bus
        self._threads: _Threads | None = None
        self._connected = False

    @property
    def writer(self) -> DatabaseThread:
        """The thread that writes. Raises ``DatabaseUnavailable`` unless open."""
        return self._open_threads().writer

    async def open(self, *, make: bool) -> None:
        """Connect. Safe to call twice. Raises ``ConfigError`` where the file is no SQLite
        database, and without ``make`` ``SchemaOutdated`` where there is no file.
        """
        if not make and not self.path.exists():
            raise SchemaOutdated(
                f"{self.path}: expected a database with the tables of Elihu, got none: run "
                '"elihu migrate"'
            )
        if self._threads is None:
            timeout = self._config.call_timeout
            self._threads = _Threads(
                DatabaseThread(
                    "elihu-sqlite-writer",
                    partial(_writer_connection, self.path, self._config),
                    timeout,
                    checkpoints.adapt,
                ),
                DatabaseThread(
                    "elihu-sqlite-reader",
                    partial(_reader_connection, self.path, self._config),
                    timeout,
                ),
                DatabaseThread(
                    "elihu-sqlite-browser",
                    partial(_reader_connection, self.path, self._config),
                    timeout,
                ),
            )
            self._threads.writer.start()
            self._threads.reader.start()
        if not self._connected:
            await self.write("open", schema_version)
            self._connected = True

    async def close(self) -> None:
        """Finish the calls made so far and disconnect. Safe to call twice, and before
        ``open``.
        """
        for thread in self._leave():
            await thread.close()

    def abandon(self) -> None:
        """As ``close``, without waiting, since the loop has ended."""
        for thread in self._leave():
            thread.abandon()

    async def write(
        self,
        verb: str,
        work: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call ``work`` in the thread that writes."""
        return await self._call(
            self._open_threads().writer, verb, lambda session: work(session, *args, **kwargs)
        )

    async def read(
        self,
        verb: str,
        work: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call ``work`` in the thread that reads."""
        return await self._call(
            self._open_threads().reader, verb, lambda session: work(session, *args, **kwargs)
        )

    async def browse(
        self,
        verb: str,
        work: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call ``work`` in the thread that reads for people."""
        browser = self._open_threads().browser
        if not browser.started:
            browser.start()
        return await self._call(browser, verb, lambda session: work(session, *args, **kwargs))

    async def write_unbounded(
        self,
        verb: str,
        work: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """``write`` without a deadline, for migrations."""
        return await self._call(
            self._open_threads().writer,
            verb,
            lambda session: work(session, *args, **kwargs),
            deadline=False,
        )

    def _open_threads(self) -> _Threads:
        if self._threads is None:
            raise DatabaseUnavailable(
                "expected an open engine, got one that was never opened or is closed"
            )
        return self._threads

    def _leave(self) -> tuple[DatabaseThread, ...]:
        self.datagrams.close()
        threads, self._threads, self._connected = self._threads, None, False
        return threads or ()

    async def _call(
        self,
        thread: DatabaseThread,
        verb: str,
        work: Callable[[Session], T],
        *,
        deadline: bool = True,
    ) -> T:
        if EngineCalled not in self._bus:
            return await thread.call(work, deadline=deadline)
        begun = time.monotonic()
        error: BaseException | None = None
        try:
            return await thread.call(work, deadline=deadline)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._bus.emit(
                EngineCalled(engine=NAME, verb=verb, duration=time.monotonic() - begun, error=error)
            )


def _writer_connection(path: Path, config: Config) -> sqlite3.Connection:
    connection = connect(
        path, synchronous=config.synchronous, call_timeout=config.call_timeout, read_only=False
    )
    connection.execute(_ENDS_TABLE)
    return connection


def _reader_connection(path: Path, config: Config) -> sqlite3.Connection:
    return connect(
        path, synchronous=config.synchronous, call_timeout=config.call_timeout, read_only=True
    )
