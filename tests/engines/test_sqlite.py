"""What only SQLite promises: where the database is, and which locks are taken."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from elihu.config import Config, RetentionConfig
from elihu.engines.protocol import Engine
from elihu.engines.sqlite.connection import connect
from elihu.engines.sqlite.engine import SqliteEngine
from elihu.engines.sqlite.errors import translate
from elihu.errors import ConfigError, DatabaseTimeout, DatabaseUnavailable, DataRefused, SchemaError
from elihu.job import JobChanges, JobState
from elihu.telemetry.bus import Bus
from tests.engines.builders import (
    ANY,
    acknowledge,
    completed,
    failed,
    fetch,
    job,
    new,
    node,
    only,
    put,
    states,
)
from tests.engines.conftest import Opener

T = TypeVar("T")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


# where the database is


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "postgresql:///x"],
)
def test_a_url_that_names_no_file(url: str) -> None:
    with pytest.raises(ConfigError, match=r"database_url: expected sqlite:///PATH"):
        SqliteEngine(Config(database_url=url), Bus())


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    for place in (tmp_path / "absent" / "elihu.db", tmp_path):
        with pytest.raises(ConfigError, match="existing folder"):
            SqliteEngine(Config(database_url=f"sqlite:///{place}"), Bus())


def test_an_old_sqlite(monkeypatch: pytest.MonkeyPatch, sqlite_url: str) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 39, 4))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.39.4")
    with pytest.raises(ConfigError, match=r"SQLite 3\.40 or later.*got 3\.39\.4"):
        SqliteEngine(Config(database_url=sqlite_url), Bus())


@pytest.fixture
def prose(path: Path) -> None:
    path.write_text("To be or not to be, that is the question. " * 100)


@pytest.mark.usefixtures("prose")
async def test_a_file_that_is_no_database(opened: Opener) -> None:
    with pytest.raises(ConfigError, match="another kind of file"):
        await opened()


async def test_a_file_of_somebody_else(path: Path, opened: Opener) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE job (id INTEGER)")
    connection.close()
    engine = await opened()
    with pytest.raises(SchemaError, match="a table of another application"):
        await engine.migrate()
    assert await engine.schema_version() == 0


async def test_the_users_tables_live_beside_ours(
    engine: Engine, outside: sqlite3.Connection
) -> None:
    outside.execute("CREATE TABLE file (path TEXT PRIMARY KEY, job INTEGER)")
    outside.execute("BEGIN IMMEDIATE")
    outside.execute("INSERT INTO file VALUES ('a', 1)")
    outside.execute("INSERT INTO job (task, queue, args) VALUES ('t', 'default', '{}')")
    outside.execute("ROLLBACK")
    assert await engine.count(ANY) == 0


@pytest.mark.parametrize(("synchronous", "value"), [("full", 2), ("normal", 1)])
def test_durability_is_the_one_configured(path: Path, synchronous: str, value: int) -> None:
    connection = connect(path, synchronous=synchronous, call_timeout=10, read_only=False)  # type: ignore[arg-type]
    assert connection.execute("PRAGMA synchronous").fetchone() == (value,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA busy_timeout").fetchone()[0] < 10_000
    connection.close()


def test_the_connection_for_reads_cannot_write(path: Path) -> None:
    connection = connect(path, synchronous="full", call_timeout=10, read_only=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("CREATE TABLE t (x)")
    connection.close()


# locks on the database


async def test_what_is_idle_takes_no_lock_and_wakes_nobody(
    engine: Engine, outside: sqlite3.Connection
) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new(delay=3_600))
    before = outside.execute("PRAGMA data_version").fetchone()
    outside.execute("BEGIN IMMEDIATE")
    assert await engine.exchange(here, "default", 10, []) == ([], [])
    assert await engine.exchange(here, "default", 0, []) == ([], [])
    assert (await engine.stage(100)).queues == {}
    assert await engine.rescue(100) == []
    assert await engine.reconcile(here, [], 0) == []
    assert await engine.prune(RetentionConfig(), 100) == (0, 0)
    assert (await engine.heartbeat(here)).known
    assert await engine.intents(here) == []
    assert await engine.lost_claims(here, [(id_, 1)]) == [(id_, 1)]
    assert await engine.expire(100) == []
    assert await engine.lead(here, 10)
    assert await engine.resign(here)
    assert (await engine.cancel(only(id_ + 1))).changed == 0
    assert (await engine.find(ANY, None, 10)).items[0].id == id_
    assert len(await engine.nodes()) == 1
    outside.execute("COMMIT")
    assert outside.execute("PRAGMA data_version").fetchone() == before


async def test_no_verb_leaves_a_lock_behind(engine: Engine, outside: sqlite3.Connection) -> None:
    here = await node(engine)

    async def free(*_: object) -> None:
        outside.execute("BEGIN IMMEDIATE")
        outside.execute("ROLLBACK")

    await free(await engine.insert([new(), new(), new()]))
    await free(
        await engine.insert(
            [new(unique_key=b"k", unique_scope=0), new(unique_key=b"k", unique_scope=0)]
        )
    )
    claims = await fetch(engine, here)
    await free(await acknowledge(engine, here, completed(claims[0]), failed(claims[1], delay=-1.0)))
    await engine.record_progress(here, [(claims[2].id, 1, "{}")])
    await free()
    await free((await engine.stage(10)).queues)
    await free(await engine.update(claims[1].id, JobChanges(priority=2)))
    for verb in ("hold", "release", "cancel", "retry", "delete"):
        await free(await getattr(engine, verb)(ANY))
    await free(await engine.migrate())
    with pytest.raises(DataRefused):
        await engine.insert([new(args="{")])
    await free()
    await engine.deregister_node(here)
    await free(await engine.rescue(10))
    await free(await engine.remove_dead_node(here, None))


async def test_a_lock_that_is_held_is_waited_for(
    engine: Engine, outside: sqlite3.Connection
) -> None:
    outside.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(engine.insert([new()]))
    assert await engine.count(ANY) == 0
    outside.execute("COMMIT")
    await waiting
    assert await engine.count(ANY) == 1


async def test_a_lock_held_too_long_is_the_database_away(
    opened: Opener, outside: sqlite3.Connection, path: Path
) -> None:
    engine = await opened(call_timeout=1)
    here = await node(engine)
    outside.execute("BEGIN IMMEDIATE")
    for call in (
        engine.insert([new()]),
        engine.insert([new(), new(), new()]),
        engine.register_node("late", "late", {}),
    ):
        # on a busy machine SQLite waits for longer than it counts, and the deadline comes first
        with pytest.raises((DatabaseUnavailable, DatabaseTimeout), match=r"SQLITE_BUSY|within 1 s"):
            await call
    assert not list(path.parent.glob("*late*"))
    outside.execute("COMMIT")
    await put(engine)
    (claim,) = await fetch(engine, here)
    outside.execute("BEGIN IMMEDIATE")
    with pytest.raises((DatabaseUnavailable, DatabaseTimeout)):
        await acknowledge(engine, here, completed(claim))
    outside.execute("ROLLBACK")
    assert (await acknowledge(engine, here, completed(claim))).acked == [(claim.id, False)]
    await engine.register_node("late", "late", {})


async def test_a_call_that_nobody_waits_for_is_left_out(
    engine: Engine, outside: sqlite3.Connection
) -> None:
    outside.execute("BEGIN IMMEDIATE")
    begun, queued, last = (
        asyncio.create_task(engine.insert([new(name)])) for name in ("begun", "queued", "last")
    )
    await engine.count(ANY)
    begun.cancel()
    queued.cancel()
    await asyncio.wait([begun, queued])
    outside.execute("COMMIT")
    await last
    tasks = {found.task for found in (await engine.find(ANY, None, 10)).items}
    assert "last" in tasks
    assert "queued" not in tasks


async def test_a_full_disk_is_the_database_away(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE t (x)")
    connection.execute("PRAGMA max_page_count = 3")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    assert isinstance(translate(caught.value), DatabaseUnavailable)
    connection.close()


def test_errors_in_our_own_terms(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE t (x INTEGER NOT NULL CHECK (x < 9)) STRICT")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000)
    for value in (None, 10, "text", 2**70, "lone \ud800", object(), "x" * 2_000):
        with pytest.raises((sqlite3.Error, OverflowError, UnicodeError)) as caught:
            connection.execute("INSERT INTO t VALUES (?)", (value,))
        assert isinstance(translate(caught.value), DataRefused), value
    with pytest.raises(sqlite3.OperationalError) as away:
        sqlite3.connect(path.parent / "absent" / "x.db")
    assert isinstance(translate(away.value), DatabaseUnavailable)
    assert isinstance(translate(OSError("no locks")), DatabaseUnavailable)
    mine = KeyError("mine")
    assert translate(mine) is mine
    connection.close()


async def at_last(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a call that a busy machine may let time out."""
    async with asyncio.timeout(20):
        while True:
            with suppress(DatabaseTimeout):
                return await call()


async def test_the_deadline_interrupts_a_long_read(
    opened: Opener, engine: Engine, outside: sqlite3.Connection
) -> None:
    outside.execute("""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
        INSERT INTO job (task, tags) SELECT 't', '["a", "b", "c", "d", "e", "f"]' FROM n""")
    hasty = await at_last(lambda: opened(call_timeout=0.05))
    begun = time.monotonic()
    with pytest.raises(DatabaseTimeout, match=r"0\.05"):
        await hasty.count(ANY.__class__(tags=("none",)))
    assert time.monotonic() - begun < 5
    assert await at_last(lambda: hasty.get(1))
    assert await engine.count(ANY) == 200_000


async def test_one_bad_row_stops_no_rescue(engine: Engine, outside: sqlite3.Connection) -> None:
    gone = await node(engine)
    ids = await put(engine, *(new() for _ in range(6)))
    await fetch(engine, gone)
    await engine.deregister_node(gone)
    outside.execute(f"""
        CREATE TRIGGER bad BEFORE UPDATE ON job WHEN old.id IN ({ids[0]}, {ids[3]})
        BEGIN SELECT RAISE(ABORT, 'no'); END""")
    assert [rescued.id for rescued in await engine.rescue(3)] == [ids[1], ids[2], ids[4]]
    assert [rescued.id for rescued in await engine.rescue(3)] == [ids[5]]
    assert await engine.rescue(3) == []
    assert await states(engine, [ids[0], ids[3]]) == ["executing", "executing"]
    assert outside.execute(
        "SELECT count(*) FROM run WHERE job_id IN (?, ?)", (ids[0], ids[3])
    ).fetchone() == (0,)
    outside.execute("DROP TRIGGER bad")
    assert len(await engine.rescue(3)) == 2


async def test_a_row_that_code_does_not_know_is_no_harm(
    engine: Engine, outside: sqlite3.Connection
) -> None:
    here = await node(engine)
    await put(engine)
    (claim,) = await fetch(engine, here)
    outside.execute("PRAGMA ignore_check_constraints = 1")
    outside.execute("UPDATE job SET intent = 'stop'")
    assert await engine.intents(here) == []
    assert (await job(engine, claim.id)).state is JobState.EXECUTING
