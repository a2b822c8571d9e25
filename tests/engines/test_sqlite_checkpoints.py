"""The write-ahead log of SQLite while another connection reads an old state."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from elihu.config import Config
from elihu.engines.sqlite import checkpoints, thread
from elihu.engines.sqlite.connection import connect
from elihu.engines.sqlite.database import Database
from elihu.engines.sqlite.session import Session
from elihu.telemetry.bus import Bus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(
        connect(path, synchronous="normal", call_timeout=1, read_only=False)
    ) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        yield connection


@pytest.fixture
def holder(path: Path, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A transaction that keeps its snapshot."""
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT * FROM t").fetchall()
        yield holder


def pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0])


def test_a_long_log_that_a_reader_holds_is_tried_again_when_it_is_twice_as_long(
    path: Path,
    connection: sqlite3.Connection,
    holder: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection.executemany("INSERT INTO t VALUES (?)", [(1,)] * 700)
    _, logged, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert (logged >= 700, copied) == (True, 0)
    checkpoints.adapt(connection, path)
    assert pages(connection) == checkpoints.PAGES, "the log is short"
    monkeypatch.setattr(checkpoints, "WAL_LIMIT", 1)
    checkpoints.adapt(connection, path)
    assert pages(connection) == 2 * logged
    holder.execute("COMMIT")
    checkpoints.adapt(connection, path)
    assert pages(connection) == checkpoints.PAGES
    assert connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone() == (0, logged, logged)


def test_without_a_log_nothing_is_tried(path: Path, connection: sqlite3.Connection) -> None:
    checkpoints.adapt(connection, path.with_name("none.db"))
    assert pages(connection) == checkpoints.PAGES


async def test_the_writer_of_an_engine_adapts(
    path: Path, holder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "WAL_LIMIT", 1)
    monkeypatch.setattr(thread, "CHECK", 0.0)
    database = Database(Config(database_url=f"sqlite:///{path}"), Bus())
    await database.open(make=True)

    def write(session: Session) -> int:
        session.execute("INSERT INTO t VALUES (1)")
        return pages(session.connection)

    try:
        await database.write("first", write)
        assert await database.write("second", write) < checkpoints.PAGES
    finally:
        await database.close()
