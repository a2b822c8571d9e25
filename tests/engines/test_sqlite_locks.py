"""SQLite's nodes live as long as they hold a lock: through a freeze, not through a
kill, and never by a child's hand.
"""

import asyncio
import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from elihu.engines.protocol import Engine
from elihu.engines.sqlite.locks import Locks
from elihu.errors import ConfigError
from tests.engines.builders import ANY, job, new, node, put
from tests.engines.conftest import Opener

HOLDER = """
import asyncio, sys
from elihu.config import Config
from elihu.engines.sqlite.engine import SqliteEngine
from elihu.telemetry.bus import Bus

async def main():
    engine = SqliteEngine(Config(database_url=sys.argv[1]), Bus())
    await engine.open()
    await engine.register_node(sys.argv[2], "child", {})
    assert await engine.lead(sys.argv[2], 10)
    await engine.exchange(sys.argv[2], "default", 10, [])
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@contextmanager
def holder(url: str, node: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that is a node and the leader, and executes what is available."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, url, node],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def forked_child() -> Iterator[None]:
    """A copy of this process that does nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    try:
        yield
    finally:
        os.close(writer)
        assert os.waitpid(child, 0)[1] == 0


@contextmanager
def program() -> Iterator[None]:
    """A program that inherits every file it can."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
    ) as process:
        yield
        process.communicate(b"\n", timeout=20)


async def test_a_killed_node_is_found_dead_at_once(engine: Engine, sqlite_url: str) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    with holder(sqlite_url, "child") as process:
        assert [(peer.id, peer.dead) for peer in await engine.peers(here)] == [("child", False)]
        assert not await engine.remove_dead_node("child", None)
        assert not await engine.lead(here, 10)
        process.kill()
        process.wait()
    assert [(peer.id, peer.dead) for peer in (await engine.heartbeat(here)).peers] == [
        ("child", True)
    ]
    assert await engine.remove_dead_node("child", None)
    assert [rescued.id for rescued in await engine.rescue(10)] == [id_]
    assert await engine.lead(here, 10)


async def test_a_frozen_node_keeps_its_jobs_and_its_lead(engine: Engine, sqlite_url: str) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    with holder(sqlite_url, "child") as process:
        process.send_signal(signal.SIGSTOP)
        await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert [(peer.id, peer.dead) for peer in await engine.peers(here)] == [("child", False)]
        assert not await engine.remove_dead_node("child", None)
        assert not await engine.lead(here, 10)
        assert await engine.rescue(10) == []
        assert (await job(engine, id_)).node == "child"


async def test_lock_files_go_with_their_nodes(engine: Engine, opened: Opener, path: Path) -> None:
    def names() -> set[str]:
        return {file.name for file in path.parent.glob("*.lock")}

    leaving = await opened()
    first, second = await node(engine), await node(leaving)
    assert names() == {f"{path.name}-node-{first}.lock", f"{path.name}-node-{second}.lock"}
    await leaving.close()
    assert await engine.remove_dead_node(second, None)
    await engine.deregister_node(first)
    assert names() == set()


async def test_a_lock_file_that_is_gone_means_dead(
    engine: Engine, other: Engine, path: Path
) -> None:
    first, second = await node(engine), await node(other)
    (path.parent / f"{path.name}-node-{first}.lock").unlink()
    assert [peer.dead for peer in await other.peers(second)] == [True]
    assert await other.remove_dead_node(first, None)
    assert not (await engine.heartbeat(first)).known


def test_who_looks_takes_nothing_from_others(path: Path) -> None:
    """Two that look at once both see the dead, and neither is taken for the node."""
    looker, living = Locks(path), Locks(path)
    living.take_node("here")
    assert not looker.is_dead("here")
    living.close()
    with (path.parent / f"{path.name}-node-here.lock").open() as another:
        fcntl.flock(another, fcntl.LOCK_SH)
        assert looker.is_dead("here")
    living.take_node("here")
    assert not looker.is_dead("here")
    living.close()


async def test_the_lock_is_held_before_the_row_is_seen(engine: Engine, other: Engine) -> None:
    """Whoever is enlisted twice, as after a lost answer, is still one node."""
    here = await node(engine)
    await engine.register_node(here, "again", {"a": 1})
    assert [(row.id, row.name, row.info) for row in await other.nodes()] == [
        (here, "again", {"a": 1})
    ]


async def test_a_leader_whose_file_was_removed_does_not_share_the_lead(
    engine: Engine, other: Engine, path: Path
) -> None:
    first, second = await node(engine), await node(other)
    assert await engine.lead(first, 10)
    (path.parent / f"{path.name}-leader.lock").unlink()
    assert await other.lead(second, 10)
    assert not await engine.lead(first, 10)


async def test_a_node_that_was_reborn_can_lead(engine: Engine) -> None:
    """The engine still holds the lock for the identity that was buried."""
    first, second = await node(engine), await node(engine)
    await engine.lead(first, 10)
    await engine.deregister_node(first)
    assert await engine.lead(second, 10)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_forked_child_holds_nothing(engine: Engine, opened: Opener) -> None:
    """The child lives on while the parent's engine is closed: a lock that it had kept
    would still be held.
    """
    leaving = await opened()
    first, here = await node(leaving), await node(engine)
    assert await leaving.lead(first, 10)
    with forked_child():
        assert [peer.dead for peer in await engine.peers(here)] == [False]
        assert not await engine.lead(here, 10)
        await leaving.close()
        assert [peer.dead for peer in await engine.peers(here)] == [True]
        assert await engine.lead(here, 10)


async def test_a_program_that_a_node_starts_inherits_no_lock(
    engine: Engine, opened: Opener
) -> None:
    leaving = await opened()
    first, here = await node(leaving), await node(engine)
    await leaving.lead(first, 10)
    with program():
        await leaving.close()
        assert [peer.dead for peer in await engine.peers(here)] == [True]
        assert await engine.lead(here, 10)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_after_a_fork_parent_and_child_work(engine: Engine, sqlite_url: str) -> None:
    """SQLite's own notes of the locks it holds must not be copied to the child, which
    does not hold them: the parent, the last to go in its eyes, would remove the log
    that the child still writes to.
    """
    await put(engine, new("before"))
    told, tell = os.pipe()
    asked, ask = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            connection = sqlite3.connect(
                sqlite_url.removeprefix("sqlite:///"), isolation_level=None
            )
            connection.execute("INSERT INTO job (task) VALUES ('child, before')")
            os.write(tell, b".")
            os.read(asked, 1)
            connection.execute("INSERT INTO job (task) VALUES ('child, after')")
            status = 0
        finally:
            os._exit(status)
    assert os.read(told, 1) == b"."
    await put(engine, new("parent"))
    await engine.close()
    os.write(ask, b".")
    assert (await asyncio.to_thread(os.waitpid, child, 0))[1] == 0
    for descriptor in (told, tell, asked, ask):
        os.close(descriptor)
    await engine.open()
    assert {found.task for found in (await engine.find(ANY, None, 10)).items} == {
        "before",
        "parent",
        "child, before",
        "child, after",
    }


def test_a_lock_file_has_the_rights_of_the_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    path.chmod(0o664)
    locks = Locks(path)
    before = os.umask(0o077)
    try:
        locks.take_node("a")
        assert locks.lead("a")
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("*.lock")}
    assert modes == {"x.db-node-a.lock": 0o664, "x.db-leader.lock": 0o664}
    locks.close()


def test_a_file_that_another_user_made_for_itself_is_replaced_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    path.touch()
    first, second = Locks(path), Locks(path)
    assert first.lead("a")
    leader = tmp_path / "x.db-leader.lock"
    foreign = leader.stat().st_ino
    open_file = os.open

    def refused(name: Any, flags: int, *mode: int) -> int:
        if flags & os.O_RDWR and leader.exists() and Path(name).stat().st_ino == foreign:
            raise PermissionError(13, "Permission denied", str(name))
        return open_file(name, flags, *mode)

    monkeypatch.setattr(os, "open", refused)
    assert not second.lead("b")
    first.close()
    assert second.lead("b")
    assert second.leader() == "b"
    second.close()


def test_locks_that_exclude_nobody_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    path.touch()
    monkeypatch.setattr("elihu.engines.sqlite.locks.fcntl.flock", lambda *args: None)
    with pytest.raises(ConfigError, match=r"flock.* local disk"):
        Locks(path).take_node("a")
    assert list(tmp_path.glob("*.lock")) == []
