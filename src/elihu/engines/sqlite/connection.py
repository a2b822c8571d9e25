"""The file of the database, and connections to it."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Final, Literal

from elihu.clock import TEST_FILES
from elihu.engines.sqlite.checkpoints import WAL_LIMIT
from elihu.errors import ConfigError, DatabaseUnavailable

OLDEST: Final = (3, 40, 0)
PREFIX: Final = "sqlite:///"
MEMORY: Final = "sqlite:///:memory:"
"""No setting can say this: only a connection of the caller reaches the jobs."""
BUSY_SHARE: Final = 0.8
"""The part of a call's deadline that it waits for another process's lock. The rest is
for the error.
"""
RETRY_WAL: Final = 0.01
_EPOCH: Final = 2_440_587.5
"""The Julian day at which Unix time begins."""


def database_path(url: str) -> Path:
    """The file of a URL: ``sqlite:///relative/to/here.db`` or ``sqlite:////absolute.db``.
    Symbolic links are followed, so that every process uses the same lock files. Raises
    ``ConfigError`` for any other URL.
    """
    name = url.removeprefix(PREFIX)
    if url == MEMORY:
        raise ConfigError(
            "database_url: expected sqlite:///PATH of a file, got a database in memory, which only "
            "the connection that made it can use"
        )
    if not url.startswith(PREFIX) or not name or "?" in name or "\0" in name:
        raise ConfigError(f"database_url: expected sqlite:///PATH of a file, got {url!r}")
    path = Path(os.path.realpath(name))
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"database_url: expected a file in an existing folder, got {path}")
    return path


def check_library() -> None:
    """Raise ``ConfigError`` for a SQLite older than 3.40."""
    if sqlite3.sqlite_version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST[:2]))
        raise ConfigError(
            f"database_url: expected SQLite {wanted} or later in Python's sqlite3, got "
            f"{sqlite3.sqlite_version}"
        )


def connect(
    path: Path, *, synchronous: Literal["full", "normal"], call_timeout: float, read_only: bool
) -> sqlite3.Connection:
    """A connection in autocommit mode to the database in WAL mode. An absent file is
    made.
    """
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SHARE * call_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    try:
        if (test_clock := TEST_FILES.get(path)) is not None:
            connection.create_function("julianday", 1, lambda _now: test_clock() / 86_400 + _EPOCH)
        _use_wal(connection, time.monotonic() + BUSY_SHARE * call_timeout)
        connection.execute(f"PRAGMA synchronous = {'FULL' if synchronous == 'full' else 'NORMAL'}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}").fetchall()
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise ConfigError(
                f"database_url: expected an SQLite database, got another kind of file: {path}"
            ) from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, until: float) -> None:
    """Turn WAL on. SQLite does not wait for locks here, and processes that start together
    hold them for a moment.
    """
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(RETRY_WAL)
        else:
            if mode != "wal":
                raise DatabaseUnavailable(
                    f"expected a file system on which SQLite can use WAL, got journal mode {mode!r}"
                )
            return
