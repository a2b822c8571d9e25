"""The thread that owns a connection: calls in order, deadlines, and what is left behind
by those that fail.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from elihu.engines.sqlite.connection import connect
from elihu.engines.sqlite.session import Session
from elihu.engines.sqlite.thread import DatabaseThread
from elihu.errors import DatabaseTimeout, DatabaseUnavailable, DataRefused, SchemaOutdated


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


@pytest.fixture
async def thread(path: Path) -> AsyncIterator[DatabaseThread]:
    """With a table ``t`` and a short deadline."""
    thread = DatabaseThread(
        "test", lambda: connect(path, synchronous="normal", call_timeout=0.2, read_only=False), 0.2
    )
    thread.start()
    await thread.call(
        lambda session: session.execute("CREATE TABLE t (x INTEGER CHECK (x < 100))"),
        deadline=False,
    )
    yield thread
    await thread.close()


def values(session: Session) -> list[int]:
    return [x for (x,) in session.rows("SELECT x FROM t ORDER BY x")]


def add(session: Session, x: int) -> None:
    session.execute("INSERT INTO t VALUES (?)", (x,))


def fail(session: Session) -> None:
    raise KeyError("mine")


async def test_calls_are_answered_in_order(thread: DatabaseThread) -> None:
    done: list[int] = []

    async def one(x: int) -> None:
        await thread.call(lambda session: add(session, x), deadline=False)
        done.append(x)

    await asyncio.gather(*map(one, range(50)))
    assert done == list(range(50))
    assert await thread.call(values, deadline=False) == done


async def test_an_error_reaches_its_caller_and_the_next_call_works(thread: DatabaseThread) -> None:
    def work(session: Session) -> None:
        with session.write():
            add(session, 1)
            add(session, 100)

    with pytest.raises(DataRefused, match="CHECK"):
        await thread.call(work, deadline=False)
    with pytest.raises(KeyError):
        await thread.call(fail, deadline=False)
    assert await thread.call(values, deadline=False) == []


async def test_a_transaction_left_open_is_rolled_back(thread: DatabaseThread) -> None:
    def work(session: Session) -> None:
        session.execute("BEGIN IMMEDIATE")
        add(session, 1)
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await thread.call(work, deadline=False)
    await thread.call(lambda session: add(session, 2), deadline=False)
    assert await thread.call(values, deadline=False) == [2]


async def test_past_the_deadline_nothing_is_committed(thread: DatabaseThread) -> None:
    """Between two statements there is nothing to interrupt."""
    told = threading.Event()

    def work(session: Session) -> None:
        with session.write():
            add(session, 1)
            told.wait(10)

    with pytest.raises(DatabaseTimeout, match=r"within 0\.2 s"):
        await thread.call(work)
    told.set()
    assert await thread.call(values, deadline=False) == []


async def test_a_running_statement_is_interrupted(thread: DatabaseThread) -> None:
    def work(session: Session) -> None:
        with session.write():
            add(session, 1)
            session.rows(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n "
                "WHERE i < 0"
            )

    with pytest.raises(DatabaseTimeout):
        await thread.call(work)
    assert await thread.call(values, deadline=False) == []


async def test_a_call_whose_deadline_passed_in_the_queue_does_not_begin(
    thread: DatabaseThread,
) -> None:
    told = threading.Event()
    first = asyncio.create_task(thread.call(lambda session: told.wait(10)))
    await asyncio.sleep(0)
    second = asyncio.create_task(thread.call(lambda session: add(session, 1)))
    for call in (first, second):
        with pytest.raises(DatabaseTimeout):
            await call
    told.set()
    assert await thread.call(values, deadline=False) == []


async def test_without_a_deadline_a_call_takes_its_time(thread: DatabaseThread) -> None:
    told = threading.Event()
    free = asyncio.create_task(thread.call(lambda session: told.wait(10), deadline=False))
    await asyncio.sleep(0)
    with pytest.raises(DatabaseTimeout):
        await thread.call(values)
    assert not free.done()
    told.set()
    assert await free


async def test_a_begun_call_ends_though_its_caller_gave_up(thread: DatabaseThread) -> None:
    begun, told = threading.Event(), threading.Event()

    def work(session: Session) -> None:
        with session.write():
            begun.set()
            told.wait(10)
            add(session, 1)

    call = asyncio.create_task(thread.call(work))
    await asyncio.to_thread(begun.wait, 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    told.set()
    assert await thread.call(values, deadline=False) == [1]


async def test_a_broken_connection_is_replaced(tmp_path: Path) -> None:
    made: list[sqlite3.Connection] = []

    def make() -> sqlite3.Connection:
        made.append(
            connect(tmp_path / "t.db", synchronous="normal", call_timeout=5, read_only=False)
        )
        return made[-1]

    def break_it(session: Session) -> None:
        session.execute("PRAGMA query_only = ON")
        session.execute("CREATE TABLE t (x)")

    thread = DatabaseThread("test", make, 5)
    thread.start()
    with pytest.raises(DatabaseUnavailable, match="readonly"):
        await thread.call(break_it)
    await thread.call(lambda session: session.execute("CREATE TABLE t (x)"))
    assert len(made) == 2
    await thread.close()


async def test_a_database_that_cannot_be_opened_can_be_later(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    thread = DatabaseThread(
        "test",
        lambda: connect(folder / "t.db", synchronous="normal", call_timeout=5, read_only=False),
        5,
    )
    thread.start()
    with pytest.raises(DatabaseUnavailable, match="unable to open"):
        await thread.call(lambda session: session.row("SELECT 1"))
    await asyncio.to_thread(folder.mkdir)
    assert await thread.call(lambda session: session.row("SELECT 1")) == (1,)
    await thread.close()


async def test_calls_made_before_the_end_are_finished(thread: DatabaseThread, path: Path) -> None:
    calls = [asyncio.create_task(thread.call(partial(add, x=x))) for x in range(20)]
    await asyncio.sleep(0)
    await thread.close()
    await asyncio.gather(*calls)
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await thread.call(values)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (20,)


def test_a_closed_loop_stops_no_thread(tmp_path: Path) -> None:
    """Nobody waits for the answer; the thread goes on to its end."""
    thread = DatabaseThread(
        "test",
        lambda: connect(tmp_path / "t.db", synchronous="normal", call_timeout=5, read_only=False),
        5,
    )
    told = threading.Event()
    before = set(threading.enumerate())

    async def leave() -> None:
        thread.start()
        call = asyncio.create_task(thread.call(lambda session: told.wait(10)))
        await asyncio.sleep(0)
        call.cancel()

    asyncio.run(leave())
    (own,) = set(threading.enumerate()) - before
    told.set()
    thread.abandon()
    own.join(10)
    assert not own.is_alive()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_was_removed_is_not_written_to(
    thread: DatabaseThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    monkeypatch.setattr("elihu.engines.sqlite.thread.CHECK", 0.0)
    await thread.call(lambda session: add(session, 1))
    for name in ("t.db", "t.db-wal", "t.db-shm"):
        (tmp_path / name).unlink()
    if replaced:
        other = sqlite3.connect(tmp_path / "t.db")
        other.execute("CREATE TABLE t (x INTEGER)")
        other.execute("INSERT INTO t VALUES (7)")
        other.commit()
        other.close()
        assert await thread.call(values, deadline=False) == [7]
    else:
        with pytest.raises(SchemaOutdated, match="no such table"):
            await thread.call(lambda session: add(session, 2), deadline=False)
